"""What is wrong with a database is planned, mended and gone; undone, every byte is back."""

from __future__ import annotations

import json

import pytest
import sqlite_damage as damage
from mending import ASK, OWNER, finding, read_by_its_owner, report, sums

from holdfast import receipts
from holdfast.cli import main
from holdfast.doctor import applying, planning, replacing, undoing
from holdfast.doctor.planning import Wishes
from holdfast.errors import Busy, Refused

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
