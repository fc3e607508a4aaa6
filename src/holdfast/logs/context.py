"""Which thread of talk and which trace a log line belongs to, carried by contextvars."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_here: ContextVar[tuple[str | None, str | None]] = ContextVar("holdfast_log_context", default=(None, None))


def current() -> tuple[str | None, str | None]:
    """Return thread id and trace id of this context; None where none was given."""
    return _here.get()


@contextmanager
def context(*, thread_id: str | None = None, trace_id: str | None = None) -> Iterator[None]:
    """Give every line logged inside, also by tasks begun inside, these ids; one left out stays as it was."""
    was = _here.get()
    token = _here.set((thread_id or was[0], trace_id or was[1]))
    try:
        yield
    finally:
        _here.reset(token)
