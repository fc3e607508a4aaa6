"""The caches of one state handle: named when first asked for, their file opened when first used."""

from __future__ import annotations

import os
import threading

from holdfast import cache
from holdfast.cache import Cache, File
from holdfast.clock import wall_ms
from holdfast.engine import Engine
from holdfast.state.directory import CACHE_DB


class Caches:
    """What ``state.cache`` asks."""

    def __init__(self, state_dir: str, engine: Engine | None, *, read_only: bool) -> None:
        self._path = os.path.join(state_dir, CACHE_DB)
        self._engine = engine
        self._read_only = read_only
        self._lock = threading.Lock()
        self._named: dict[str, Cache] = {}
        self._file: File | None = None
        self._closed = False

    def get(self, name: str, bytes_max: int) -> Cache:
        """Return the cache of that name; the first to ask sets its cap."""
        cache.check_name(name, bytes_max)
        why_not = "a peek keeps no cache" if self._read_only else ""
        with self._lock:
            found = self._named.get(name)
            if found is None:
                found = self._named[name] = Cache(name, self._opened, bytes_max=bytes_max, why_not=why_not)
            return found

    def close(self) -> None:
        """Give the file up; every cache is a miss from now on."""
        with self._lock:
            self._closed = True
            if self._file is not None:
                cache.let_go(self._file)
                self._file = None

    def _opened(self) -> File | None:
        file = self._file
        if file is None and not self._closed and not self._read_only and self._engine is not None:
            engine = self._engine
            with self._lock:
                if self._file is None and not self._closed:
                    # The state's clock, as it is when it is read: a handle may be given another.
                    self._file = cache.open_file(self._path, lambda: (engine.clock or wall_ms)())
                file = self._file
        return file
