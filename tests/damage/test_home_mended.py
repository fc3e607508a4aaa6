"""What is wrong with a home is planned, mended and gone, beside its owner, too; undone, all is as it was."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import stat
import time
from pathlib import Path

import home_damage as damage
import pytest

import holdfast
import oracle
from holdfast import holds, receipts
from holdfast.doctor import applying, planning, undoing
from holdfast.doctor.homes.recognising import recognise
from holdfast.doctor.model import Confidence, Finding, Report, Status
from holdfast.doctor.planning import Wishes
from holdfast.errors import Busy, Refused
from holdfast.rollouts import scan, writer_lock
from homes import MadeHome, thread_id
from processes import Child, children


def finding(path, repair, **details):
    return Finding(
        id=f"found-{repair}",
        status=Status.WARN,
        path=str(path),
        measured="",
        expected="",
        confidence=Confidence.CERTAIN,
        cause="",
        remedy="",
        repair=repair,
        details=details,
    )


def report(target, *findings):
    return Report(
        overall=Status.WARN,
        started_ms=0,
        duration_ms=0,
        deep=False,
        targets=(target,),
        findings=findings,
        cut=(),
        parts={},
    )


class Doctor:
    """Plans, carries out and undoes what somebody found."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.receipts = str(folder / "receipts")

    def plan(self, home, repair, path=None, maps=(), **details):
        target = recognise(home)
        found = report(target, finding(path or target.path, repair, **details))
        planned = planning.plan(found, self.receipts, Wishes(maps=tuple(maps)))
        file = str(self.folder / "plan.json")
        planning.save(planned, file)
        return planning.load(file)

    def mend(self, home, repair, path=None, live=True, **details):
        """Return what became of the one step."""
        planned = self.plan(home, repair, path, **details)
        assert not planned.left_out
        applied = applying.apply(planned, live=live, receipts_folder=self.receipts)
        (step,) = applied.steps
        assert applied.stopped is None
        return step.outcome

    def undo(self, outcome):
        assert undoing.undo(receipts.find(self.receipts, outcome.receipt)).state == "undone"


@pytest.fixture
def doctor(tmp_path):
    return Doctor(tmp_path)


@pytest.fixture
def start():
    with children("") as start:
        yield start


@pytest.fixture(params=oracle.VERSIONS)
def codex(request, tmp_path):
    home = damage.codex(request.param, tmp_path)
    home_version[home] = request.param
    return home


@pytest.fixture
def newest(tmp_path):
    """A home of the newest version, where the version makes no difference."""
    return damage.codex(oracle.VERSIONS[-1], tmp_path)


home_version: dict[Path, str] = {}


@pytest.fixture
def rollout(tmp_path):
    """A rollout of a few turns in a home of its own, and its home."""
    home = MadeHome(tmp_path / "home")
    home.thread("another")
    id = home.thread("begin", "go on", "and on")
    (home.path / "config.toml").write_text("")
    return home.file(id), home.path, id


def sums(folder):
    return {
        str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and ".lock" not in path.name
    }


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
        assert {(home_version[codex], id, column) for column in wrong} <= oracle.DIFFERENT
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


# --- rollouts ------------------------------------------------------------------------


@pytest.mark.parametrize("harm", damage.TORN, ids=lambda each: each.__name__)
def test_a_torn_rollout_is_whole_again_and_an_undo_gives_every_byte_back(doctor, rollout, harm):
    file, home, id = rollout
    lines = file.read_bytes().splitlines()
    harm(file)
    file = damage.rollout(home, id)
    before = sums(home)
    os.utime(file, ns=(5, 1_700_000_000_123_456_789))
    before = sums(home)

    outcome = doctor.mend(home, "mend-rollouts", file)

    assert outcome.gone and outcome.notes
    now = scan(str(file))
    assert now.status == "ok" and not now.problems
    assert file.stat().st_mtime_ns == 1_700_000_000_123_456_789
    kept = [each.strip() for each in _text(file).splitlines() if each.strip()]
    lost = {damage.last_line_cut: 1, damage.compressed_cut: 1}.get(harm, 0)
    assert kept[: len(lines) - lost] == lines[: len(lines) - lost]
    assert _text(file).endswith(b"\n")
    doctor.undo(outcome)
    assert sums(home) == before


def _text(file):
    from backports import zstd

    data = file.read_bytes()
    return zstd.decompress(data) if file.suffix == ".zst" else data


def test_whole_lines_stay_where_they_are_so_that_kept_offsets_stay_true(doctor, rollout):
    file, home, _ = rollout
    first, *rest = file.read_bytes().splitlines(keepends=True)
    content = first + b"\0" * 40 + rest[0] + b"garbage\n" + rest[1][:30] + b"".join(rest[2:]) + b"half"
    file.write_bytes(content)

    doctor.mend(home, "mend-rollouts", file)

    now = file.read_bytes()
    for each in (first, rest[0], *rest[2:]):
        assert now.index(each) == content.index(each)


def test_a_rollout_that_is_written_or_open_is_left_alone_and_who_is_named(doctor, rollout, start):
    file, home, id = rollout
    damage.nul_tail(file)
    before = sums(home)
    opener = start("held = open(sys.argv[1], 'ab'); say('open'); hear()", file)
    assert opener.line() == "open"

    with pytest.raises(Busy, match=f"pid {opener.pid}"):
        doctor.mend(home, "mend-rollouts", file)

    opener.kill()
    with writer_lock(home, id), pytest.raises(Busy, match=f"pid {os.getpid()}"):
        doctor.mend(home, "mend-rollouts", file)
    assert sums(home) == before and not receipts.listing(doctor.receipts)
    assert doctor.mend(home, "mend-rollouts", file).gone


def test_a_plan_that_names_what_is_no_rollout_of_the_home_is_refused(doctor, rollout, tmp_path):
    file, home, _ = rollout
    damage.nul_tail(file)
    stranger = tmp_path / file.name
    stranger.write_bytes(file.read_bytes())
    (home / "sessions" / f"rollout-link-{thread_id(9)}.jsonl").symlink_to(stranger)
    planned = doctor.plan(
        home, "mend-rollouts", files=[str(file), str(stranger), f"sessions/rollout-link-{thread_id(9)}.jsonl"]
    )
    assert planned.steps[0].action.arguments["files"] == [str(file)]

    plan = doctor.folder / "plan.json"
    made = plan.read_text()
    for text in (
        made.replace(f'"{file}"', f'"{stranger}"'),
        made.replace(f'"files": [\n            "{file}"', f'"files": [\n            "{stranger}"'),
        made.replace(f'"home": "{home}"', f'"home": "{tmp_path}"'),
    ):
        assert text != made
        plan.write_text(text)
        with pytest.raises(Refused, match=r"outside|no rollout|nothing of"):
            applying.apply(planning.load(str(plan)), receipts_folder=doctor.receipts)
    assert b"\0" in stranger.read_bytes()


MENDS = """
import os, signal
from holdfast.doctor import applying, planning
from holdfast.receipts import keeping
put, puts, deadly = keeping.put, 0, int(sys.argv[3])
def counted(receipt):
    global puts
    puts += 1
    if puts == deadly: os.kill(os.getpid(), signal.SIGKILL)
    put(receipt)
    if puts == -deadly: os.kill(os.getpid(), signal.SIGKILL)
keeping.put = counted
applying.apply(planning.load(sys.argv[1]), live=True, receipts_folder=sys.argv[2])
say("applied")
"""


def _torn_home(folder):
    made = MadeHome(folder / "home")
    files = [made.file(made.thread("one", "two")) for _ in range(2)]
    for each in files:
        damage.last_line_cut(each)
    return made.path, {"files": [str(each) for each in files]}, sums


def _rowless_home(folder):
    home = damage.codex("0.169", folder)
    damage.rows_lost(home)
    return home, {}, damage.threads


def _open_home(folder):
    home = damage.codex("0.141", folder)
    named = [str(home / name) for name in ("state_5.sqlite", "logs_2.sqlite", "config.toml")]
    for each in named:
        os.chmod(each, 0o644)
    return home, {"files": named}, lambda _: [stat.S_IMODE(os.stat(each).st_mode) for each in named]


@pytest.mark.parametrize(
    ("make", "repair", "unfinished"),
    [(_torn_home, "mend-rollouts", 6), (_rowless_home, "rebuild-threads", 1), (_open_home, "private-modes", 4)],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_whoever_is_killed_in_the_middle_leaves_what_can_be_finished_and_undone(
    doctor, tmp_path, make, repair, unfinished
):
    home, details, look = make(tmp_path)
    before = look(home)
    doctor.undo(doctor.mend(home, repair, **details))
    stopped = 0
    for at in (each * sign for each in range(1, 20) for sign in (1, -1)):
        doctor.plan(home, repair, **details)  # anew: an undo puts other inodes there
        child = Child(MENDS, tmp_path / "plan.json", doctor.receipts, at)
        ended = child.line() == "applied"
        child.end()
        for receipt in receipts.listing(doctor.receipts):
            stopped += receipt.state == "unfinished"
            if at > 0 and receipt.state != "undone":
                assert undoing.finish(receipt).state == "done"
                assert look(home) != before
            if receipt.state != "undone":
                undoing.undo(receipt)
        assert look(home) == before
        if ended:
            break
    assert ended and stopped >= unfinished


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


@pytest.mark.parametrize(("repair", "at"), [("rebuild-threads", "state_5.sqlite"), ("mend-rollouts", "")])
def test_a_home_that_is_named_by_a_link_is_mended_where_it_is(doctor, newest, tmp_path, repair, at):
    damage.rows_lost(newest)
    torn = damage.rollout(newest, min(damage.threads(newest)))
    damage.nul_tail(torn)
    (tmp_path / "link").symlink_to(newest)
    link = tmp_path / "link"

    outcome = doctor.mend(link, repair, link / at, files=[str(torn.relative_to(newest))])

    assert outcome.gone and outcome.receipt
    assert len(damage.threads(newest)) == 48 or not scan(str(torn)).problems
    assert all(str(newest) in row["rollout_path"] for row in damage.threads(newest).values())


def test_rollouts_that_lie_behind_a_link_are_left_out_of_a_plan(doctor, newest, tmp_path):
    torn = damage.rollout(newest, min(damage.threads(newest)))
    damage.nul_tail(torn)
    shutil.move(newest / "sessions", tmp_path / "disk")
    (newest / "sessions").symlink_to(tmp_path / "disk")

    planned = doctor.plan(newest, "mend-rollouts", files=[str(torn.relative_to(newest))])

    assert not planned.steps and "through a link" in planned.left_out[0].why
