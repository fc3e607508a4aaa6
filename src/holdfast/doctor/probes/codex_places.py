"""Where the databases of a Codex home lie: generations we do not know, and a place that they had better leave."""

from __future__ import annotations

import os
from collections.abc import Iterator

from holdfast.doctor.facts.look import RawLook
from holdfast.doctor.facts.model import Family
from holdfast.doctor.homes.recognising import OLD
from holdfast.doctor.model import Confidence, Finding, Json, Status
from holdfast.doctor.probes.outside import words


def unknown_generation(look: RawLook) -> Iterator[Finding]:
    """Databases that are newer than what we know: only what is true of every database is looked for in them."""
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


def relocation_offered(look: RawLook) -> Iterator[Finding]:
    """Databases of a Codex home that had better lie elsewhere: on a network, or in a folder their own user watches."""
    used = [family for family in look.families if family.database.role != OLD and family.main is not None]
    for folder in sorted({os.path.dirname(family.path) for family in used}):
        families = [family for family in used if os.path.dirname(family.path) == folder]
        why, row = _why(look, folder, families)
        if not why:
            continue
        names: list[Json] = [os.path.basename(family.path) for family in families]
        yield Finding(
            id="relocation-offered",
            row=row,
            status=Status.WARN,
            path=folder,
            measured=why,
            expected="A local folder that holds databases only, and that nobody watches.",
            confidence=Confidence.CERTAIN,
            cause="Codex keeps its databases in its home, unless it is told another place.",
            remedy="End every Codex of this home as it usually ends, copy the `*.sqlite` files, each with its -wal, to "
            "a new local folder, set `sqlite_home` in config.toml to its whole path, and start Codex. The doctor then "
            "names who still has the old files open.",
            details={"folder": folder, "databases": names},
        )


def _why(look: RawLook, folder: str, families: list[Family]) -> tuple[str, str]:
    place = look.place_of(folder)
    if place is not None and not place.trusted:
        return f"They lie on a {place.kind} mount, where SQLite's locks hold for a part of the processes only.", "F12"
    holders = {pid for family in families for pid in look.processes.holders(family)}
    watchers = {mark.pid for mark in look.processes.marks if mark.path == folder} & holders
    if watchers:
        return f"They lie in a folder that who writes them watches: {words.all_of(watchers, look.processes)}.", "F02"
    return "", ""
