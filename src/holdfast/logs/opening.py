"""``holdfast.logs.handler``: a handler for a directory, which is not looked at before the first record."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from holdfast import folders
from holdfast.logs.handling import LogHandler

if TYPE_CHECKING:
    from holdfast.logs.caps import Caps
    from holdfast.logs.pump import Writer

OFF = "HOLDFAST_LOGS"
"""The variable that turns every handler off: ``off``, ``0``, ``no`` or ``false``."""


def handler(
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
) -> LogHandler:
    """Return a handler that keeps records in ``directory`` (None: ``logs`` in the default state directory).

    Touches no disk: directory, segment and thread begin with the first record.

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
    return Handler(
        directory,
        level,
        caps=caps,
        compress=compress,
        protect=protect,
        redact=redact,
        secrets=secrets,
        per_target_per_s=per_target_per_s,
        per_template_per_s=per_template_per_s,
    )


class Handler(LogHandler):
    """``handler`` as a class, for ``logging.config.fileConfig``, which takes nothing else."""

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
            from holdfast.logs.segments import SegmentWriter

            return SegmentWriter(place, caps, compress=compress)

        super().__init__(
            open_writer,
            level=level,
            protect=guarded,
            redacted=redact,
            secrets=secrets,
            per_target=per_target_per_s,
            per_template=per_template_per_s,
            off=os.environ.get(OFF, "").strip().lower() in ("off", "0", "no", "false"),
        )


def _absolute(path: str) -> str:
    path = os.path.expanduser(path)
    try:
        return os.path.abspath(path)
    except OSError:  # the working directory is gone
        return path
