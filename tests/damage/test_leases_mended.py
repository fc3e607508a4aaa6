"""Leases of the dead end and those of the living do not; indexes are made again, and modes taken back."""

from __future__ import annotations

import os
import platform
import stat
import time

import home_damage as damage
import pytest

import holdfast
from holdfast import holds
from processes import Child

# --- leases --------------------------------------------------------------------------


OPEN = """
import sqlite3
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=5)
say(*db.execute("PRAGMA journal_mode = WAL").fetchall(), *db.execute("SELECT count(*) FROM threads").fetchall())
hear()
"""
JOBS = ("SELECT * FROM jobs ORDER BY job_key", [])


@pytest.mark.parametrize("used", [True, False])
def test_leases_of_codex_that_are_over_end_and_one_that_may_be_somebodys_does_not(doctor, newest, start, used):
    damage.leases_of_the_dead(newest)
    db = newest / "memories_1.sqlite"
    before = damage.sql(db, JOBS)
    if used:
        assert start(OPEN, newest / "state_5.sqlite").line()

    outcome = doctor.mend(newest, "release-leases", db)

    a, b, c, d = damage.sql(db, JOBS)
    assert outcome.gone and d == before[3]
    assert (c == before[2]) is used
    for job, tries in ((a, 3), (b, 2)):
        now = job["status"], job["lease_until"], job["ownership_token"], job["retry_remaining"]
        assert now == ("error", None, None, tries)
    doctor.undo(outcome)
    assert damage.sql(db, JOBS) == before


CLAIM = (
    "UPDATE tasks SET claim_lock = ?, worker_pid = ?, claim_expires = ?, last_heartbeat_at = ? WHERE status = 'running'"
)
BOARD = [
    ("SELECT * FROM tasks ORDER BY id", []),
    ("SELECT * FROM task_runs ORDER BY id", []),
    ("SELECT * FROM task_events ORDER BY id", []),
]


def test_a_claim_of_hermes_whose_worker_is_gone_is_released_as_hermes_does(doctor, tmp_path):
    root = damage.board_left_by_the_killed(tmp_path)
    db = root / "kanban.db"
    gone = Child("hear()")
    gone.kill()
    ended_s = int(time.time()) - 4_000
    damage.sql(db, (CLAIM, [f"{platform.node()}:1", gone.pid, ended_s, ended_s]))
    before = [damage.sql(db, each) for each in BOARD]
    gone.end()

    outcome = doctor.mend(root, "release-leases", db)

    tasks, runs, events = [damage.sql(db, each) for each in BOARD]
    (was,) = [task for task in before[0] if task["status"] == "running"]
    (task,) = [task for task in tasks if task["id"] == was["id"]]
    assert [task[column] for column in ("status", "claim_lock", "claim_expires", "worker_pid", "current_run_id")] == [
        "ready",
        *[None] * 4,
    ]
    (run,) = [run for run in runs if run["id"] == was["current_run_id"]]
    assert (run["status"], run["outcome"], run["claim_lock"]) == ("reclaimed", "reclaimed", None) and run["ended_at"]
    assert events[:-1] == before[2] and (events[-1]["kind"], events[-1]["task_id"]) == ("reclaimed", was["id"])
    doctor.undo(outcome)
    assert [damage.sql(db, each) for each in BOARD] == before


def test_claims_of_hermes_that_may_be_somebodys_stay(doctor, tmp_path, start):
    root = damage.board_left_by_the_killed(tmp_path)
    db = root / "kanban.db"
    worker = start("say('up'); hear()")
    assert worker.line() == "up"
    now_s = int(time.time())
    for lock, pid, expires, beat in (
        (f"{platform.node()}:1", worker.pid, now_s - 4_000, now_s - 10),
        (f"{platform.node()}:1", None, now_s - 200, None),
        ("elsewhere:1", 77, now_s - 4_000, now_s - 10),
    ):
        damage.sql(db, (CLAIM, [lock, pid, expires, beat]), ("UPDATE task_runs SET started_at = ?", [now_s]))
        before = [damage.sql(db, each) for each in BOARD]

        outcome = doctor.mend(root, "release-leases", db)

        assert outcome.receipt is None and [damage.sql(db, each) for each in BOARD] == before


DIES = """
import signal, os
import holdfast
from holdfast import holds
with holdfast.open(sys.argv[1], state_dir=sys.argv[2], search=False) as state:
    with state.write() as tx:
        holds.take(tx, "mine", holds.me(), lease_ms=3_600_000)
    say("held")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_our_own_holds_of_the_dead_end_and_those_of_the_living_do_not(doctor, rollout, state_dir):
    _, home, _ = rollout
    child = Child(DIES, home, state_dir)
    assert child.line() == "held"
    child.end()
    with holdfast.open(home, state_dir=state_dir, search=False) as state:
        with state.write() as tx:
            holds.take(tx, "ours", holds.me(), lease_ms=3_600_000)

        outcome = doctor.mend(state_dir, "release-leases")

        with state.read() as tx:
            assert [each.resource for each in holds.listing(tx)] == ["ours"]
        assert outcome.gone and outcome.before == {"stale": 1}


# --- our own indexes, and modes ------------------------------------------------------


def test_an_index_of_ours_that_lost_rows_has_them_again(doctor, rollout, open_state, state_dir):
    _, home, id = rollout
    with holdfast.open(home, state_dir=state_dir, search=False) as state:
        state.threads.rename(id, "kept")
    damage.sql(state_dir / "state.db", ("UPDATE threads SET title = 'other', preview = 'other'", []))

    outcome = doctor.mend(state_dir, "refold")

    assert outcome.gone and outcome.receipt is None
    state = open_state(home, refresh=False)
    assert [(each.title, each.name) for each in state.threads.list()] == [("begin", "kept"), ("another", None)]


def test_an_index_of_words_is_made_anew(doctor, rollout, state_dir):
    _, home, id = rollout
    with holdfast.open(home, state_dir=state_dir) as state:
        state.wait_for_search()
    search = state_dir / "search.db"
    with search.open("r+b") as out:
        out.seek(4096)
        out.write(b"\xff" * 20_000)

    outcome = doctor.mend(state_dir, "rebuild-search", search)

    assert outcome.gone and outcome.after["threads"] == 2
    with holdfast.open(home, state_dir=state_dir, refresh=False) as state:
        assert [hit.thread.id for hit in state.threads.search("begin")] == [id]


def test_what_others_could_read_is_its_owners_alone_and_modes_come_back(doctor, newest):
    db = newest / "state_5.sqlite"
    os.chmod(newest, 0o755)
    os.chmod(db, 0o664)
    file = damage.rollout(newest, min(damage.threads(newest)))

    outcome = doctor.mend(newest, "private-modes", files=[str(newest), str(db), str(file)])

    modes = [stat.S_IMODE(each.stat().st_mode) for each in (newest, db, file)]
    assert outcome.gone and modes == [0o700, 0o600, 0o600]
    doctor.undo(outcome)
    assert [stat.S_IMODE(each.stat().st_mode) for each in (newest, db)] == [0o755, 0o664]
