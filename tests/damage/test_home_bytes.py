"""Rows of a database that nobody has open are mended in a copy: undone, every byte is as it was. Or else every row."""

from __future__ import annotations

import hashlib
from pathlib import Path

import home_damage as damage
import pytest

OWNER = """
import sqlite3
db = sqlite3.connect(f"{sys.argv[1]}/state_5.sqlite", isolation_level=None, timeout=30)
db.execute("PRAGMA journal_mode = WAL").fetchall()
db.execute("SELECT count(*) FROM threads").fetchone()
say("open")
for line in iter(hear, "end"):
    say(db.execute(line).fetchall())
"""


def bytes_of(home):
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(home).rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


def moved(home):
    damage.sql(home / "state_5.sqlite", ("UPDATE threads SET rollout_path = replace(rollout_path, ?, '/gone/home')",
                                         [str(home)]))  # fmt: skip


@pytest.mark.parametrize(
    ("harm", "repair"),
    [
        (damage.rows_lost, "rebuild-threads"),
        (damage.names_lost, "restore-names"),
        (moved, "reroot"),
    ],
    ids=["rebuild-threads", "restore-names", "reroot"],
)
def test_undone_a_home_that_nobody_uses_has_every_byte_it_had(doctor, newest, harm, repair):
    harm(newest)
    before, rows = bytes_of(newest), damage.threads(newest)
    inode = (newest / "state_5.sqlite").stat().st_ino

    outcome = doctor.mend(newest, repair, live=False, rows=1)

    assert outcome.gone and damage.threads(newest) != rows
    doctor.undo(outcome)
    assert bytes_of(newest) == before
    assert (newest / "state_5.sqlite").stat().st_ino == inode


def test_undone_after_its_owner_went_on_the_rows_are_back_and_what_it_wrote_stays(doctor, newest, start):
    moved(newest)
    rows = damage.threads(newest)
    outcome = doctor.mend(newest, "reroot", live=False, rows=1)
    owner = start(OWNER, newest)
    assert owner.line() == "open"
    owner.tell("UPDATE threads SET title = 'written since'")
    assert owner.line() == "[]"

    doctor.undo(outcome)

    now = damage.threads(newest)
    assert {id: row["rollout_path"] for id, row in now.items()} == {id: row["rollout_path"] for id, row in rows.items()}
    assert {row["title"] for row in now.values()} == {"written since"}
    owner.tell("PRAGMA integrity_check")
    assert owner.line() == "[('ok',)]"


def test_while_its_owner_has_it_open_the_rows_are_undone_beside_it(doctor, newest, start):
    moved(newest)
    rows = damage.threads(newest)
    outcome = doctor.mend(newest, "reroot", live=False, rows=1)
    owner = start(OWNER, newest)
    assert owner.line() == "open"

    doctor.undo(outcome)

    assert damage.threads(newest) == rows
    owner.tell("SELECT count(*) FROM threads WHERE rollout_path LIKE '/gone/%'")
    assert owner.line() == f"[({len(rows)},)]"


def test_rows_are_mended_beside_an_owner_who_has_them_open(doctor, newest, start):
    moved(newest)
    rows = damage.threads(newest)
    owner = start(OWNER, newest)
    assert owner.line() == "open"

    outcome = doctor.mend(newest, "reroot", live=False, rows=1)

    owner.tell("SELECT count(*) FROM threads WHERE rollout_path LIKE '/gone/%'")
    assert owner.line() == "[(0,)]"
    doctor.undo(outcome)
    assert damage.threads(newest) == rows
