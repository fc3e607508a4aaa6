"""The file of the index: opened once per process, and thrown away and made again when it is damaged.

Everything in it can be made again from rollouts and state.db, so damage is
cured by deleting. Only whoever feeds deletes, under its hold.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from dataclasses import dataclass

from holdfast import schema
from holdfast.clock import Clock
from holdfast.errors import Damaged, Refused
from holdfast.sqlite import Store
from holdfast.sqlite.reads import ReadScope
from holdfast.sqlite.store import WriteScope

TREE = "search"
_SIDECARS = ("-wal", "-shm", "")  # the database last: who finds it finds it whole


@dataclass(slots=True)
class _Shared:
    """The store of one file, for every handle of this process, because damage replaces it for all of them."""

    store: Store
    file: tuple[int, int]
    handles: int = 1
    damaged: bool = False


_files: dict[str, _Shared] = {}
_registering = threading.RLock()


class Index:
    """A handle on search.db. Threads may share it. Make one with ``open_index`` or ``peek_index``."""

    def __init__(self, path: str, shared: _Shared, clock: Clock, *, peek: bool = False) -> None:
        self.path = path
        self._shared = shared
        self._clock = clock
        self._peek = peek
        self._closed = False

    @property
    def store(self) -> Store:
        """The store as it is now. It is another one after ``remake``."""
        if self._closed:
            raise Refused(f"{self.path}: this index is closed")
        return self._shared.store

    @property
    def damaged(self) -> bool:
        """True when somebody found it damaged; the next feeding makes it again."""
        return self._shared.damaged

    def suspect(self) -> None:
        """Note that it is damaged."""
        self._shared.damaged = True

    def read(self) -> ReadScope:
        """Begin a read of the index."""
        return self.store.read()

    def write(self, *, wait_ms: int = 30_000) -> WriteScope:
        """Begin a write to the index."""
        return self.store.write(wait_ms=wait_ms)

    def remake(self) -> None:
        """Delete the files and begin again with an empty index. Only for whoever has the hold on feeding.

        Another process that has it open finds its file replaced, and opens the
        new one. Raises ``Busy`` when a read of this process does not end.
        """
        with _registering:
            self._shared.damaged = True  # until it is made: whoever finds the store closed knows why
            # While we have it open its inode is not given away, so this comparison is exact.
            replaced = _identity(self.path) != self._shared.file
            with suppress(Damaged):
                self._shared.store.close()
            if not replaced:
                _delete(self.path)
            self._shared.store = _open(self.path, self._clock)
            self._shared.file = _identity(self.path)
            self._shared.damaged = False

    def close(self) -> None:
        """Give up this handle. Closing twice is fine."""
        with _registering:
            if self._closed:
                return
            if self._peek or self._shared.handles == 1:
                with suppress(Damaged):
                    self._shared.store.close()
                if not self._peek:
                    del _files[self.path]
            self._shared.handles -= 1
            self._closed = True

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def open_index(path: str | os.PathLike[str], clock: Clock) -> Index:
    """Open search.db, make it when there is none, and make it again when it is damaged.

    Costs a millisecond, 5 when it is new. Raises ``Unsupported`` for the file
    of a newer holdfast, ``Refused`` for another program's, ``Full``, ``Busy``.
    """
    real = os.path.realpath(path)
    with _registering:
        shared = _files.get(real)
        if shared is None:
            store = _open(real, clock)
            shared = _files[real] = _Shared(store, _identity(real))
        else:
            shared.handles += 1
    return Index(real, shared, clock)


def peek_index(path: str | os.PathLike[str], clock: Clock) -> Index | None:
    """Open search.db for reading only; None when there is none, or it cannot be used as it is."""
    try:
        store = Store.peek(path, clock=clock)
    except (FileNotFoundError, Damaged):
        return None
    try:
        if schema.check(store, TREE):
            return Index(os.path.realpath(path), _Shared(store, (0, 0)), clock, peek=True)
    except Damaged:
        pass
    store.close()
    return None


def _open(path: str, clock: Clock) -> Store:
    """Open and migrate; when it is damaged delete it first, unless somebody else has replaced it meanwhile."""
    before = _identity(path)
    try:
        return _opened(path, clock)
    except Damaged:
        if _identity(path) == before:
            _delete(path)
        return _opened(path, clock)


def _opened(path: str, clock: Clock) -> Store:
    store = Store.open(path, clock=clock, durability="normal")
    try:
        schema.migrate(store, TREE)
    except BaseException:
        with suppress(Damaged):
            store.close()
        raise
    return store


def _delete(path: str) -> None:
    for suffix in _SIDECARS:
        with suppress(FileNotFoundError):
            os.unlink(path + suffix)


def _identity(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return (0, 0)
    return found.st_dev, found.st_ino
