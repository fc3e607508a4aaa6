"""The size of databases and their logs: high-water, starved, slow to open, churned, without a limit."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.doctor.facts.look import RawLook
from holdfast.doctor.facts.model import Family
from holdfast.doctor.model import Confidence, Finding, Json, Status
from holdfast.doctor.probes.outside import locks, words

MIB = 1 << 20
HIGH_WATER_BYTES = 64 * MIB
STARVED_BYTES = 64 * MIB
PINNED_BYTES = 24 * MIB
"""Of a log that a reader was seen to pin: above what SQLite (4 MiB) and we (16 MiB) let it grow to by themselves."""
STARVED_FAIL_BYTES = 1 << 30
READ_BYTES_S = 200 * MIB
SLOW_OPEN_S = 5
LOGS_BYTES_MAX = 512 * MIB
CHURN_BYTES_S = MIB // 4
CHURN_AGE_S = 600
CHURN_DAY_BYTES = 2 << 30
"""Above 2 GiB a day for each process macOS ends it; our own limit is 200 MiB."""


def high_water(look: RawLook) -> Iterator[Finding]:
    """F03b: a log whose file is far larger than what is still needed of it, or that nobody is there to empty."""
    for family, later in _twice(look):
        if family.wal is None or later.wal is None or family.main is None:
            continue
        size = min(family.wal.size, later.wal.size)
        needed = _needed(family)
        if size < max(HIGH_WATER_BYTES, family.main.size // 10) or needed is None:
            continue
        is_open = look.processes.is_open(family)
        if is_open and needed > size // 2:
            continue  # it is full, and is another finding when it stays so
        yield Finding(
            id="wal-high-water",
            row="F03b",
            status=Status.WARN,
            path=family.database.path,
            measured=f"Its log takes {words.size(size)}; {words.size(needed)} of that are still needed."
            f" The database has {words.size(family.main.size)}. {words.holders(family, look.processes)}",
            expected=f"A log of less than {words.size(HIGH_WATER_BYTES)}, or a tenth of the database.",
            confidence=Confidence.CERTAIN,
            cause="It grew while something kept it from being emptied, and SQLite makes it no shorter by itself: no"
            " limit (journal_size_limit) is set."
            if needed <= size // 2
            else "The last process that had it open was killed, so nobody copied the log into the database.",
            remedy="`holdfast doctor --plan` makes a plan that copies what is needed and empties the log. Never delete"
            " the file by hand: what is only in it would be lost.",
            repair="checkpoint-truncate",
            details={"wal_bytes": size, "needed_bytes": needed, "database_bytes": family.main.size, "open": is_open},
        )


def _needed(family: Family) -> int | None:
    """Return how many bytes of the log are not in the database yet."""
    live = family.live_bytes
    if live is None:
        return None
    if family.index is not None and live == 32 + family.index.frames * family.frame_bytes:
        live -= min(family.index.copied, family.index.frames) * family.frame_bytes
    return live if live > 32 else 0


def starved(look: RawLook) -> Iterator[Finding]:
    """F03a: a log that only grows, since a read needs its beginning, or since nobody copies it."""
    for family, later in _twice(look):
        index, after = family.index, later.index
        if index is None or after is None or family.wal is None or not look.processes.locks_on(family.shm):
            continue
        is_behind = index.copied < index.frames and index.copied == after.copied and index.salts == after.salts
        live_bytes = after.frames * later.frame_bytes
        pinners = locks.pinning(look, family, later)
        if not is_behind or live_bytes < (PINNED_BYTES if pinners else STARVED_BYTES):
            continue
        marks: dict[str, Json] = {str(pid): mark for pid, mark in pinners.items()}
        who, cause, remedy = _why_starved(look, family, later, pinners)
        yield Finding(
            id="wal-starved",
            row="F03a",
            status=Status.FAIL if live_bytes >= STARVED_FAIL_BYTES else Status.WARN,
            path=family.database.path,
            measured=f"Its log has {after.frames:,} frames ({words.size(live_bytes)}), of which {after.copied:,} are in"
            f" the database, the same in two looks {look.seconds:.1f} s apart; {after.frames - index.frames:,} came in"
            f" between. {who}",
            expected="Every frame is copied within seconds, and then the log begins anew.",
            confidence=Confidence.CERTAIN if pinners else Confidence.LIKELY,
            cause=cause,
            remedy=remedy,
            details={
                "frames": after.frames, "copied": after.copied, "live_bytes": live_bytes, "wal_bytes": family.wal.size,
                "pinned_by": marks,
            },
        )  # fmt: skip


def _why_starved(look: RawLook, family: Family, later: Family, pinners: dict[int, int]) -> tuple[str, str, str]:
    if pinners:
        stopped = any(pid in look.processes.all and look.processes.all[pid].is_stopped for pid in pinners)
        return (
            f"The oldest read sees {min(pinners.values()):,} of them: {words.all_of(pinners, look.processes)}.",
            "A read that does not end keeps all that was written since in the log."
            + (" The process is stopped, so it will not end." if stopped else ""),
            "Let the process named end its read: have it go on (kill -CONT, if it is stopped), or close it as one"
            " closes it. Then look again; a log that stays large is emptied by a plan.",
        )
    if locks.is_read(look, family) and look.later is not None and locks.is_read(look.later, later):
        return (
            f"Which read it is cannot be told. {words.holders(family, look.processes)}",
            "Reads that overlap, or one that does not end, keep what was written since in the log.",
            "Close the programs that have it open, one after the other, and look again after each.",
        )
    return (
        f"No read was open that needs it. {words.holders(family, look.processes)}",
        "Nobody copies it into the database: the programs have turned that off, or it fails.",
        "`holdfast doctor --plan` makes a plan that does it. The programs should leave wal_autocheckpoint as it is.",
    )


def slow_open(look: RawLook) -> Iterator[Finding]:
    """F08: a database that takes long to open, since all of its log must be read first."""
    for family in look.families:
        live = family.live_bytes or 0
        recovers = 0 if look.processes.is_open(family) else live
        # At its start Codex looks through all of its log for what is old.
        reads = (
            family.main.bytes if family.main and family.database.role == "logs" and look.target.kind == "codex" else 0
        )
        seconds = (recovers + reads) / READ_BYTES_S
        if seconds < SLOW_OPEN_S:
            continue
        parts = [f"a log of {words.size(recovers)} to read before anything else"] if recovers else []
        parts += [f"{words.size(reads)} of log rows that Codex looks through when it starts"] if reads else []
        yield Finding(
            id="slow-open",
            row="F08",
            status=Status.WARN,
            path=family.database.path,
            measured=f"It has {' and '.join(parts)}: about {seconds:,.0f} s at {words.size(READ_BYTES_S)}/s, more where"
            " the disk is slower.",
            expected=f"Less than {SLOW_OPEN_S} s.",
            confidence=Confidence.LIKELY,
            cause="The log was never emptied before the last process ended."
            if recovers
            else "Nothing limits its size.",
            remedy="`holdfast doctor --plan` makes a plan for it while nobody has it open. Let the first start take its"
            " time until then: a start that is killed begins again from nothing.",
            repair="checkpoint-truncate" if recovers else "prune-logs",
            details={"seconds": round(seconds, 1), "wal_bytes": recovers, "read_bytes": reads},
        )


def without_limit(look: RawLook) -> Iterator[Finding]:
    """F06: a database of log rows that is larger than anybody reads."""
    for family in look.families:
        if family.database.role != "logs" or family.main is None:
            continue
        total = sum(file.bytes for file in (family.main, family.wal) if file is not None)
        if total < LOGS_BYTES_MAX:
            continue
        yield Finding(
            id="logs-no-cap",
            row="F06",
            status=Status.WARN,
            path=family.database.path,
            measured=f"Its log rows take {words.size(total)} on the disk.",
            expected=f"Less than {words.size(LOGS_BYTES_MAX)}: what anybody reads of a log is a small part of that.",
            confidence=Confidence.CERTAIN,
            cause="Its limits hold for each thread and each process, and nothing limits the whole.",
            remedy="`holdfast doctor --plan` makes a plan that keeps the newest rows and gives the rest back.",
            repair="prune-logs",
            details={"bytes": total, "bytes_max": LOGS_BYTES_MAX},
        )


def churn(look: RawLook) -> Iterator[Finding]:
    """F01: a log database that is written all the time, by a process that wrote all its life."""
    for family, later in _twice(look):
        if family.database.role != "logs":
            continue
        rate = _rate(look, family, later)
        if rate < CHURN_BYTES_S:
            continue
        days: dict[int, float] = {}
        for pid in look.processes.holders(family):
            process = look.processes.all.get(pid)
            if process is None or process.written_bytes is None or process.age_s < CHURN_AGE_S:
                continue
            days[pid] = process.written_bytes / process.age_s * 86_400
        busy = {pid: each for pid, each in days.items() if each >= CHURN_DAY_BYTES}
        if not busy:
            continue
        pid = max(busy, key=lambda each: busy[each])
        written = look.processes.all[pid].written_bytes or 0
        yield Finding(
            id="log-churn",
            row="F01",
            status=Status.WARN,
            path=family.database.path,
            measured=f"Who has it open wrote {words.size(rate)}/s to disks over {look.seconds:.1f} s, its log among"
            f" that. {words.one(pid, look.processes)} wrote {words.size(written)} to disks since it began:"
            f" {words.size(busy[pid])} a day.",
            expected=f"Less than {words.size(CHURN_DAY_BYTES)} a day.",
            confidence=Confidence.LIKELY,
            cause="Every line of its log, at the finest level, is a row that is written, and soon deleted again.",
            remedy="Have the program keep less of its log, or update it. `holdfast doctor --plan` makes a plan for the"
            " rows that are there.",
            details={"bytes_per_s": round(rate), "written_bytes": written, "bytes_per_day": round(busy[pid])},
        )


def _rate(look: RawLook, family: Family, later: Family) -> float:
    """Return the bytes a second that its holders gave to disks; 0 when nothing was written to the log meanwhile."""
    assert look.later is not None
    if not wal_growth(look, family, later):
        return 0.0
    gave = 0
    for pid in look.processes.holders(family):
        before, after = look.processes.all.get(pid), look.later.processes.all.get(pid)
        if before and after and before.written_bytes is not None and after.written_bytes is not None:
            gave += after.written_bytes - before.written_bytes
    return max(gave / look.seconds, wal_growth(look, family, later))


def wal_growth(look: RawLook, family: Family, later: Family) -> float:
    """Return how many bytes a second went into the log between the two looks, at least.

    Of a log that began anew in between, only what came after its last beginning is known.
    """
    if family.index is None or later.index is None or not look.seconds:
        return 0.0
    same = family.index.salts == later.index.salts
    frames = later.index.frames - (family.index.frames if same else 0)
    return max(0, frames) * later.frame_bytes / look.seconds


def _twice(look: RawLook) -> Iterator[tuple[Family, Family]]:
    if look.later is not None:
        yield from zip(look.families, look.later.families, strict=True)
