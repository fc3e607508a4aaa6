"""What else lies in a state directory: receipts, the write-ahead log of ``state.db``, copies in ``backups/``."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Final

import msgspec

from holdfast import lockfiles
from holdfast.doctor.homes.look import SqlLook
from holdfast.doctor.model import Confidence, Finding, Json, Status
from holdfast.doctor.probes.own import places
from holdfast.doctor.probes.wording import sentence, some
from holdfast.quantities import duration
from holdfast.receipts import keeping
from holdfast.receipts.model import Receipt
from holdfast.sqlite import Limits
from holdfast.sqlite.locks import pinners

_MIB: Final = 1 << 20
_MOMENT_MS: Final = 60_000
"""A receipt so young may just be carried out by who has not locked it yet."""

_BACKUPS_BYTES: Final = 4 << 30
"""Twice what copies of ``state.db`` may take; what people said, and what was moved aside, is small beside that."""

_PARTIAL_S: Final = 3_600
_SHOWN: Final = 5


def receipts(look: SqlLook) -> Iterator[Finding]:
    """Find changes of homes that were stopped in the middle, and receipts that cannot be read."""
    folder = places.folder(look, places.RECEIPTS)
    for name in _names(folder):
        if name.startswith("."):
            continue  # in the making: nothing of it was done
        at = os.path.join(folder, name)
        try:
            receipt = keeping.load(at)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            if os.path.isdir(at):
                yield _unreadable(at, str(error))
            continue
        age_ms = time.time_ns() // 1_000_000 - receipt.written_ms
        if receipt.state == "unfinished" and age_ms > _MOMENT_MS and not lockfiles.holders(at):
            yield _unfinished(receipt, age_ms)


def _unfinished(receipt: Receipt, age_ms: int) -> Finding:
    return Finding(
        id="own-receipt-unfinished",
        status=Status.WARN,
        path=receipt.at,
        measured=sentence(
            f"{receipt.title!r} was stopped after {receipt.steps_done} of {len(receipt.steps)} steps,"
            f" {duration(age_ms)} ago, and nobody is at it"
        ),
        expected="All of its steps done, or all of them undone.",
        confidence=Confidence.CERTAIN,
        cause="Who carried it out was killed, or a disk was full.",
        remedy=f"`holdfast undo {receipt.id}` puts back what it did; with `--finish` it does the rest.",
        details={"receipt": receipt.id, "steps_done": receipt.steps_done, "steps": len(receipt.steps)},
    )


def _unreadable(at: str, why: str) -> Finding:
    return Finding(
        id="own-receipt-unreadable",
        status=Status.WARN,
        path=at,
        measured=sentence(f"its receipt cannot be read: {why}"),
        expected="A receipt that says what was done, and how it is undone.",
        confidence=Confidence.CERTAIN,
        cause="Something else wrote it, or the disk lost it.",
        remedy="Copies of what it took away lie beside it: keep the folder until the home was looked through.",
    )


def log_of_state(look: SqlLook) -> Iterator[Finding]:
    """Find a write-ahead log of ``state.db`` that is near to where writes are refused."""
    limits = Limits()
    state = places.database(look, places.STATE_DB)
    size = 0 if state is None else _size(f"{state.path}-wal")
    if state is None or size < limits.wal_hard_bytes // 2:
        return
    full = size >= limits.wal_hard_bytes
    held = pinners(state.path)
    yield Finding(
        id="own-wal",
        status=Status.FAIL if full else Status.WARN,
        path=f"{state.path}-wal",
        measured=sentence(
            f"{size / _MIB:.0f} MiB" + (f"; kept from being reset by {', '.join(map(str, held))}" if held else "")
        ),
        expected=sentence(
            f"{limits.wal_soft_bytes // _MIB} MiB or little more; at {limits.wal_hard_bytes // _MIB} MiB"
            " writes are refused"
        ),
        confidence=Confidence.CERTAIN,
        cause="A reader does not end." if held else "A reader did not end for long; nobody has written since.",
        remedy="End the reader that is named: the next writer resets the log."
        if held
        else "The next `holdfast` that writes resets the log.",
        repair=None if held else "checkpoint-truncate",
        details={"bytes": size, "pids": [each.pid for each in held]},
        row="F03a" if held else "F03b",
    )


def copies(look: SqlLook) -> Iterator[Finding]:
    """Find a ``backups/`` that takes more than it may, and copies that were begun by who is dead."""
    folder = places.folder(look, places.BACKUPS)
    total, abandoned = 0, list[str]()
    now_s = time.time()
    for above, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(above, name)
            try:
                info = os.lstat(path)
            except OSError:
                continue
            total += info.st_blocks * 512
            old = now_s - info.st_mtime > _PARTIAL_S
            if old and name.startswith(".") and name.endswith(".partial") and not lockfiles.holders(path):
                abandoned.append(name)
    shown: list[Json] = list(abandoned[:_SHOWN])
    if total > _BACKUPS_BYTES or abandoned:
        yield Finding(
            id="own-backups",
            status=Status.WARN,
            path=folder,
            measured=sentence(
                f"{total / _MIB:.0f} MiB"
                + (f", {len(abandoned)} of its copies begun and never ended: {some(abandoned)}" if abandoned else "")
            ),
            expected=sentence(f"at most {_BACKUPS_BYTES // _MIB} MiB, and no copy without an end"),
            confidence=Confidence.CERTAIN,
            cause="Somebody put files there, or the process that made a copy was killed.",
            remedy="`holdfast backup` takes away what was never ended, and all but the newest copies. What others put"
            " there is theirs to move.",
            details={"bytes": total, "abandoned": shown},
        )


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _size(path: str) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0
