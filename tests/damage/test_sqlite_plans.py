"""A plan does what it says, to the files it was made for, or nothing: whatever happened meanwhile, whoever wrote it."""

from __future__ import annotations

import os
import random
from pathlib import Path

import msgspec
import pytest
import sqlite_damage as damage
from mending import OWNER, finding, read_by_its_owner, report, sums

from holdfast import receipts
from holdfast.doctor import applying, planning, undoing
from holdfast.doctor.holding import hold
from holdfast.doctor.model import Target
from holdfast.doctor.planning import Wishes
from holdfast.errors import Busy, Full, Refused, Stale, Unsupported
from holdfast.receipts import families

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


@pytest.mark.parametrize("is_opened", [False, True])
def test_a_plan_goes_on_to_the_next_file_until_somebody_has_it_open(place, start, is_opened):
    path, folder = place
    other = path.with_name("logs_3.sqlite")
    for each in (path, other):
        damage.free_pages(each)
    before = sums(path), sums(other)
    both = msgspec.structs.replace(
        report(path, finding(path, "compact"), finding(other, "compact")),
        targets=(Target(kind="sqlite", path=str(path)), Target(kind="sqlite", path=str(other))),
    )
    opened = []

    def look(number, point, done, total):
        if (number, point) == (2, "made") and is_opened:
            opened.append(start("held = open(sys.argv[1]); say('open'); hear()", other))
            assert opened[0].line() == "open"

    applied = applying.apply(planning.plan(both, folder), receipts_folder=folder, on_progress=look)

    first, second = applied.steps
    assert first.outcome.gone
    if is_opened:
        assert second.outcome is None and f"pid {opened[0].pid}" in applied.stopped
        assert sums(other) == before[1]
    else:
        assert second.outcome.gone and applied.stopped is None
    for id in applied.receipts:
        undoing.undo(receipts.find(folder, id))
    assert (sums(path), sums(other)) == before


READERS = """
import random, select, sqlite3
rng = random.Random(sys.argv[2])
while not select.select([0], [], [], rng.random() * 0.6)[0]:
    db = sqlite3.connect(sys.argv[1], timeout=5, isolation_level=None)
    found = db.execute("PRAGMA quick_check(1)").fetchone() + db.execute("SELECT count(*) FROM logs").fetchone()
    db.close()
    say(*found)
"""


@pytest.mark.torture
def test_readers_who_come_and_go_never_see_it_half_done(place, start):
    seed, (path, folder) = random.randrange(10**6), place
    print(f"seed {seed}")
    damage.free_pages(path)
    before = sums(path)
    readers = [start(READERS, path, seed + number) for number in range(2)]
    times, last = 0, None
    while times < 200:
        try:
            if last is None:
                planned = planning.plan(report(path, finding(path, "compact", free_pages=1)), folder)
                (last,) = applying.apply(planned, receipts_folder=folder).receipts
            else:
                undoing.undo(receipts.find(folder, last))
                last = None
                times += 1
        except (Busy, Stale):  # one of them is in it
            pass
    for reader in readers:
        reader.tell()

    assert {line for reader in readers for line in reader.lines()} == {"ok 300"}
    assert sums(path).keys() <= before.keys()


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
    rest = os.statvfs_result((4_096, 4_096, 10**6, 2_100, 2_100, 10**6, 10**6, 10**6, 0, 255))  # 8.2 MiB are free
    planned = planning.plan(report(path, finding(path, "compact")), folder)
    monkeypatch.setattr(os, "statvfs", lambda path: rest)

    left = planning.plan(report(path, finding(path, "compact")), folder)

    assert not left.steps
    assert "for copies and new content, and 8.2 MiB are free there" in left.left_out[0].why
    with pytest.raises(Full, match=r"8\.2 MiB are free there; nothing was changed"):
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


def test_what_one_plan_took_away_is_kept_however_much_it_is(place, mend, monkeypatch):
    monkeypatch.setattr(receipts.write, "__kwdefaults__", {**receipts.write.__kwdefaults__, "bytes_max": 1})
    path, folder = place
    damage.strange_trigger(path)
    wishes = Wishes(keep_days=None, keep_rows=20, drop_triggers=("block_log_inserts",))

    of_first = mend("prune-logs", "drop-trigger", wishes=wishes, trigger="block_log_inserts").receipts
    assert {each.id for each in receipts.listing(folder)} == set(of_first)
    (of_second,) = mend("empty-logs").receipts

    assert [each.id for each in receipts.listing(folder)] == [of_second]


def test_who_has_several_files_of_a_database_is_named_once(place, start):
    path, _ = place
    damage.free_pages(path)
    owner = start(OWNER, path)
    assert owner.line() == "open"

    with pytest.raises(Busy) as refused, hold(str(path)):
        pass

    assert str(refused.value).count(f"pid {owner.pid}") == 1
