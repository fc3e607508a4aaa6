"""Databases with more than one name, sidecars that lie elsewhere, and jobs that delete them."""

from __future__ import annotations

import os
from collections.abc import Iterator

from holdfast.doctor.facts.families import file_at
from holdfast.doctor.facts.look import RawLook
from holdfast.doctor.model import Confidence, Finding, Json, Status

_ONE_NAME = "One file, one name: SQLite finds the log of a database by its name."


def aliased(look: RawLook) -> Iterator[Finding]:
    """F13: a database with hard links, or one that is named by a symlink."""
    for family in look.families:
        path, main = family.database.path, family.main
        if main is not None and main.names > 1:
            yield Finding(
                id="aliased-database",
                row="F13",
                status=Status.FAIL,
                path=path,
                measured=f"The file has {main.names} names (hard links).",
                expected=_ONE_NAME,
                confidence=Confidence.CERTAIN,
                cause="A link was made to it, by a copy that makes links, or by hand. Who opens it by the other name"
                " writes a second log, and both damage it.",
                remedy="End what has it open by the other name, and then remove that other name; `find` with -samefile"
                " names it.",
                details={"names": main.names, "inode": main.key[1]},
            )
        if not os.path.islink(path):
            continue
        beside = [path + ending for ending in ("-wal", "-shm") if file_at(path + ending) is not None]
        found: list[Json] = [*beside]
        yield Finding(
            id="aliased-database",
            row="F13",
            status=Status.FAIL if beside else Status.WARN,
            path=path,
            measured=f"It is a symlink to {family.path}"
            + (f", and {' and '.join(map(os.path.basename, beside))} lie beside the link, too." if beside else "."),
            expected=_ONE_NAME,
            confidence=Confidence.CERTAIN if beside else Confidence.LIKELY,
            cause="It was moved to another disk and linked. Programs that replace the file replace the link, and some"
            " look for the log beside it.",
            remedy="Name the folder it is in to the program (sqlite_home in config.toml, CODEX_SQLITE_HOME), and take"
            " the link away while nothing has it open.",
            details={"target": family.path, "beside": found},
        )


def linked_sidecar(look: RawLook) -> Iterator[Finding]:
    """F28: a -wal or -shm that is a symlink, to a RAM disk mostly."""
    for family in look.families:
        for ending in ("-wal", "-shm", "-journal"):
            path = family.path + ending
            if not os.path.islink(path):
                continue
            target = os.readlink(path)
            yield Finding(
                id="symlinked-sidecar",
                row="F28",
                status=Status.FAIL if ending == "-wal" else Status.WARN,
                path=path,
                measured=f"It is a symlink to {target}.",
                expected="The log and the index of a database are plain files beside it.",
                confidence=Confidence.CERTAIN,
                cause="Somebody linked it to another disk, to spare this one. After a restart the link points at"
                " nothing, or at a log that does not belong to the database any more.",
                remedy="End what has the database open as it usually ends: that empties the log. Then take the link"
                " away. CODEX_SQLITE_HOME moves the whole family.",
                details={"target": target},
            )


def scheduled(look: RawLook) -> Iterator[Finding]:
    """F28: a job that deletes logs of databases."""
    for each in look.scheduled:
        yield Finding(
            id="cron-deletes-wal",
            row="F28",
            status=Status.FAIL,
            path=each.path,
            measured=f"Line {each.number} takes away files that belong to databases: {each.line}",
            expected="Nothing but SQLite removes a -wal or a -shm.",
            confidence=Confidence.LIKELY,
            cause="It was put there to have disk space back. What is in a log and not yet in the database is lost with"
            " it, and who has it open goes on writing into a file that nobody sees.",
            remedy="Take the line out. docs/bad-day.md has one that is safe in its place.",
            details={"line": each.number},
        )
