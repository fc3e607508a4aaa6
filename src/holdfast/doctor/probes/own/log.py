"""What is wrong with the log in ``logs/``: bytes that are no record any more, more of them than allowed, strangers."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from holdfast import lockfiles
from holdfast.doctor.homes.look import SqlLook
from holdfast.doctor.model import Confidence, Finding, Json, Status
from holdfast.doctor.probes.own import places
from holdfast.doctor.probes.wording import sentence, some
from holdfast.logs import account, caps, gone, hiding, ids, limits, reading, room
from holdfast.logs.format import is_segment
from holdfast.logs.reading import Segment, SegmentFile
from holdfast.quantities import duration

_MIB: Final = 1 << 20
_OURS: Final = {account.FILE, gone.FILE, hiding.FILE, ids.FILE, limits.FILE, room.LOCK}
_DAY_S: Final = 86_400
_SHOWN: Final = 5


def strangers(look: SqlLook) -> Iterator[Finding]:
    """Find files in ``logs/`` that are not the log's: no limit takes them away."""
    folder = places.folder(look, places.LOGS)
    found = {
        name: taken
        for name, taken in _entries(folder).items()
        if not is_segment(name) and name not in _OURS and name.removesuffix(".new") not in _OURS
    }
    size = sum(found.values())
    if found:
        yield _finding(
            "own-log-strangers",
            folder,
            measured=f"{len(found)} files that are no part of the log, {size / _MIB:.1f} MiB: {some(sorted(found))}",
            expected="segments, and the few small files beside them",
            cause="Somebody put them there. They do not count for the limits of the log, and never go by themselves.",
            remedy="Move them elsewhere if they are wanted.",
            count=len(found),
            bytes=size,
        )


def over_cap(look: SqlLook) -> Iterator[Finding]:
    """Find a log that takes more than it may."""
    folder = places.folder(look, places.LOGS)
    taken = sum(size for name, size in _entries(folder).items() if is_segment(name))
    most = limits.in_force(folder).bytes if taken else 0
    if taken > most + _MIB:
        yield _finding(
            "own-log-over-cap",
            folder,
            measured=f"{taken / _MIB:.1f} MiB of segments",
            expected=f"at most {most / _MIB:.1f} MiB",
            cause="The limit was lowered, or the disk shrank, and no writer has needed room since; or segments were"
            " copied back into it.",
            remedy="`holdfast logs prune --dry-run` says which segments would go, `holdfast logs prune` lets them.",
            bytes=taken,
            bytes_max=most,
        )


def refused(look: SqlLook) -> Iterator[Finding]:
    """Find a log that could not be written within the last day."""
    folder = places.folder(look, places.LOGS)
    books = account.read(folder)
    ago_s = time.time() - books.last_error_us / 1e6
    count = books.refused.get(caps.ERROR, 0)
    if count and books.last_error and ago_s < _DAY_S:
        yield _finding(
            "own-log-refused",
            folder,
            measured=f"{count} records were not taken, the last {duration(int(ago_s * 1000))} ago: {books.last_error}",
            expected="a log that can be written",
            cause="The disk is full, read-only, or failing; programs went on without their log.",
            remedy="Make room, or give the directory back to its owner; writers try again by themselves.",
            confidence=Confidence.LIKELY,
            refused=count,
        )


def lost_records(look: SqlLook) -> Iterator[Finding]:
    """Find bytes in segments that are no frame any more. With ``deep`` every frame is unpacked against its checksum.

    The end of a segment whose writer was killed is torn as a matter of course, and is no finding.
    """
    folder = places.folder(look, places.LOGS)
    found: dict[str, int] = {}
    is_whole = True
    for segment in reversed(reading.listing(folder)):
        if time.monotonic_ns() > look.deadline_ns:
            is_whole = False
            break
        if lost := _lost_bytes(segment, deep=look.deep):
            found[os.path.basename(segment.path)] = lost
    if found:
        segments: dict[str, Json] = dict(list(found.items())[:_SHOWN])
        yield _finding(
            "own-log-damaged",
            folder,
            measured=f"{sum(found.values())} bytes in {len(found)} segments are no records any more: {some(found)}"
            + ("" if is_whole else "; older segments were not looked at"),
            expected="frames and their summaries, without a gap",
            cause="The disk lost them, or something else wrote into the segment.",
            remedy="Records in those bytes are lost, all others are read as before. Nothing has to be done.",
            segments=segments,
        )


def _lost_bytes(segment: Segment, *, deep: bool) -> int:
    if not segment.packed:
        return 0  # a plain line that is torn costs itself
    lost = 0
    try:
        file = SegmentFile(segment)
        for stretch in file.stretches():
            if stretch.summary is None:
                lost += stretch.end - stretch.begin if stretch.end < segment.size else 0
            elif deep and stretch.summary.count and not file.text(stretch):
                lost += stretch.end - stretch.begin
        seen = os.lstat(segment.path)
    except OSError:
        return 0  # it went meanwhile
    is_same = seen.st_ino == segment.inode and seen.st_size >= segment.size
    return lost if is_same and not lockfiles.holders(segment.path) else 0


def _entries(folder: str) -> dict[str, int]:
    """Return what lies there, and how many bytes each takes on the disk."""
    found = {}
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # it was let go meanwhile
                found[entry.name] = entry.stat(follow_symlinks=False).st_blocks * 512
    return found


def _finding(
    id: str,
    path: str,
    *,
    measured: str,
    expected: str,
    cause: str,
    remedy: str,
    confidence: Confidence = Confidence.CERTAIN,
    **details: Json,
) -> Finding:
    return Finding(
        id=id,
        status=Status.WARN,
        path=path,
        measured=sentence(measured),
        expected=sentence(expected),
        confidence=confidence,
        cause=cause,
        remedy=remedy,
        details=details,
    )
