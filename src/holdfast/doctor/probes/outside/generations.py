"""Files that are in use and have no name any more, two logs of one database, and databases used at an old place."""

from __future__ import annotations

import os
from collections.abc import Iterator

from holdfast.doctor.facts.look import RawLook
from holdfast.doctor.facts.model import Family, Opened
from holdfast.doctor.model import Confidence, Finding, Json, Status
from holdfast.doctor.probes.outside import words

OLD = "old"
"""The role of a database that lies where its home had it before it was moved (``homes/recognising``)."""


def deleted(look: RawLook) -> Iterator[Finding]:
    """F04: what was deleted while it was open. In both looks: the last to close a database deletes its log himself."""
    for family in look.families:
        gone = _gone(look, family)
        logs = [each for each in gone if each.name.endswith("-wal")]
        current = family.wal.key if family.wal is not None else None
        if logs and current is not None and not any(each.name == family.path for each in gone):
            yield _two_logs(look, family, logs)
            gone = [each for each in gone if each not in logs and not each.name.endswith("-shm")]
        if gone:
            yield _deleted(look, family, gone)


def _gone(look: RawLook, family: Family) -> list[Opened]:
    names = {family.path + ending for ending in ("", "-wal", "-shm")}
    later = set() if look.later is None else {_same(each) for each in look.later.processes.opened if each.deleted}
    found: dict[tuple[int, tuple[int, int]], Opened] = {}
    for each in look.processes.opened:
        if each.deleted and each.name in names and _same(each) in later:
            found.setdefault((each.pid, each.key), each)
    return list(found.values())


def _same(opened: Opened) -> tuple[int, int, tuple[int, int]]:
    return opened.pid, opened.fd, opened.key


def _deleted(look: RawLook, family: Family, gone: list[Opened]) -> Finding:
    sizes = {each.key: each.bytes for each in gone}
    names = ", ".join(sorted({os.path.basename(each.name) for each in gone}))
    lost = any(not each.name.endswith("-shm") for each in gone)
    pids: list[Json] = [*sorted({each.pid for each in gone})]
    return Finding(
        id="deleted-but-open",
        row="F04",
        status=Status.FAIL if lost else Status.WARN,
        path=family.database.path,
        measured=f"{len(sizes)} deleted files are still open, with {words.size(sum(sizes.values()))} on the disk:"
        f" {names}, in {words.all_of((each.pid for each in gone), look.processes)}.",
        expected="The files of a database that is in use have their names.",
        confidence=Confidence.CERTAIN,
        cause="Somebody deleted or replaced them while they were in use: a command or a job that deletes `*-wal`, or a"
        " program that lost its locks.",
        remedy="Start nothing that opens this database until the processes named have ended as they usually end: what"
        " they write goes into files that nobody else sees, and the disk has the room back only then. Copy the"
        " database first; then look again.",
        details={"pids": pids, "bytes": sum(sizes.values()), "files": len(sizes)},
    )


def _two_logs(look: RawLook, family: Family, logs: list[Opened]) -> Finding:
    assert family.wal is not None
    current = [
        pid for pid, files in look.processes.holders(family).items() if any(f.key == family.wal.key for f in files)
    ]
    old: list[Json] = [*sorted({each.pid for each in logs})]
    new: list[Json] = [*sorted(current)]
    return Finding(
        id="two-wal-generations",
        row="F04",
        status=Status.FAIL,
        path=family.database.path,
        measured=f"A deleted log of {words.size(sum({each.key: each.bytes for each in logs}.values()))} is in use by"
        f" {words.all_of((each.pid for each in logs), look.processes)}, beside the one that is there"
        f" ({words.size(family.wal.size)}, "
        + (f"in use by {words.all_of(current, look.processes)})." if current else "in use by nobody that was seen)."),
        expected="All who use a database write one log.",
        confidence=Confidence.CERTAIN,
        cause="The log was deleted while it was in use, and the next program to open the database made another. Both"
        " copy pages into one database without knowing of each other: that damages it.",
        remedy="Start nothing more that opens this database. End those named as they usually end, the ones with the"
        " deleted log last, and let `holdfast doctor --deep` check it before it is used again.",
        details={"old": old, "new": new},
    )


def old_place(look: RawLook) -> Iterator[Finding]:
    """Processes that still use the databases of a home at the place where they were before."""
    for family in look.families:
        found = look.processes.holders(family)
        if family.database.role != OLD or not found:
            continue
        pids: list[Json] = [*sorted(found)]
        yield Finding(
            id="old-files-held",
            row="F13",
            status=Status.WARN,
            path=family.database.path,
            measured=f"It lies where the home had its databases before, and is open in"
            f" {words.all_of(found, look.processes)}.",
            expected="Every program uses the databases at the place the home names.",
            confidence=Confidence.CERTAIN,
            cause="The programs were started before the databases were moved, or with another setting. What they write"
            " is not seen by the others.",
            remedy="End them as they usually end, and start them again.",
            details={"pids": pids},
        )
