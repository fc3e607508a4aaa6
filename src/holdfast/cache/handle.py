"""One named cache: what a program puts here it may find again, or not; it never gets an error for it."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from holdfast.cache import rules, store
from holdfast.cache.file import Failed, File
from holdfast.cache.model import BYTES_MAX, VALUE_BYTES_MAX, CacheStats
from holdfast.errors import Refused

T = TypeVar("T")
_STEP = 200  # entries deleted in one transaction: 2 ms
_MAKER_WAIT_S = 30.0
_MISS = object()


class _Making:
    """One value in the making, and what came of it: JSON, or None when there is nothing to share."""

    __slots__ = ("done", "json", "thread")

    def __init__(self) -> None:
        self.done = threading.Event()
        self.json: bytes | None = None
        self.thread = threading.get_ident()


class Cache:
    """A cache of one name. Threads and processes share what is in it. Made by ``state.cache(name)``.

    A file that is locked, full, damaged, newer or missing, a closed state and
    a ``peek`` are a miss to whoever reads and False to whoever writes; nothing
    waits longer than 50 ms for a lock. ``stats()`` tells how often, and why.

    What was put longest ago goes first when there is no room: a read writes
    nothing, so it does not keep a value alive.
    """

    def __init__(
        self, name: str, file: Callable[[], File | None], *, bytes_max: int = BYTES_MAX, why_not: str = ""
    ) -> None:
        self.name = name
        self._file = file
        self._why_not = why_not
        self._bytes_max = bytes_max
        self._value_bytes_max = min(VALUE_BYTES_MAX, bytes_max // 4)
        self._making: dict[bytes, _Making] = {}
        self._lock = threading.Lock()
        self._hits = self._misses = self._puts = self._refused = self._failures = 0
        self._last_failure = ""
        _all.add(self)

    def get(self, key: str | bytes, default: Any = None, *, type: Any = Any) -> Any:
        """Return the JSON value put under ``key``, or ``default``. 20 us.

        ``type`` (a msgspec struct, ``list[int]``, ...) is what it must be: a
        value that is not is a miss, and so is one put with ``put_bytes``.
        """
        found = self._get(rules.stored_key(key), rules.KIND_JSON, lambda value: msgspec.json.decode(value, type=type))
        return default if found is _MISS else found

    def get_bytes(self, key: str | bytes) -> bytes | None:
        """Return the bytes put under ``key``, or None; a value put with ``put`` is a miss. 20 us."""
        found = self._get(rules.stored_key(key), rules.KIND_BYTES, bytes)
        return None if found is _MISS else found

    def put(self, key: str | bytes, value: Any, *, ttl_s: float | None = None) -> bool:
        """Keep ``value`` as JSON for ``ttl_s`` seconds (None: as long as there is room), in place of what was there.

        Whole or not at all, also when the process is killed. False: it is not
        kept (see the class; also too large, no JSON, or no time to live), and
        then what was there before may be there still. 150 us; no sync.
        """
        stored = rules.stored_key(key)
        try:
            encoded = msgspec.json.encode(value)
        except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
            return self._refuse(stored, f"the value is no JSON: {error}")
        return self._put(stored, rules.KIND_JSON, encoded, ttl_s)

    def put_bytes(self, key: str | bytes, value: bytes, *, ttl_s: float | None = None) -> bool:
        """Keep ``value``, bytes, under ``key``; see ``put``."""
        return self._put(rules.stored_key(key), rules.KIND_BYTES, bytes(value), ttl_s)

    def get_or(self, key: str | bytes, make: Callable[[], T], *, ttl_s: float | None = None, type: Any = Any) -> T:
        """Return the value of ``key``, or what ``make()`` returns, which is then kept.

        In this process one thread makes a key's value, the others wait for it,
        30 s at most, and get a copy of their own, as JSON gives it. Raises what
        ``make`` raises, to the one who called it; the next then makes it.
        """
        stored = rules.stored_key(key)
        while True:
            found = self._get(stored, rules.KIND_JSON, lambda value: msgspec.json.decode(value, type=type))
            if found is not _MISS:
                return found  # type: ignore[no-any-return]
            with self._lock:
                making = self._making.get(stored)
                if making is None:
                    mine = self._making[stored] = _Making()
            if making is None:
                return self._make(stored, mine, make, ttl_s)
            # Inside its own `make`, or behind one that takes for ever: waiting would not end.
            if making.thread == threading.get_ident() or not making.done.wait(_MAKER_WAIT_S):
                return make()
            if making.json is not None:
                try:
                    return msgspec.json.decode(making.json, type=type)  # type: ignore[no-any-return]
                except (msgspec.MsgspecError, ValueError):
                    return make()

    def delete(self, key: str | bytes) -> bool:
        """Take ``key`` away; True when it was there and is gone."""
        stored = rules.stored_key(key)
        return self._write(lambda tx: store.delete(tx, self.name, stored), make=False)

    def clear(self) -> bool:
        """Take everything away that is in this cache now, in steps of 2 ms. False when that did not get to its end."""
        try:
            file = self._usable()
            upto = file.read(lambda tx: store.last(tx, self.name), 0)
            while upto and file.write(lambda tx: store.delete_step(tx, self.name, upto, _STEP), 0, make=False):
                pass
            return True
        except Failed as error:
            self._fail(error)
            self._refused += 1
            return False

    def stats(self) -> CacheStats:
        """Return what the cache holds and what this handle did. One read."""
        entries = size = remade = 0
        try:
            file = self._usable()
            entries, size = file.read(lambda tx: store.totals(tx, self.name), (0, 0))
            remade = file.remade
        except Failed as error:
            self._fail(error)
        return CacheStats(
            entries=entries,
            bytes=size,
            bytes_max=self._bytes_max,
            hits=self._hits,
            misses=self._misses,
            puts=self._puts,
            refused=self._refused,
            failures=self._failures,
            last_failure=self._last_failure,
            remade=remade,
        )

    def begin_in_child(self) -> None:
        """In a forked child: what was being made is made in the parent, and nobody here will hear of it."""
        self._lock = threading.Lock()
        self._making = {}

    def _make(self, key: bytes, mine: _Making, make: Callable[[], T], ttl_s: float | None) -> T:
        try:
            value = make()
            try:
                mine.json = msgspec.json.encode(value)
            except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
                self._refuse(key, f"the value is no JSON: {error}")
            else:
                self._put(key, rules.KIND_JSON, mine.json, ttl_s)
            return value
        finally:
            with self._lock:
                self._making.pop(key, None)
            mine.done.set()

    def _get(self, key: bytes, kind: int, read: Callable[[bytes], Any]) -> Any:
        try:
            found = self._usable().read(lambda tx: store.get(tx, self.name, key), None)
            if found is not None and found[0] == kind:
                value = read(found[1])
                self._hits += 1
                return value
        except Failed as error:
            self._fail(error)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            self._fail(error)
        self._misses += 1
        return _MISS

    def _put(self, key: bytes, kind: int, value: bytes, ttl_s: float | None) -> bool:
        size = rules.counted(key, value)
        if size > self._value_bytes_max:
            return self._refuse(key, f"the value counts {size} bytes, the most is {self._value_bytes_max}")
        kept = self._write(lambda tx: store.put(tx, self.name, key, kind, value, ttl_s, self._bytes_max), make=True)
        self._puts += kept
        return kept

    def _refuse(self, key: bytes, why: str) -> bool:
        # What was there would be taken for the new value.
        self._write(lambda tx: store.delete(tx, self.name, key), make=False)
        self._refused += 1
        self._last_failure = why
        return False

    def _write(self, fn: Callable[[Any], bool], *, make: bool) -> bool:
        try:
            return self._usable().write(fn, False, make=make)
        except Failed as error:
            self._fail(error)
            self._refused += 1
            return False

    def _usable(self) -> File:
        file = self._file()
        if file is None:
            raise Failed(self._why_not or "the state is closed")
        return file

    def _fail(self, error: Exception) -> None:
        self._failures += 1
        self._last_failure = str(error)


def check_name(name: str, bytes_max: int) -> None:
    """Raise ``Refused`` for a name or a cap that no cache can have."""
    if not isinstance(name, str) or not name or len(name) > 100 or not name.isprintable():
        raise Refused(f"{name!r} is no name of a cache", remedy="Name it with 1 to 100 printable characters.")
    if bytes_max < 1024:
        raise Refused(f"a cache of {bytes_max} bytes holds nothing", remedy="Give it 1024 bytes or more.")


_all: weakref.WeakSet[Cache] = weakref.WeakSet()


def _in_child() -> None:
    for cache in _all:
        cache.begin_in_child()


os.register_at_fork(after_in_child=_in_child)
