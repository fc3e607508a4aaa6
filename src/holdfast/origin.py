"""Which part of holdfast is speaking, so that a log of ours never feeds itself.

Work done by our own writer, checkpointer, indexer or watcher runs inside
``internal(part)``. A log handler asks ``part()`` and stores nothing when the
answer is not None: a record about writing the log is never written to the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_part: ContextVar[str | None] = ContextVar("holdfast_origin", default=None)


def part() -> str | None:
    """Return the part of holdfast this context works for, or None for the host program's own work."""
    return _part.get()


@contextmanager
def internal(name: str) -> Iterator[None]:
    """Mark everything done inside as the work of ``name``."""
    token = _part.set(name)
    try:
        yield
    finally:
        _part.reset(token)
