"""Opening a rollout to go on with it: whose it is, where it ends, and mending what a crash left at its end."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

import msgspec

from holdfast import ids
from holdfast.errors import Damaged, Refused
from holdfast.rollouts import paths
from holdfast.rollouts.dialects import codex
from holdfast.rollouts.items import SessionMeta
from holdfast.rollouts.opening import NotRegular
from holdfast.rollouts.reading import id_in
from holdfast.rollouts.writing.growing import unwritable
from holdfast.rollouts.writing.materializing import materialize
from holdfast.rollouts.writing.meta import MODES
from holdfast.rollouts.writing.tail import FRAGMENT_BYTES_MAX, Tail, tail

Keep = Callable[[str, int, bytes], None]
"""Called with path, offset and bytes before they are cut off; returns when a copy of them is safe."""


class Resumed(msgspec.Struct):
    """A rollout that can be gone on with. ``needs_newline``: its last line is whole but for that."""

    meta: SessionMeta
    stat: os.stat_result
    next_ordinal: int | None
    needs_newline: bool
    cut_bytes: int


def place(home: str, path: str) -> tuple[str, str]:
    """Return the absolute plain path of a rollout and the id of its thread.

    Raises ``Refused`` for one that is archived, not in the home, or names no
    thread, and ``Unsupported`` when the disk says no.
    """
    full = paths.logical(os.path.abspath(os.path.join(home, path)))
    relative = os.path.relpath(full, home)
    if relative.startswith("../"):  # the home may have been named through a link, and its file not
        relative = os.path.relpath(os.path.realpath(os.path.dirname(full)), os.path.realpath(home))
        relative = f"{relative}/{os.path.basename(full)}"
        full = f"{home}/{relative}" if not relative.startswith("../") else full
    if paths.is_archived(relative):
        raise Refused(f"{full} is archived", remedy="Unarchive the thread, then resume it.")
    if not relative.startswith(f"{paths.SESSIONS}/") or not paths.is_rollout(os.path.basename(full)):
        raise Refused(f"{full} is no rollout of the home {home}")
    if not (os.path.lexists(full) or os.path.lexists(full + paths.ZST)):
        raise Refused(f"there is no {full}")
    try:
        id16 = id_in(full)
    except NotRegular:
        id16 = None
    except OSError as error:
        raise unwritable(error, f"{full} cannot be read") from error
    if id16 is None:
        raise Refused(f"{full} cannot be gone on with: no session_meta in it says whose it is")
    return full, ids.text(id16)


def resume(path: str, thread_id: str, keep: Keep | None, *, sync: bool) -> Resumed:
    """Make the file at ``path`` ready to be added to. Call it with the writer's lock.

    Raises ``Refused`` or ``Damaged`` with the file as it was, and ``OSError``.
    """
    materialize(path)
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise Refused(f"{path} is no regular file")
        meta = _meta(fd, path, thread_id)
        end = tail(fd, found.st_size, path)
        next_ordinal = _next(meta, end, path)
        cut = 0 if end.is_whole else len(end.fragment)
        if cut:
            if keep is None:
                raise Refused(
                    f"{path} ends with {cut} bytes that are no whole line, behind {end.end}: somebody died writing",
                    remedy="Resume it with keep=, which is given these bytes before they are cut off.",
                )
            keep(path, end.end, end.fragment)
            os.ftruncate(fd, end.end)
            if sync:
                os.fsync(fd)
        return Resumed(meta, os.fstat(fd), next_ordinal, end.is_whole, cut)
    finally:
        os.close(fd)


def _meta(fd: int, path: str, thread_id: str) -> SessionMeta:
    meta = codex.parse(_first_line(fd))
    if not isinstance(meta, SessionMeta) or meta.repaired:
        raise Refused(f"{path} does not begin with a session_meta, and is not gone on with")
    named = paths.name_id(os.path.basename(path))
    if ids.text(meta.id) != thread_id or (named is not None and named != meta.id):
        raise Refused(
            f"{path} is named for {ids.text(named) if named else thread_id}, its session_meta says {ids.text(meta.id)}",
            remedy="Find out which of the two it is; a thread is gone on with only in its own file.",
        )
    if meta.history_mode not in MODES:
        raise Refused(f"{path} has a history mode we do not know, {meta.history_mode!r}")
    return meta


def _first_line(fd: int) -> bytes:
    head = b""
    while len(head) <= FRAGMENT_BYTES_MAX:
        piece = os.pread(fd, 64 * 1024, len(head))
        head += piece
        line, newline, _ = head.lstrip().partition(b"\n")
        if newline or not piece:
            return line
    return b""


def _next(meta: SessionMeta, end: Tail, path: str) -> int | None:
    if meta.history_mode == "legacy":
        return None
    if end.last is None:
        raise Damaged(
            f"the last line of {path} that can be read has no ordinal, and its thread is paginated",
            remedy="Two writers were at this file, or it was edited. Fork the thread below that line.",
        )
    start = meta.own_start_ordinal
    if start is not None and end.last + 1 < start:
        raise Refused(
            f"{path} breaks off at line {end.last}, inside the {start} lines that the sub-agent has from its parent",
            remedy="Spawn the sub-agent again; what it was given is incomplete.",
        )
    return end.last + 1
