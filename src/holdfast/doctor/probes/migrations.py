"""F15: whether Codex's databases were built by the steps we know, as those who open them check by checksum."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import cache
from importlib import resources

from holdfast.doctor.homes.look import SqlLook
from holdfast.doctor.model import Confidence, Finding, Json, Status
from holdfast.doctor.probes import unread
from holdfast.sqlite.inspecting import Row

_TABLE = "_sqlx_migrations"


@unread.probe
def migration_drift(look: SqlLook) -> Iterator[Finding]:
    """Find steps that were begun and not ended, and those whose checksum is not the one of the Codex we know."""
    for database in look.target.databases:
        inspection = look.open(database)
        if inspection is None or not {"version", "success", "checksum"} <= inspection.columns(_TABLE).keys():
            continue
        rows = inspection.rows(f"SELECT version, success, lower(hex(checksum)) AS checksum FROM {_TABLE} ORDER BY 1")
        undone = [str(row["version"]) for row in rows if not row["success"]]
        if undone:
            yield _undone(database.path, undone)
        yield from _changed(database.path, rows)


@cache
def _known() -> dict[str, list[str]]:
    """Return the first 16 digits of each step's checksum, from step 1 on, by database; of Codex 0.141 and 0.169."""
    text = (resources.files("holdfast.doctor.homes") / "codex_migrations.json").read_text(encoding="utf-8")
    found: dict[str, list[str]] = json.loads(text)
    return found


def _changed(path: str, rows: list[Row]) -> Iterator[Finding]:
    known = _known().get(os.path.basename(path), [])
    seen = {int(str(row["version"])): str(row["checksum"])[:16] for row in rows}
    ours = {version: checksum for version, checksum in seen.items() if 1 <= version <= len(known)}
    others = [version for version, checksum in ours.items() if checksum != known[version - 1]]
    if not others:
        return
    moved = [version for version in others if ours[version] in known]
    if moved == others:
        cause = "Two builds gave one number to different steps. Codex puts the numbers right by itself when it starts."
    elif len(others) == len(ours):
        cause = (
            "A build with other line ends (Windows beside WSL) or a fork made it: the checksum is of the file's bytes, "
            "not of what it says."
        )
    else:
        cause = "A build of another branch made it, or somebody changed the rows that say how it was built."
    versions: list[Json] = list(others)
    yield Finding(
        id="migration-drift",
        row="F15",
        status=Status.WARN,
        path=path,
        measured=f"{len(others)} of {len(ours)} steps have another checksum, the first is step {others[0]}.",
        expected="The checksums of the Codex that is installed; these are compared with those of 0.141 and 0.169.",
        confidence=Confidence.LIKELY if len(others) == len(ours) or moved == others else Confidence.GUESS,
        cause=cause,
        remedy="Codex refuses to start on such a file when it is not the build that made it: use one build for this "
        "home, or give each a home of its own.",
        details={"versions": versions, "steps": len(ours)},
    )


def _undone(path: str, versions: list[str]) -> Finding:
    steps: list[Json] = list(versions)
    return Finding(
        id="migration-drift",
        row="F15",
        status=Status.FAIL,
        path=path,
        measured=f"Step {', '.join(versions)} was begun and not ended.",
        expected="Each step that is written down was done.",
        confidence=Confidence.CERTAIN,
        cause="Codex was ended while it changed the tables, or a step failed; it starts on this file no more.",
        remedy="Keep a copy of the file and its -wal. Another version of Codex may say more of what failed.",
        details={"versions": steps},
    )
