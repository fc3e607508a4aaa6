"""``holdfast.logs.handler``: a handler for a directory, which is not looked at before the first record."""

from __future__ import annotations

import _thread
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from holdfast import folders, lockfiles  # noqa: F401 (what it does at a fork must be known before one waits for us)
from holdfast.logs.handling import LogHandler

if TYPE_CHECKING:
    from holdfast.logs.caps import Caps
    from holdfast.logs.pump import Writer

OFF = "HOLDFAST_LOGS"
"""The variable that turns every handler off: ``off``, ``0``, ``no`` or ``false``."""


class Handler(LogHandler):
    """Keeps records in ``directory`` (None: ``logs`` in the default state directory).

    Touches nothing of the log: directory, segment and thread begin with the first record. What writing imports (70 ms)
    is imported meanwhile, by a thread that ends with that; a fork waits for it.

    level: "TRACE" (5), "DEBUG", "INFO", "WARN", "ERROR", "OFF" or a number.
    caps: stricter limits than those of the directory (``retention``): then both hold. None: those
        of the directory; 64 MiB, 10 days where none were set.
    protect: more directories whose file events are never logged. ``directory`` always
        is, and the state directory when ``directory`` is None.
    redact, secrets: replace what looks like a secret; ``secrets`` are regular expressions
        of the host's own, of which a group named "keep" stays.
    per_target_per_s, per_template_per_s: lines a second from one logger, and from one
        line of code; more are dropped and counted. ERROR is exempt. None: no limit.

    Raises ``ValueError`` for a level that is none, ``re.error`` for such a secret.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] | None = None,
        level: int | str = "INFO",
        *,
        caps: Caps | None = None,
        compress: bool = True,
        protect: Sequence[str | os.PathLike[str]] = (),
        redact: bool = True,
        secrets: Sequence[str] = (),
        per_target_per_s: int | None = None,
        per_template_per_s: int | None = None,
    ) -> None:
        guarded = [_absolute(os.fspath(one)) for one in protect]
        if directory is None:
            state = _absolute(folders.default_state())
            guarded.append(state)
            place = os.path.join(state, "logs")
        else:
            place = _absolute(os.fspath(directory))
        guarded.append(place)

        def open_writer() -> Writer:
            _import()
            from holdfast.logs.segments import SegmentWriter

            return SegmentWriter(place, caps, compress=compress)

        is_off = os.environ.get(OFF, "").strip().lower() in ("off", "0", "no", "false")
        if not is_off and "holdfast.logs.segments" not in sys.modules:
            with suppress(RuntimeError):  # no thread to be had: then with the first record
                _thread.start_new_thread(_import, ())
        super().__init__(
            open_writer,
            level=level,
            protect=guarded,
            redacted=redact,
            secrets=secrets,
            per_target=per_target_per_s,
            per_template=per_template_per_s,
            off=is_off,
        )


handler = Handler
"""The same by the name that reads better in a call. ``logging.config.fileConfig`` takes nothing but a class."""


_importing = _thread.allocate_lock()
_forking = 0
_FORK_WAIT_S = 1.0


def _import() -> None:
    with _importing, suppress(Exception):  # whoever opens the writer tries again, and tells
        from holdfast.logs import frames, rates, redact, segments  # noqa: F401

        frames.zstd()


def _before_fork() -> None:
    # A child in which a module is half imported by a thread that it does not have could never import it.
    global _forking
    if _importing.acquire(timeout=_FORK_WAIT_S):
        _forking = _thread.get_ident()


def _after_fork_in_parent() -> None:
    global _forking
    if _forking == _thread.get_ident():
        _forking = 0
        _importing.release()


def _after_fork_in_child() -> None:
    global _importing, _forking
    _importing, _forking = _thread.allocate_lock(), 0


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)


def _absolute(path: str) -> str:
    path = os.path.expanduser(path)
    try:
        return os.path.abspath(path)
    except OSError:  # the working directory is gone
        return path
