"""Who keeps others from writing, or the log from being emptied."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.doctor.facts.look import RawLook
from holdfast.doctor.facts.model import Family, Key, Lock, Processes
from holdfast.doctor.model import Confidence, Finding, Json, Status
from holdfast.doctor.probes.outside import words

# The bytes SQLite locks: sqlite.org/walformat.html ("WAL locks"), sqlite.org/lockingv3.html (the rest).
WRITE, CHECKPOINT, RECOVER, READ_0 = 120, 121, 122, 123
MARKS = 5
PENDING = 0x40000000
RESERVED = PENDING + 1
SHARED = (PENDING + 2, PENDING + 511)

LONG_S = 5
"""A write transaction of a process that is at work may take so long; of one that sleeps, it may not."""

_NAMES = {WRITE: "the write lock", CHECKPOINT: "the checkpoint lock", RECOVER: "the recovery lock"} | {
    READ_0 + number: f"read mark {number}" for number in range(MARKS)
}


def write_held(look: RawLook) -> Iterator[Finding]:
    """F07, F10: a write transaction that does not end, and locks of a process that is stopped."""
    if look.later is None:
        return
    for family, later in zip(look.families, look.later.families, strict=True):
        stopped = _stopped(look.later.processes, later)
        if stopped:
            yield _stopped_holder(look.later.processes, family, stopped)
        for pid in sorted(_writers(look.processes, family) & _writers(look.later.processes, later) - stopped.keys()):
            if not _moved_on(family, later) and (look.seconds >= LONG_S or _slept(look, pid)):
                yield _held(look, family, pid)


def _writers(processes: Processes, family: Family) -> set[int]:
    found = {lock.pid for lock in processes.locks_on(family.shm) if lock.covers(WRITE)}
    found |= {lock.pid for lock in processes.locks_on(family.main) if lock.covers(PENDING) or lock.covers(RESERVED)}
    return {pid for pid in found if pid is not None}


def _moved_on(family: Family, later: Family) -> bool:
    """Whether anything was committed between the two looks."""
    if family.index is not None and later.index is not None:
        return (family.index.changes, family.index.salts) != (later.index.changes, later.index.salts)
    return family.header != later.header


def _slept(look: RawLook, pid: int) -> bool:
    """Whether a process did nothing at all between the two looks."""
    assert look.later is not None
    before, after = look.processes.all.get(pid), look.later.processes.all.get(pid)
    if before is None or after is None:
        return False
    return after.state not in "RD" and before.cpu_ticks == after.cpu_ticks


def _held(look: RawLook, family: Family, pid: int) -> Finding:
    slept = _slept(look, pid)
    return Finding(
        id="write-lock-held",
        row="F07",
        status=Status.WARN,
        path=family.database.path,
        measured=f"{words.one(pid, look.processes)} has the write lock for {look.seconds:.1f} s or longer, and"
        f" committed nothing in that time{', in which it slept' if slept else ''}.",
        expected="A write transaction ends within a part of a second; nobody else can write until then.",
        confidence=Confidence.CERTAIN,
        cause="A transaction was left open while the process waits for something else: a model, a network, a person."
        if slept
        else "It does too much in one transaction, or the disk is slow.",
        remedy="Let that process go on or end as it usually does; what it has not committed is rolled back. Others"
        ' that say "database is locked" are not to blame, and nothing is wrong with the file.',
        details={"pid": pid, "held_s": round(look.seconds, 1), "slept": slept},
    )


def _stopped(processes: Processes, family: Family) -> dict[int, set[str]]:
    """Return which stopped processes hold which locks."""
    found: dict[int, set[str]] = {}
    for lock in processes.locks_on(family.shm):
        for byte in range(WRITE, READ_0 + MARKS):
            if lock.pid is not None and lock.covers(byte):
                found.setdefault(lock.pid, set()).add(_NAMES[byte])
    for lock in processes.locks_on(family.main):
        if lock.pid is not None and (lock.covers(RESERVED) or lock.covers(PENDING)):
            found.setdefault(lock.pid, set()).add(_NAMES[WRITE])
    known = processes.all
    return {pid: names for pid, names in found.items() if pid in known and known[pid].is_stopped}


def _stopped_holder(processes: Processes, family: Family, stopped: dict[int, set[str]]) -> Finding:
    blocks = any(_NAMES[WRITE] in names for names in stopped.values())
    told = "; ".join(
        f"{words.one(pid, processes)} holds {' and '.join(sorted(names))}" for pid, names in sorted(stopped.items())
    )
    pids: list[Json] = [*sorted(stopped)]
    return Finding(
        id="stopped-holder",
        row="F10",
        status=Status.FAIL if blocks else Status.WARN,
        path=family.database.path,
        measured=f"{told}.",
        expected="Who holds a lock is at work, and lets it go within a part of a second.",
        confidence=Confidence.CERTAIN,
        cause="The process was stopped (Ctrl-Z, a debugger, SIGSTOP) in the middle of a transaction. "
        + ("Nobody can write until it goes on." if blocks else "The log cannot be emptied until it goes on."),
        remedy="Have it go on: `fg` in its terminal, or kill -CONT with its number. Then it ends its transaction by"
        " itself.",
        details={"pids": pids, "blocks_writers": blocks},
    )


def pinning(look: RawLook, family: Family, later: Family) -> dict[int, int]:
    """Return who keeps the log from being begun anew, in both looks, and as of which frame each of them reads."""
    if family.index is None or later.index is None or look.later is None:
        return {}
    found: dict[int, int] = {}
    after = look.later.processes.locks_on(later.shm)
    for lock in look.processes.locks_on(family.shm):
        for number in range(MARKS):
            mark = 0 if not number else family.index.marks[number]
            if lock.pid is None or mark is None or not lock.covers(READ_0 + number) or mark >= family.index.frames:
                continue
            same = (0 if not number else later.index.marks[number]) == mark
            if same and any(each.pid == lock.pid and each.covers(READ_0 + number) for each in after):
                found[lock.pid] = min(mark, found.get(lock.pid, mark))
    return found


def is_read(look: RawLook, family: Family) -> bool:
    """Whether any read of the database is open now."""
    reads = range(READ_0, READ_0 + MARKS)
    return any(lock.covers(byte) for lock in look.processes.locks_on(family.shm) for byte in reads)


def lost(look: RawLook) -> Iterator[Finding]:
    """Processes that use a WAL database and have no lock on it: the next to close it elsewhere takes their log away."""
    if look.later is None:
        return
    for family, later in zip(look.families, look.later.families, strict=True):
        if family.main is None or family.shm is None or family.header is None or not family.header.in_wal_mode:
            continue
        bare = _bare(look.processes, family) & _bare(look.later.processes, later)
        if not bare:
            continue
        pids: list[Json] = [*sorted(bare)]
        yield Finding(
            id="lost-locks",
            row="F13",
            status=Status.WARN,
            path=family.database.path,
            measured=f"{words.all_of(bare, look.processes)} has the database, its log and its index open, and no lock"
            f" on the database, in two looks {look.seconds:.1f} s apart.",
            expected="Every connection in WAL mode keeps a shared lock on the database as long as it is open.",
            confidence=Confidence.LIKELY,
            cause="Something in that process opened the file by itself and closed it again (a copy, a checksum, a"
            " chmod): that cancels all locks the process has on it (fcntl(2)). When the last other process closes the"
            " database, it deletes the log under this one, and what that writes from then on is lost.",
            remedy="Close that process as one closes it and start it again, before others close the database. Its"
            " code must not open the files of a database past SQLite.",
            details={"pids": pids},
        )


def _bare(processes: Processes, family: Family) -> set[int]:
    """Return who has all three files and no lock, apart from what a fork has of its parent."""
    assert family.main is not None
    shared = [lock for lock in processes.locks_on(family.main) if _is_shared(lock)]
    if any(lock.pid is None for lock in shared):
        return set()  # a lock whose owner cannot be told may be anybody's
    locked = {lock.pid for lock in shared}
    wanted: set[Key] = {key for key, ending in family.keys.items() if ending in ("", "-wal", "-shm")}
    return {
        pid
        for pid, files in processes.users(family).items()
        if pid not in locked and len(wanted) == 3 and wanted <= {file.key for file in files if file.fd >= 0}
    }


def _is_shared(lock: Lock) -> bool:
    return lock.first <= SHARED[1] and lock.last >= SHARED[0]
