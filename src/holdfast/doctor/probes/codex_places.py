"""Where the databases of a Codex home lie: generations we do not know, a place they should leave, the one they left."""

from __future__ import annotations

import os
from collections.abc import Iterator

from holdfast.doctor.facts.look import RawLook
from holdfast.doctor.facts.model import Family, Process
from holdfast.doctor.homes import recognising
from holdfast.doctor.model import Confidence, Finding, Json, Status
from holdfast.doctor.probes.probe import Probe


def unknown_generation(look: RawLook) -> Iterator[Finding]:
    """Say which databases are newer than what we know: only what is true of every database is looked for in them."""
    for database in look.target.databases:
        if database.known:
            continue
        yield Finding(
            id="unknown-generation",
            status=Status.PARTIAL,
            path=database.path,
            measured=f"{os.path.basename(database.path)} is newer than what this version of holdfast knows.",
            expected="A generation up to that of Codex 0.169.",
            confidence=Confidence.CERTAIN,
            cause="A later Codex made it.",
            remedy="It was checked as any database is, and what its rows mean was not. Update holdfast.",
            details={"generation": database.generation},
        )


def old_files_held(look: RawLook) -> Iterator[Finding]:
    """Find processes that still have the databases open which the home had before ``sqlite_home`` moved them."""
    for family in look.families:
        if family.database.role != recognising.OLD:
            continue
        holders = [look.processes.all[pid] for pid in look.processes.holders(family) if pid in look.processes.all]
        if not holders:
            continue
        pids: list[Json] = [process.pid for process in holders]
        yield Finding(
            id="old-files-held",
            status=Status.FAIL,
            path=family.path,
            measured=f"Still open in {', '.join(map(_named, holders))}; the home's databases are elsewhere now.",
            expected="Nobody uses what lies where the databases were before.",
            confidence=Confidence.CERTAIN,
            cause="They were started before `sqlite_home` or CODEX_SQLITE_HOME was set, or without it: what they write "
            "is not seen by the others.",
            remedy="End them as their programs are ended, and start them anew.",
            details={"pids": pids},
        )


def relocation_offered(look: RawLook) -> Iterator[Finding]:
    """Offer to move the databases of a Codex home to another folder, when theirs is watched or on a network."""
    if look.target.kind != "codex":
        return
    used = [family for family in look.families if family.database.role != recognising.OLD and family.main is not None]
    for folder in sorted({os.path.dirname(family.path) for family in used}):
        why = _why(look, folder)
        if not why:
            continue
        yield Finding(
            id="relocation-offered",
            row="F12" if "filesystem" in why else "F02",
            status=Status.WARN,
            path=folder,
            measured=why,
            expected="A local folder that holds databases only, and that nobody watches.",
            confidence=Confidence.CERTAIN,
            cause="Codex keeps its databases in its home, unless it is told another place.",
            remedy="End every Codex of this home, copy the `*.sqlite` files with their -wal to a new local folder, set "
            "`sqlite_home` in config.toml to its whole path, and start Codex. `holdfast doctor` then names who still "
            "has the old files open.",
            details={"folder": folder, "databases": [os.path.basename(each.path) for each in _in(folder, used)]},
        )


def _why(look: RawLook, folder: str) -> str:
    place = look.place_of(folder)
    if place is not None and not place.trusted:
        return f"The databases lie on a filesystem of the kind {place.kind}, on which SQLite's locks cannot be trusted."
    try:
        info = os.stat(folder)
    except OSError:
        return ""
    watchers = sorted({mark.pid for mark in look.processes.marks if mark.key == (info.st_dev, info.st_ino)})
    named = [_named(look.processes.all[pid]) for pid in watchers if pid in look.processes.all]
    return f"{', '.join(named)} watch the folder of the databases: each write wakes them." if named else ""


def _in(folder: str, families: list[Family]) -> list[Family]:
    return [family for family in families if os.path.dirname(family.path) == folder]


def _named(process: Process) -> str:
    return f"{process.command} (process {process.pid})"


CODEX_PLACES: tuple[Probe[RawLook], ...] = (
    Probe("unknown-generation", unknown_generation, kinds=("codex", "sqlite")),
    Probe("old-files-held", old_files_held, kinds=("codex",)),
    Probe("relocation-offered", relocation_offered, rows=("F02", "F12"), kinds=("codex",)),
)
