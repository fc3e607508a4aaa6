"""Which files this process has open, and what happens after a handle is gone.

A file opened and closed at every tick would be torn down each time (1.6 ms, and
some syncs). So ``connect`` leaves it open for a moment, and who opens it again
in that moment finds it warm. The handle that leaves last decides: a ``Store``
closes the file there and then; what ``connect`` leaves is closed by a thread, by
``close_idle``, and when the interpreter ends.

The same thread does the work that may not be done where an object dies: the
collector runs anywhere, also inside our own locks.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

from holdfast import origin
from holdfast.errors import Refused
from holdfast.sqlite import codes, filesystems, settings
from holdfast.sqlite.core import Core
from holdfast.sqlite.fork import opened, registering
from holdfast.sqlite.settings import Durability, Limits

LINGER_MS = 1_000
"""Closing costs 1.6 ms: at most once a second, that is nothing to notice."""

_RETRY_NS = 1_000_000_000
_THREAD_WAIT_S = 5.0  # it may wait for a connection that is in a statement

cores: dict[str, Core] = {}
"""The files this process has open for writing, by real path."""

errors: list[str] = []
"""The last few exceptions of the thread, which goes on."""

_later: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
_thread: threading.Thread | None = None
_will_look = False
"""Whether the thread waits no longer than for the first idle file: then nobody needs to wake it."""


def take(
    path: str | os.PathLike[str], durability: Durability | None, limits: Limits | None, application_id: int | None
) -> Core:
    """Return the one core of a file, with one handle more. ``durability`` None: whatever it is open with.

    Raises as ``Store.open`` says.
    """
    settings.check_version()
    real = os.path.realpath(path)
    with registering:
        core = cores.get(real)
        if core is not None and core.handles == 0 and _differs(core, durability, limits, application_id):
            _close(core)
            core = None
        if core is None:
            check_filesystem(real)
            core = Core(real, durability or "full", limits or Limits(), application_id)
            core.open()
            cores[real] = core
            opened.add(core)
        else:
            if durability not in (None, core.durability):
                raise Refused(f"{real} is open in this process with durability={core.durability!r}, not {durability!r}")
            core.check_application(application_id)
        core.handles += 1
    return core


def check_filesystem(path: str) -> None:
    """Raise ``Unsupported`` for a filesystem on which SQLite's log is not safe, or what the system says of ``path``."""
    try:
        filesystems.check(path)
    except OSError as error:
        raise codes.from_system(error, path) from error


def let_go(core: Core, linger_ms: int = 0) -> None:
    """Give up one handle. The last one closes the file, or leaves it for ``linger_ms``.

    Raises ``Busy`` when a transaction does not end; the handle is then kept.
    """
    with registering:
        if core.handles > 1:
            core.handles -= 1
        elif linger_ms and not core.files.damaged:
            core.handles = 0
            core.idle_until_ns = settings.deadline(linger_ms)
        else:
            _close(core)
            core.handles = 0
            return
    if linger_ms and core.handles == 0 and not _will_look:
        later(None)


def close_idle() -> int:
    """Close the files that nobody has open any more and that were kept for the next; return how many.

    ``holdfast.sqlite.connect`` keeps a file for a second after its last
    connection. After this, and when the interpreter ends, no -wal and no -shm
    remain. Call it before ``os._exit``, or before another program copies the
    file. Connections that were dropped without ``close`` are closed first.
    Costs 1.6 ms per file.
    """
    if _thread is None or _thread is threading.current_thread():
        _run_all_that_waits()
    else:
        # The thread may be in the middle of one: when it comes to ours, it has done all before.
        reached = threading.Event()
        later(reached.set)
        reached.wait(_THREAD_WAIT_S)
    return _close_those_past(None)


def later(work: Callable[[], object] | None) -> None:
    """Run ``work`` soon, on the thread. May be called from a finalizer: takes no lock that Python code holds."""
    _later.put(work)


def ensure_thread() -> None:
    """Start the thread, unless it runs."""
    global _thread
    if _thread is None:
        with registering:
            if _thread is None:
                _thread = threading.Thread(target=_work, args=(_later,), name="holdfast-linger", daemon=True)
                _thread.start()


def _work(queue: SimpleQueue[Callable[[], object] | None]) -> None:
    global _will_look
    with origin.internal("checkpointer"):
        while True:
            _will_look = False
            until_ns = min((c.idle_until_ns for c in tuple(cores.values()) if c.handles == 0), default=None)
            wait_s = None if until_ns is None else max(0, until_ns - time.monotonic_ns()) / 1e9
            _will_look = wait_s is not None
            with suppress(Empty):
                _run(queue.get(timeout=wait_s))
            _close_those_past(time.monotonic_ns())


def _run(work: Callable[[], object] | None) -> None:
    if work is None:
        return
    try:
        work()
    except Exception as error:  # the boundary of a thread: noted, and work goes on
        errors.append(f"{type(error).__name__}: {error}")
        del errors[:-8]


def _run_all_that_waits() -> None:
    with suppress(Empty):
        while True:
            _run(_later.get_nowait())


def _close_those_past(now_ns: int | None) -> int:
    closed = 0
    for core in tuple(cores.values()):
        if core.handles or (now_ns is not None and core.idle_until_ns > now_ns):
            continue
        with registering:
            if core.handles or cores.get(core.path) is not core:
                continue  # taken again, or closed by another thread
            try:
                _close(core)
                closed += 1
            except Exception as error:
                errors.append(f"{type(error).__name__}: {error}")
                core.idle_until_ns = time.monotonic_ns() + _RETRY_NS
    return closed


def _close(core: Core) -> None:
    core.close()
    opened.discard(core)
    del cores[core.path]


def _differs(core: Core, durability: Durability | None, limits: Limits | None, application_id: int | None) -> bool:
    return (
        durability not in (None, core.durability)
        or limits not in (None, core.limits)
        or application_id not in (None, core.application_id)
    )


def _begin_in_child() -> None:
    # The thread did not come along, and the queue may be in the middle of something.
    global _later, _thread
    _thread = None
    waiting, _later = _later, SimpleQueue()
    with suppress(Empty):
        while True:
            _later.put(waiting.get_nowait())


os.register_at_fork(after_in_child=_begin_in_child)
atexit.register(close_idle)
