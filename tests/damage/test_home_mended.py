"""Rows of Codex's threads, names and places are mended beside their owner; undone, each is as it was."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import home_damage as damage
import pytest

import oracle
from holdfast.doctor import applying, planning
from holdfast.errors import Refused
from homes import thread_id

# --- rows of threads -----------------------------------------------------------------


@pytest.mark.parametrize("harm", [damage.rows_lost, damage.all_rows_lost], ids=lambda each: each.__name__)
def test_rows_that_are_missing_come_back_as_codex_made_them(doctor, codex, harm):
    once, edges = damage.threads(codex), damage.sql(codex / "state_5.sqlite", (EDGES, []))
    harm(codex)
    before = damage.threads(codex)

    outcome = doctor.mend(codex, "rebuild-threads")

    assert outcome.gone and outcome.before["missing"] == len(once) - len(before)
    now = damage.threads(codex)
    assert now.keys() == once.keys()
    assert {id: now[id] for id in before} == before  # what was there is not touched
    for id in once.keys() - before.keys():
        wrong = {column for column in now[id] if not _alike(column, now[id], once[id])}
        assert {(codex.name.removeprefix("codex-home-"), id, column) for column in wrong} <= oracle.DIFFERENT
    assert damage.sql(codex / "state_5.sqlite", (EDGES, [])) == edges
    doctor.undo(outcome)
    assert damage.threads(codex) == before


EDGES = "SELECT * FROM thread_spawn_edges ORDER BY child_thread_id"
# Said by a person or by Codex, in the database only: they come back as the defaults they have.
ONLY_THERE = {"is_pinned", "thread_section_id", "section_position", "section_entered_at_ms", "project_id"}


def _alike(column, now, once):
    if column in oracle.NEAR_MS:
        return abs(now[column] - once[column]) <= oracle.NEAR_MS[column][1]
    if f"{column}_ms" in now:
        return now[column] == now[f"{column}_ms"] // 1000
    return column in ONLY_THERE | {"archived_at"} or now[column] == once[column]


def test_columns_that_are_wrong_are_set_right_and_what_only_the_rows_know_stays(doctor, codex):
    once = damage.threads(codex)
    pinned = "is_pinned" in next(iter(once.values()))
    damage.rows_wrong(codex)
    sets = "git_branch = 'mine', memory_mode = 'polluted', title = 'My words'" + (", is_pinned = 1" if pinned else "")
    damage.sql(codex / "state_5.sqlite", (f"UPDATE threads SET {sets}", []))
    before = damage.threads(codex)

    outcome = doctor.mend(codex, "rebuild-threads")

    assert outcome.gone and outcome.before["wrong"] == len(once)
    for id, row in damage.threads(codex).items():
        assert (row["git_branch"], row["memory_mode"], row["title"]) == ("mine", "polluted", "My words")
        assert row.get("is_pinned", 1) == 1
        for column in ("preview", "model", "archived", "rollout_path"):
            assert row[column] == once[id][column] or (column == "model" and once[id][column] is None)
        assert abs(row["updated_at_ms"] - once[id]["updated_at_ms"]) < 120_000
        assert row["updated_at"] == row["updated_at_ms"] // 1000
    doctor.undo(outcome)
    assert damage.threads(codex) == before


def test_healthy_rows_are_left_as_they_are(doctor, codex):
    before = damage.threads(codex)

    outcome = doctor.mend(codex, "rebuild-threads")

    assert outcome.gone and outcome.receipt is None
    assert damage.threads(codex) == before


def test_a_rollout_that_lies_among_the_archived_ones_has_a_row_that_says_so(doctor, newest):
    damage.archived_by_hand(newest)
    before = damage.threads(newest)

    outcome = doctor.mend(newest, "rebuild-threads")

    changed = {id: row for id, row in damage.threads(newest).items() if row != before[id]}
    ((id, row),) = changed.items()
    assert row["archived"] == 1 and row["rollout_path"] == str(damage.rollout(newest, id))
    doctor.undo(outcome)
    assert damage.threads(newest) == before


def test_a_newer_codex_that_needs_what_we_do_not_know_gets_no_row(doctor, newest):
    db = newest / "state_5.sqlite"
    damage.sql(db, ("ALTER TABLE threads ADD COLUMN mood TEXT NOT NULL DEFAULT 'calm'", []))
    damage.sql(
        db, ("UPDATE _sqlx_migrations SET version = 99 WHERE version = (SELECT max(version) FROM _sqlx_migrations)", [])
    )
    damage.rows_lost(newest)

    outcome = doctor.mend(newest, "rebuild-threads")

    assert outcome.gone and any("newer Codex" in note for note in outcome.notes)
    assert {row["mood"] for row in damage.threads(newest).values()} == {"calm"}
    # Now as one that has no default for it.
    damage.sql(
        db,
        ("PRAGMA writable_schema = 1", []),
        (
            "UPDATE sqlite_schema SET sql = replace(sql, 'mood TEXT NOT NULL DEFAULT ''calm''', 'mood TEXT NOT NULL')",
            [],
        ),
    )
    damage.rows_lost(newest)
    before = damage.threads(newest)

    with pytest.raises(Refused, match="mood"):
        doctor.mend(newest, "rebuild-threads")
    assert damage.threads(newest) == before


HOLDS = """
import sqlite3
from holdfast.rollouts import writer_lock
db = sqlite3.connect(f"{sys.argv[1]}/state_5.sqlite", isolation_level=None, timeout=5)
db.execute("PRAGMA journal_mode = WAL").fetchall()
db.execute("SELECT count(*) FROM threads").fetchall()
lock = writer_lock(sys.argv[1], sys.argv[2])
file = open(sys.argv[3], "ab")
say("open")
for line in iter(hear, "end"):
    say(db.execute(line).fetchall())
"""


def test_beside_its_owner_rows_come_back_but_those_of_threads_being_written(doctor, newest, start):
    locked, opened, *_ = sorted(damage.threads(newest))
    owner = start(HOLDS, newest, locked, damage.rollout(newest, opened))
    assert owner.line() == "open"
    owner.tell("DELETE FROM threads")
    assert owner.line() == "[]"

    outcome = doctor.mend(newest, "rebuild-threads")

    owner.tell("SELECT count(*) FROM threads")
    assert owner.line() == f"[({outcome.before['missing'] - 2},)]"
    assert not {locked, opened} & damage.threads(newest).keys()
    assert sum(f"pid {owner.pid}" in note for note in outcome.notes) == 2


# --- names and places ----------------------------------------------------------------


def test_names_that_the_rows_lost_come_back_from_the_file_the_last_line_of_each(doctor, codex):
    once = damage.threads(codex)
    damage.names_lost(codex)
    with (codex / "session_index.jsonl").open("a") as out:
        out.write(
            f'{{"id":"{min(once)}","thread_name":""}}\nno JSON\n{{"id":"{thread_id(77)}","thread_name":"gone"}}\n'
        )
    before = damage.threads(codex)

    outcome = doctor.mend(codex, "restore-names")

    assert outcome.gone
    now = damage.threads(codex)
    column = "name" if "name" in now[min(now)] else "title"
    named = {id: now[id][column] for id in now if now[id] != before[id]}
    assert named and named == {id: once[id][column] for id in named}
    assert min(once) not in named  # an empty name takes the name away
    doctor.undo(outcome)
    assert damage.threads(codex) == before


def test_a_row_with_another_name_keeps_it(doctor, codex):
    once = damage.threads(codex)
    column = "name" if "name" in once[min(once)] else "title"
    damage.sql(codex / "state_5.sqlite", (f"UPDATE threads SET {column} = 'said later'", []))

    outcome = doctor.mend(codex, "restore-names")

    assert outcome.receipt is None and "which they keep" in outcome.notes[0]


@pytest.mark.parametrize("version", oracle.VERSIONS)
def test_a_home_and_a_project_that_moved_are_followed(doctor, tmp_path, version):
    home = damage.codex_moved(version, tmp_path)
    project = tmp_path / "projects" / "alpha"
    project.mkdir(parents=True)
    before = damage.threads(home)
    lost = sorted(before)[0]
    damage.rollout(home, lost).unlink()

    outcome = doctor.mend(home, "reroot", maps=[f"/home/dev/.codex={home}", f"/home/dev/src/alpha={project}"])

    for id, row in damage.threads(home).items():
        if id != lost:
            assert row["rollout_path"] == str(damage.rollout(home, id))
        old = before[id]["cwd"]
        assert row["cwd"] == old.replace("/home/dev/src/alpha", str(project)) or not Path(row["cwd"]).is_dir()
    assert before[lost]["rollout_path"] == damage.threads(home)[lost]["rollout_path"]
    assert not outcome.gone and any(lost in note for note in outcome.notes)
    doctor.undo(outcome)
    assert damage.threads(home) == before


def test_a_home_that_moved_is_followed_without_a_word_when_nothing_is_at_the_old_place(doctor, tmp_path):
    home = damage.codex_moved("0.169", tmp_path)
    moved = damage.rollout(home, min(damage.threads(home)))
    (home / "sessions" / "elsewhere").mkdir()
    moved.rename(home / "sessions" / "elsewhere" / moved.name)

    outcome = doctor.mend(home, "reroot", roots={"/home/dev/.codex": 48}, rows=48)

    assert outcome.gone
    for id, row in damage.threads(home).items():
        assert row["rollout_path"] == str(damage.rollout(home, id))


def test_what_is_at_its_old_place_is_re_rooted_only_when_the_user_says_so(doctor, newest, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(newest, copy)
    before = damage.threads(copy)

    outcome = doctor.mend(copy, "reroot", roots={str(newest): 48}, rows=48)
    assert outcome.receipt is None and damage.threads(copy) == before

    outcome = doctor.mend(copy, "reroot", roots={str(newest): 48}, rows=48, maps=[f"{newest}={copy}"])
    assert outcome.gone
    assert {Path(row["rollout_path"]).is_relative_to(copy) for row in damage.threads(copy).values()} == {True}
    doctor.undo(outcome)
    assert damage.threads(copy) == before


def test_an_old_place_that_is_there_again_stops_what_was_planned_without_it(doctor, tmp_path):
    home = damage.codex_moved("0.169", tmp_path)
    old = tmp_path / "old"
    damage.sql(home / "state_5.sqlite", ("UPDATE threads SET cwd = ?", [f"{old}/alpha"]))
    (tmp_path / "alpha").mkdir()
    planned = doctor.plan(home, "reroot", cwds={f"{old}/alpha": str(tmp_path / "alpha")})
    (old / "alpha").mkdir(parents=True)

    with pytest.raises(Refused, match="still there"):
        applying.apply(planned, live=True, receipts_folder=doctor.receipts)


@pytest.mark.parametrize("repair", ["rebuild-threads", "restore-names", "release-leases", "private-modes"])
def test_a_plan_that_names_another_home_than_its_file_lies_in_is_refused(doctor, newest, tmp_path, repair):
    (tmp_path / "other").mkdir()
    other = damage.codex("0.141", tmp_path / "other")
    os.chmod(newest / "state_5.sqlite", 0o644)
    doctor.plan(newest, repair, newest / "state_5.sqlite")
    plan = doctor.folder / "plan.json"
    text = plan.read_text()
    for name in ("home", "root"):
        text = text.replace(f'"{name}": "{newest}"', f'"{name}": "{other}"')
    plan.write_text(text)

    with pytest.raises(Refused, match="nothing of"):
        applying.apply(planning.load(str(plan)), live=True, receipts_folder=doctor.receipts)


def test_nothing_is_re_rooted_when_nobody_says_where_to(doctor, newest, tmp_path):
    for maps, why in (
        ([], "--map"),
        ([f"/no/such={tmp_path}/nowhere"], "no folder"),
        (["/a"], "OLD=NEW"),
        ([f"/={tmp_path}"], "which folder"),
    ):
        planned = doctor.plan(newest, "reroot", maps=maps)
        assert not planned.steps and why in planned.left_out[0].why
