"""What every part of ``StateRuntime`` stands on: the engine, the home, and a transaction per method."""

from __future__ import annotations

import os
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Protocol, TypeVar

from holdfast import ids
from holdfast.engine import Engine, Read, Write
from holdfast.errors import Refused
from holdfast.threads.model import Home

T = TypeVar("T")
ThreadId = str | uuid.UUID
Path = str | os.PathLike[str]


class Otel(Protocol):
    """Counts: ``otel("codex.db.init", 1, {"status": "opened"})``. What it raises is ignored."""

    def __call__(self, name: str, inc: int, tags: Mapping[str, str], /) -> object:
        """Count ``inc`` of ``name``."""
        ...


class RuntimeBase:
    """One directory and its engine. Methods run on another thread; the event loop waits for none of them."""

    def __init__(self, directory: str, provider: str, engine: Engine, home: Home, otel: Otel | None) -> None:
        self._directory = directory
        self._provider = provider
        self._engine = engine
        self._home = home
        self._otel = otel

    def codex_home(self) -> str:
        """Return the directory."""
        return self._directory

    def _write(self, fn: Callable[[Write], T]) -> Awaitable[T]:
        return self._engine.submit(fn)

    def _read(self, fn: Callable[[Read], T]) -> Awaitable[T]:
        return self._engine.submit_read(fn)

    @property
    def _home_id(self) -> int:
        return self._home.home_id


def id_of(thread_id: ThreadId) -> bytes:
    """Return the 16 bytes of a thread id. Raises ``Refused`` for what is none."""
    if isinstance(thread_id, uuid.UUID):
        return thread_id.bytes
    id16 = ids.parse(thread_id)
    if id16 is None:
        raise Refused(f"{thread_id!r} is no thread id", remedy="A thread id is a UUID.")
    return id16


def count(otel: Otel | None, name: str, **tags: str) -> None:
    """Count one, if somebody counts."""
    if otel is not None:
        with suppress(Exception):  # telemetry is somebody else's code, and never in the way
            otel(name, 1, tags)


def text_of(path: Path) -> str:
    """Return a path as text."""
    return os.fspath(path)
