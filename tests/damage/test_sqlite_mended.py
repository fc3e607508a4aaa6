"""What is wrong with a database is planned, mended and gone; undone, every byte is back."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import msgspec
import pytest
import sqlite_damage as damage

from holdfast import receipts
from holdfast.cli import main
from holdfast.doctor import applying, planning, replacing, undoing
from holdfast.doctor.model import Confidence, Finding, Report, Status, Target
from holdfast.doctor.planning import Wishes
from holdfast.errors import Busy, Full, Refused, Stale, Unsupported
from holdfast.receipts import families
from processes import children


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


def report(path, *findings):
    return Report(
        overall=Status.WARN,
        started_ms=0,
        duration_ms=0,
        deep=False,
        targets=(Target(kind="sqlite", path=str(path)),),
        findings=findings,
        cut=(),
        parts={},
    )


def sums(path):
    """The bytes of a database: what an undo gives back."""
    return {
        end: hashlib.sha256(Path(f"{path}{end}").read_bytes()).hexdigest()
        for end in ("", "-wal", "-journal")
        if os.path.exists(f"{path}{end}")
    }


ASK = """
import sqlite3
db = sqlite3.connect(sys.argv[1], timeout=0.1)
say(*(db.execute(each).fetchone()[0] for each in sys.argv[2:]))
db.close()
"""

READ = """
import sqlite3
db = sqlite3.connect(sys.argv[1], timeout=0.1)
try:
    said = db.execute("PRAGMA integrity_check(1)").fetchone() + db.execute("SELECT count(*) FROM logs").fetchone()
except sqlite3.Error as error:
    said = [error]
db.close()
say(*said)
"""


@pytest.fixture
def start():
    with children("") as start:
        yield start


@pytest.fixture
def place(tmp_path):
    """Where a database is, and where the receipts are."""
    (tmp_path / "home").mkdir()
    return tmp_path / "home" / "logs_2.sqlite", str(tmp_path / "receipts")


@pytest.fixture
def mend(place):
    """Plan, keep the plan as a file, read it back and carry it out."""
    path, folder = place

    def mend(*repairs, live=False, on_progress=None, wishes=None, **details):
        found = [finding(path, each, **details) for each in repairs]
        planned = planning.plan(report(path, *found), folder, wishes or Wishes(live=live))
        planning.save(planned, str(path.parent / "plan.json"))
        return applying.apply(
            planning.load(str(path.parent / "plan.json")), live=live, receipts_folder=folder, on_progress=on_progress
        )

    return mend


def read_by_its_owner(start, path):
    """What a stock sqlite3 in another process says of it."""
    return start(READ, path).line()


MENDED = [
    (damage.free_pages, "compact", 300),
    (damage.free_pages_without_log, "compact", 300),
    (damage.journal_left, "compact", 300),
    (damage.logs_without_end, "prune-logs", 40),
    (damage.logs_without_end, "empty-logs", 0),
    (damage.strange_trigger, "drop-trigger", 50),
    (damage.overwritten_pages, "salvage", None),
    (damage.overwritten_pages_without_log, "salvage", None),
    (damage.broken_first_page, "salvage", None),
    (damage.cut_short, "salvage", None),
]


@pytest.mark.parametrize(("harm", "repair", "rows"), MENDED, ids=lambda each: getattr(each, "__name__", each))
def test_what_was_damaged_is_mended_and_an_undo_gives_every_byte_back(place, mend, start, tmp_path, harm, repair, rows):
    path, folder = place
    harm(path)
    before, info = sums(path), path.stat()

    applied = mend(
        repair,
        trigger="block_log_inserts",
        wishes=Wishes(keep_days=None, keep_rows=40, drop_triggers=("block_log_inserts",)),
    )

    (done,) = applied.steps
    assert done.outcome.gone and applied.stopped is None
    assert path.stat().st_ino == info.st_ino
    kept = tmp_path / "kept"
    kept.write_bytes(path.read_bytes())
    said = read_by_its_owner(start, kept)
    assert said.startswith("ok ")
    if rows is None:
        assert int(said.split()[1]) >= 1_800
        assert any("logs:" in note for note in done.outcome.notes)
    else:
        assert said == f"ok {rows}"
        assert start(ASK, kept, "PRAGMA user_version", "PRAGMA application_id").line() == "7 99"

    (id,) = applied.receipts
    assert undoing.undo(receipts.find(folder, id)).state == "undone"
    assert sums(path) == before
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (info.st_ino, info.st_mtime_ns)


def test_a_log_that_outgrew_its_use_is_cut_without_a_copy(place, mend, start):
    path, _ = place
    damage.high_water_log(path)
    assert path.with_name("logs_2.sqlite-wal").stat().st_size > 1_000_000

    (done,) = mend("checkpoint-truncate").steps

    assert done.outcome.gone and done.outcome.receipt is None
    assert done.outcome.before["wal_bytes"] > 1_000_000 and done.outcome.after["wal_bytes"] == 0
    assert read_by_its_owner(start, path) == "ok 6010"


def test_free_pages_go_back_without_a_copy_where_the_owner_asked_for_it(place, mend, start):
    path, _ = place
    damage.free_pages_that_may_go(path)

    (done,) = mend("return-free-pages").steps

    assert done.outcome.gone and done.outcome.after["free_pages"] == 0
    assert done.outcome.after["db_bytes"] < done.outcome.before["db_bytes"] / 4
    assert read_by_its_owner(start, path) == "ok 300"


@pytest.mark.parametrize("room", [True, False])
def test_a_database_goes_on_with_the_kind_of_journal_it_had(place, mend, start, monkeypatch, room):
    monkeypatch.setattr(replacing, "_has_room", lambda path, size: room)
    path, _ = place
    damage.free_pages(path)

    assert mend("compact").steps[0].outcome.gone

    assert path.read_bytes()[18:20] == b"\2\2"
    assert read_by_its_owner(start, path) == "ok 300"


# --- while others run ----------------------------------------------------------------

OWNER = """
import sqlite3
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=0)
db.execute("SELECT count(*) FROM logs").fetchall()
say("open")
for line in iter(hear, "end"):
    try:
        say(db.execute(line).fetchall())
    except sqlite3.Error as error:
        say(error)
"""


def test_beside_a_running_owner_the_log_is_cut_and_nothing_else_is_done(place, mend, start):
    path, _ = place
    damage.high_water_log(path)
    owner = start(OWNER, path)
    assert owner.line() == "open"

    applied = mend("checkpoint-truncate", "compact", live=True, free_pages=5)

    cut, left = applied.steps
    assert (cut.repair, cut.outcome.gone, cut.outcome.after["wal_bytes"]) == ("checkpoint-truncate", True, 0)
    assert left.outcome is None and left.why == "not safe while others run"
    owner.tell("DELETE FROM logs WHERE id = 9000 RETURNING id")
    assert owner.line() == "[(9000,)]"
    assert read_by_its_owner(start, path) == "ok 6009"


def test_who_cuts_a_log_while_others_may_run_never_removes_it(place, mend):
    path, _ = place
    damage.high_water_log(path)
    log = path.with_name("logs_2.sqlite-wal")
    inode = log.stat().st_ino

    assert mend("checkpoint-truncate", live=True).steps[0].outcome.gone

    assert (log.stat().st_ino, log.stat().st_size) == (inode, 0)


def test_beside_a_reader_who_needs_the_log_it_stays(place, mend, start):
    path, _ = place
    damage.high_water_log(path)
    before = sums(path)
    owner = start(OWNER, path)
    assert owner.line() == "open"
    owner.tell("BEGIN")
    owner.line()
    owner.tell("SELECT count(*) FROM logs")
    assert owner.line() == "[(6010,)]"

    (done,) = mend("checkpoint-truncate", live=True).steps

    assert not done.outcome.gone and done.outcome.after["wal_bytes"] > 0
    assert sums(path)["-wal"] == before["-wal"]


def test_beside_a_running_owner_free_pages_go_back(place, mend, start):
    path, _ = place
    damage.free_pages_that_may_go(path)
    owner = start(OWNER, path)
    assert owner.line() == "open"

    (done,) = mend("return-free-pages", live=True).steps

    assert done.outcome.gone and done.outcome.after["free_pages_left"] == 0
    owner.tell("SELECT count(*) FROM logs")
    assert owner.line() == "[(300,)]"


CARELESS = OWNER.replace('say("open")', 'open(sys.argv[1] + "-shm").close(); open(sys.argv[1]).close(); say("open")')


def test_who_lost_its_locks_is_named_and_not_taken_for_nobody(place, mend, start):
    path, _ = place
    damage.high_water_log(path)
    owner = start(CARELESS, path)
    assert owner.line() == "open"
    before = sums(path)

    for live in (True, False):
        with pytest.raises(Busy, match=f"pid {owner.pid}"):
            mend("checkpoint-truncate", live=live)
    assert sums(path) == before


# --- what changed since the plan -----------------------------------------------------


def test_who_opens_the_file_after_the_plan_is_named_and_nothing_is_changed(place, start):
    path, folder = place
    damage.free_pages(path)
    planned = planning.plan(report(path, finding(path, "compact")), folder)
    before = sums(path)
    idle = start("open(sys.argv[1]); held = open(sys.argv[1]); say('open'); hear()", path)
    assert idle.line() == "open"

    with pytest.raises(Busy, match=f"pid {idle.pid}"):
        applying.apply(planned, receipts_folder=folder)

    assert sums(path) == before and not receipts.listing(folder)


def test_a_file_that_changed_after_the_plan_is_left_alone(place, start):
    path, folder = place
    damage.free_pages(path)
    planned = planning.plan(report(path, finding(path, "compact")), folder)
    assert read_by_its_owner(start, path) == "ok 300"  # the last to close it empties the log
    before = sums(path)

    with pytest.raises(Stale, match="was changed after this was planned"):
        applying.apply(planned, receipts_folder=folder)

    assert sums(path) == before and not receipts.listing(folder)


def test_an_owner_that_starts_meanwhile_waits_and_finds_the_new_content(place, mend, start):
    path, _ = place
    damage.free_pages(path)
    said = []

    def look(number, point, done, total):
        if point in ("made", "putting", "put"):
            said.append(read_by_its_owner(start, path))

    applied = mend("compact", on_progress=look)

    assert set(said) == {"database is locked"}
    assert applied.stopped is None
    assert read_by_its_owner(start, path) == "ok 300"


APPLY = """
from holdfast.doctor import applying, planning
from holdfast.errors import HoldfastError
try:
    applied = applying.apply(planning.load(sys.argv[1]), receipts_folder=sys.argv[2],
                             on_progress=lambda number, point, done, total: point == "made" and pause("made"))
    say("applied", *applied.receipts)
except HoldfastError as error:
    say(type(error).__name__, error)
"""


def test_of_two_who_carry_out_a_plan_at_once_one_does(place, start):
    path, folder = place
    damage.free_pages(path)
    before = sums(path)
    plan_file = str(path.parent / "plan.json")
    planning.save(planning.plan(report(path, finding(path, "compact")), folder), plan_file)
    first = start(APPLY, plan_file, folder)
    assert first.line() == "made"

    second = start(APPLY, plan_file, folder)
    assert second.line().startswith(f"Busy {path} is in use: pid {first.pid}")
    first.tell()
    done, id = first.line().split()

    assert done == "applied"
    assert start(APPLY, plan_file, folder).line().startswith("Stale ")
    undoing.undo(receipts.find(folder, id))
    assert sums(path) == before


FULL = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
""" + APPLY.replace('pause("made")', 'say("made")')


@pytest.mark.parametrize("where", ["copying", "putting"])
def test_a_disk_that_is_full_in_the_middle_leaves_it_as_it_was(place, start, where):
    path, folder = place
    damage.all_in_the_log_again(path)
    sizes = [path.stat().st_size, path.with_name("logs_2.sqlite-wal").stat().st_size]
    before = sums(path)
    plan_file = str(path.parent / "plan.json")
    planning.save(planning.plan(report(path, finding(path, "compact", free_pages=1)), folder), plan_file)
    # Each file may grow so far: less than the copies, or less than the log with the new content behind the old.
    most = min(sizes) // 2 if where == "copying" else max(sizes) + min(sizes) // 2

    said = start(FULL, plan_file, folder, most).lines()

    assert [line.split()[0] for line in said] == (["Full"] if where == "copying" else ["made", "Full"])
    assert sums(path) == before and not receipts.listing(folder)


# --- undoing -------------------------------------------------------------------------


def test_what_somebody_wrote_since_is_not_undone_away(place, mend, start):
    path, folder = place
    damage.free_pages(path)
    (id,) = mend("compact").receipts
    owner = start(OWNER, path)
    assert owner.line() == "open"
    owner.tell("DELETE FROM logs WHERE id = 10 RETURNING id")
    assert owner.line() == "[(10,)]"
    owner.tell("end")
    owner.wait()
    before = sums(path)

    with pytest.raises(Refused, match="changed since"):
        undoing.undo(receipts.find(folder, id))

    assert sums(path) == before


def test_a_receipt_is_undone_on_the_command_line_without_any_home(place, mend, tmp_path, capsys):
    path, _ = place
    damage.broken_first_page(path)
    before = sums(path)
    state = tmp_path / "state"
    planned = planning.plan(report(path, finding(path, "salvage")), str(state / "receipts"))
    (id,) = applying.apply(planned, receipts_folder=str(state / "receipts")).receipts

    shown = main(["receipts", "show", id, "--json", "--state", str(state)])
    assert shown == 0
    assert [step["files"] for step in json.loads(capsys.readouterr().out)["steps"]] == ["after"]
    assert main(["undo", id, "--dry-run", "--state", str(state)]) == 0
    assert "Would put the" in capsys.readouterr().out
    assert main(["undo", id, "--state", str(state)]) == 0

    assert sums(path) == before
    assert not (state / "state.db").exists()


def test_an_owner_who_only_read_does_not_keep_it_from_being_undone(place, mend, start):
    path, folder = place
    damage.free_pages(path)
    before = sums(path)
    (id,) = mend("compact").receipts
    assert read_by_its_owner(start, path) == "ok 300"

    undoing.undo(receipts.find(folder, id))

    assert sums(path) == before


def test_two_steps_on_one_file_are_undone_the_last_first(place, mend):
    path, folder = place
    damage.strange_trigger(path)
    before = sums(path)
    wishes = Wishes(keep_days=None, keep_rows=20, drop_triggers=("block_log_inserts",))
    dropped, pruned = reversed(mend("prune-logs", "drop-trigger", wishes=wishes, trigger="block_log_inserts").receipts)

    with pytest.raises(Refused, match="changed since"):
        undoing.undo(receipts.find(folder, dropped))
    undoing.undo(receipts.find(folder, pruned))
    undoing.undo(receipts.find(folder, dropped))

    assert sums(path) == before


def test_what_one_plan_took_away_is_kept_however_much_it_is(place, mend, monkeypatch):
    monkeypatch.setattr(receipts.write, "__kwdefaults__", {**receipts.write.__kwdefaults__, "bytes_max": 1})
    path, folder = place
    damage.strange_trigger(path)
    wishes = Wishes(keep_days=None, keep_rows=20, drop_triggers=("block_log_inserts",))

    of_first = mend("prune-logs", "drop-trigger", wishes=wishes, trigger="block_log_inserts").receipts
    assert {each.id for each in receipts.listing(folder)} == set(of_first)
    (of_second,) = mend("empty-logs").receipts

    assert [each.id for each in receipts.listing(folder)] == [of_second]


# --- plans ---------------------------------------------------------------------------


def test_a_plan_does_one_thing_a_file_and_the_worst_first(place):
    path, folder = place
    damage.overwritten_pages(path)
    found = [finding(path, each) for each in ("compact", "checkpoint-truncate", "salvage", "salvage", "unknown")]

    planned = planning.plan(report(path, *found), folder)

    assert [(step.number, step.action.repair) for step in planned.steps] == [(1, "salvage")]
    assert [(each.repair, each.why) for each in planned.left_out] == [("unknown", "this version knows no such repair")]


def test_what_does_not_fit_on_the_disk_is_left_out_with_the_figures(place, monkeypatch):
    path, folder = place
    damage.free_pages(path)
    rest = os.statvfs_result((4_096, 4_096, 10**6, 2_100, 2_100, 10**6, 10**6, 10**6, 0, 255))  # 8.6 MB are free
    planned = planning.plan(report(path, finding(path, "compact")), folder)
    monkeypatch.setattr(os, "statvfs", lambda path: rest)

    left = planning.plan(report(path, finding(path, "compact")), folder)

    assert not left.steps
    assert "for copies and new content, and 8.6 MB are free there" in left.left_out[0].why
    with pytest.raises(Full, match=r"8\.6 MB are free there; nothing was changed"):
        applying.apply(planned, receipts_folder=folder)


def test_without_room_for_a_copy_pages_go_back_that_need_none(place, monkeypatch):
    path, folder = place
    damage.free_pages_that_may_go(path)
    rest = os.statvfs_result((4_096, 4_096, 10**6, 2_100, 2_100, 10**6, 10**6, 10**6, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda path: rest)

    planned = planning.plan(report(path, finding(path, "compact")), folder)

    assert [step.action.repair for step in planned.steps] == ["return-free-pages"]


def hostile(place, **changes):
    """A plan as ``planning`` makes it, in which somebody changed something."""
    path, folder = place
    damage.free_pages(path)
    planned = planning.plan(report(path, finding(path, "compact")), folder)
    (step,) = planned.steps
    outer = {key: value for key, value in changes.items() if key in ("schema", "targets")}
    inner = {key: value for key, value in changes.items() if key not in outer}
    step = msgspec.structs.replace(step, action=msgspec.structs.replace(step.action, **inner))
    return msgspec.structs.replace(planned, steps=(step,), **outer)


@pytest.mark.parametrize(
    ("changes", "kind", "why"),
    [
        ({"path": "/etc/passwd"}, Refused, "reaches outside"),
        ({"exclusive": ("/etc/passwd",)}, Refused, "reaches outside"),
        ({"exclusive": ()}, Refused, "only while it is held"),
        ({"path": "relative"}, Refused, "no plain path"),
        ({"repair": "os"}, Unsupported, "does not know"),
        ({"repair": "../compact"}, Unsupported, "does not know"),
        ({"repair": "drop-trigger", "arguments": {"trigger": "x; DROP TABLE logs"}}, Refused, "has no trigger"),
        ({"repair": "prune-logs", "arguments": {"keep_rows": "0 OR 1"}}, Refused, "no number"),
        ({"schema": 2}, Unsupported, "schema 2"),
        ({"targets": (Target(kind="codex", path="/"),)}, Refused, "does not reach so far"),
        ({"targets": ()}, Refused, "reaches outside"),
    ],
)
def test_a_plan_that_somebody_changed_reaches_nothing_else(place, changes, kind, why):
    plan = hostile(place, **changes)
    path, folder = place
    before = sums(path)

    with pytest.raises(kind, match=why):
        applying.apply(plan, receipts_folder=folder)

    assert sums(path) == before and not receipts.listing(folder)


def test_a_link_in_the_place_of_a_planned_file_is_not_followed(place, tmp_path):
    path, folder = place
    damage.free_pages(path)
    planned = planning.plan(report(path, finding(path, "compact")), folder)
    other = tmp_path / "other.sqlite"
    path.rename(other)
    path.symlink_to(other)
    before = sums(other)

    with pytest.raises(Refused, match="through a link"):
        applying.apply(planned, receipts_folder=folder)

    assert sums(other) == before


def test_a_home_that_is_reached_by_a_link_is_planned_where_it_is(place, tmp_path):
    path, folder = place
    damage.free_pages(path)
    (tmp_path / "link").symlink_to(path.parent)
    by_link = tmp_path / "link" / path.name

    planned = planning.plan(report(by_link, finding(by_link, "compact")), folder)

    assert applying.apply(planned, receipts_folder=folder).steps[0].path == str(path)


@pytest.mark.parametrize("text", ["", "{}", '{"schema": 1}', '{"schema": "1"}', "[]", "\\xff"])
def test_a_file_that_is_no_plan_is_refused(tmp_path, text):
    (tmp_path / "plan.json").write_text(text)

    with pytest.raises(Refused, match="no plan of ours"):
        planning.load(str(tmp_path / "plan.json"))


# --- copies --------------------------------------------------------------------------


def test_the_same_bytes_are_kept_once(place, mend, monkeypatch):
    monkeypatch.setattr(families, "_FICLONE", 0)  # as on a disk that cannot share blocks
    path, folder = place
    damage.free_pages(path)
    ids = []
    for _ in range(2):
        (id,) = mend("compact").receipts
        ids.append(id)
        kept = Path(folder, id, "copy-0")
        content = kept.read_bytes()
        # Back to the very same bytes, past the receipt, so that it keeps its copy.
        path.write_bytes(content)
        path.with_name("logs_2.sqlite-wal").write_bytes(Path(folder, id, "copy-0-wal").read_bytes())

    inodes = {Path(folder, id, "copy-0").stat().st_ino for id in ids}
    assert len(inodes) == 1
