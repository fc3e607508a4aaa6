"""cache.db: opened when first wanted, given up when it cannot be used, deleted and made anew when it is damaged.

Everything in it can be made again, so damage is cured by deleting; but only
once nobody else has the file open, and never when it is merely newer, foreign,
locked or on a disk that is full. What goes wrong here is told as a value.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from holdfast import schema
from holdfast.clock import Clock
from holdfast.errors import Damaged, HoldfastError
from holdfast.sqlite import Limits, Store, Writing, openers, seated
from holdfast.sqlite.settings import MIB
from holdfast.sqlite.transactions import Reading

T = TypeVar("T")

TREE = "cache"
WAIT_MS = 50
"""How long anything here waits for somebody else's lock."""

LIMITS = Limits(
    read_wait_ms=WAIT_MS,
    open_wait_ms=WAIT_MS,
    wal_soft_bytes=16 * MIB,
    wal_hard_bytes=64 * MIB,
    wal_reserve_bytes=4 * MIB,
)
_SIDECARS = ("-wal", "-shm", "")  # the database last: who finds it finds it whole
_REST_FIRST_S, _REST_MAX_S = 1.0, 60.0

Stamp = tuple[int, int, int]
_files: dict[str, File] = {}
_registering = threading.RLock()


class Failed(Exception):
    """The file cannot be used just now; the text says why."""


class File:
    """One cache.db, for every handle of this process: damage replaces the store for all of them."""

    def __init__(self, path: str, clock: Clock) -> None:
        self.path = path
        self.handles = 0
        self.remade = 0
        self._clock = clock
        self._lock = threading.RLock()
        self._store: Store | None = None
        self._inode = (0, 0)
        self._rest_until = 0.0
        self._rest_s = _REST_FIRST_S
        self._resting = ""

    def read(self, fn: Callable[[Reading], T], otherwise: T) -> T:
        """Return ``fn(tx)``; ``otherwise`` when there is no file. Makes none. Raises ``Failed``."""
        return self._try(lambda store: _read(store, fn), otherwise, make=False)

    def write(self, fn: Callable[[Writing], T], otherwise: T, *, make: bool) -> T:
        """Return ``fn(tx)``, committed; ``otherwise`` where there is no file and none is to be made. Raises."""
        return self._try(lambda store: _write(store, fn), otherwise, make=make)

    def close(self) -> None:
        """Give the file up. Raises nothing: what does not close now is closed at the exit of the process."""
        with self._lock:
            self._close_store()

    def begin_in_child(self) -> None:
        """In a forked child: the lock may be held by a thread that stayed in the parent."""
        self._lock = threading.RLock()

    def _try(self, work: Callable[[Store], T], otherwise: T, *, make: bool) -> T:
        try:
            store = self._opened(make)
            return otherwise if store is None else work(store)
        except Failed:
            raise
        except Damaged as error:
            self._mend(str(error))
            raise Failed(str(error)) from error
        except Exception as error:
            # The boundary: a cache that fails is a miss, whatever it was that failed.
            raise Failed(str(error) if isinstance(error, HoldfastError) else repr(error)) from error

    def _opened(self, make: bool) -> Store | None:
        """Return the store of the file that is there now, or None when there is none and none is to be made."""
        inode = _inode(self.path)
        store = self._store
        if store is not None and inode == self._inode and inode != (0, 0):
            return store
        if inode == (0, 0) and not make:
            return None
        with self._lock:
            if self._store is not None and _inode(self.path) != self._inode:
                self._close_store()  # somebody deleted it, or made it anew
            if self._store is None:
                self._open()
            return self._store

    def _open(self) -> None:
        if time.monotonic() < self._rest_until:
            raise Failed(self._resting)
        before = _stamp(self.path)
        try:
            store = Store.open(self.path, clock=self._clock, durability="normal", limits=LIMITS)
            try:
                schema.migrate(store, TREE, wait_ms=WAIT_MS)
            except BaseException:
                with suppress(HoldfastError):
                    store.close()
                raise
        except (HoldfastError, OSError) as error:
            # Whoever asks again at once pays nothing for a file that does not open.
            self._rest(str(error))
            if isinstance(error, Damaged):
                self._delete(before)
            raise Failed(str(error)) from error
        self._store, self._inode = store, _inode(self.path)
        self._rest_s = _REST_FIRST_S

    def _mend(self, why: str) -> None:
        with self._lock:
            if self._store is None or time.monotonic() < self._rest_until:
                return
            before = _stamp(self.path)
            ours = _inode(self.path) == self._inode
            self._rest(why)
            if not self._close_store():
                return
            if ours:
                self._delete(before)
            else:
                self._rest_until = 0.0  # another file lies there: that one may be sound

    def _delete(self, seen: Stamp) -> None:
        """Delete the file that was seen to be damaged, unless somebody has it open or has replaced it since."""
        # Under the seat: of two processes that find the damage one deletes, and the other then
        # sees another file. Without it one could delete what the other has just made.
        with suppress(HoldfastError, OSError), seated(self.path, WAIT_MS):
            if _stamp(self.path) != seen or openers(self.path):
                return
            for suffix in _SIDECARS:
                with suppress(FileNotFoundError):
                    os.unlink(self.path + suffix)
            self.remade += 1
            self._rest_until = 0.0

    def _rest(self, why: str) -> None:
        self._resting = why
        self._rest_until = time.monotonic() + self._rest_s
        self._rest_s = min(self._rest_s * 2, _REST_MAX_S)

    def _close_store(self) -> bool:
        if self._store is not None:
            try:
                self._store.close()
            except Damaged:
                pass
            except HoldfastError:
                return False  # a read of this process goes on
            self._store = None
        return True


def open_file(path: str, clock: Clock) -> File:
    """Return the file at ``path`` for one more handle. Opens nothing yet."""
    real = os.path.realpath(path)
    with _registering:
        file = _files.get(real)
        if file is None:
            file = _files[real] = File(real, clock)
            _all.add(file)
        file.handles += 1
        return file


def let_go(file: File) -> None:
    """Give up one handle; the last one closes the file."""
    with _registering:
        file.handles -= 1
        if file.handles == 0:
            file.close()
            _files.pop(file.path, None)


def _read(store: Store, fn: Callable[[Reading], T]) -> T:
    with store.read() as tx:
        return fn(tx)


def _write(store: Store, fn: Callable[[Writing], T]) -> T:
    with store.write(wait_ms=WAIT_MS) as tx:
        return fn(tx)


def _inode(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return (0, 0)
    return found.st_dev, found.st_ino


def _stamp(path: str) -> Stamp:
    # With the time of the last change: a file made anew may have the inode of the one before.
    try:
        found = os.stat(path)
    except OSError:
        return (0, 0, 0)
    return found.st_dev, found.st_ino, found.st_ctime_ns


_all: weakref.WeakSet[File] = weakref.WeakSet()


def _in_child() -> None:
    global _registering
    _registering = threading.RLock()
    for file in _all:
        file.begin_in_child()


os.register_at_fork(after_in_child=_in_child)
