"""What is seen from outside of a database is found, with its figures, and nothing is said of what is well."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
import raw_damage as damage

from holdfast.doctor.facts import look as looking
from holdfast.doctor.facts import places
from holdfast.doctor.model import Database, Status, Target
from holdfast.doctor.probes.outside import users, wal
from holdfast.doctor.probes.raw import RAW
from holdfast.sqlite import filesystems
from processes import children

MIB = 1 << 20
HALF_A_SECOND_NS = 500_000_000


@pytest.fixture
def start():
    with children(damage.USES) as started:
        yield started


@pytest.fixture
def path(tmp_path):
    return damage.database(tmp_path / "some.db")


def look(path, *, kind="sqlite", role="other", between=None, scheduled_in=()):
    target = Target(kind=kind, path=str(path), databases=(Database(role=role, path=str(path)),))
    (seen,) = looking.look([target], between=between or (lambda: None), scheduled_in=scheduled_in)
    return replace(seen, later=replace(seen.later, at_ns=seen.at_ns + HALF_A_SECOND_NS))  # however fast this machine is


# The SQLite of this Python may be one that several processes had better not share: only one test is about that.
OF_THE_PYTHON = ("sqlite-version-affected",)


def judged(seen, but=OF_THE_PYTHON):
    """Return what all raw probes say, by its id; nothing of what the rest of the machine does."""
    findings = [f for probe in RAW if seen.target.kind in probe.kinds for f in probe.run(seen)]
    findings = [f for f in findings if not f.path.startswith("/proc/") and f.id not in but]
    assert len({f.id for f in findings}) == len(findings)
    return {f.id: f for f in findings}


def after_seconds(seen):
    """Return ``seen`` as if five seconds had been between its two looks."""
    return replace(seen, later=replace(seen.later, at_ns=seen.at_ns + 10 * HALF_A_SECOND_NS))


def found(path, **how):
    return judged(look(path, **how))


# --- logs ------------------------------------------------------------------------


def test_a_log_that_a_read_keeps_from_ending_is_starved_and_the_reader_is_named(start, path):
    reader, writer = damage.pin(start, path), damage.growing(start, path, 26)
    damage.grow(writer)

    finding = found(path)["wal-starved"]

    assert finding.status is Status.WARN
    assert list(finding.details["pinned_by"]) == [str(reader.pid)]
    assert f"pid {reader.pid} " in finding.measured
    assert f"{finding.details['frames']:,} frames" in finding.measured
    assert finding.details["live_bytes"] > 26 * MIB


def test_a_reader_who_is_stopped_is_named_as_such(start, path):
    reader = damage.pin(start, path)
    damage.at_work(start, path)
    reader.stop()

    finding = found(path)["stopped-holder"]

    assert finding.status is Status.WARN
    assert f"pid {reader.pid} " in finding.measured
    assert "stopped" in finding.measured
    assert "read mark" in finding.measured
    reader.go_on()


def test_a_log_that_nobody_copies_is_starved_without_a_reader(start, path):
    writer = damage.growing(start, path, 66)
    damage.grow(writer)

    findings = found(path)

    assert set(findings) == {"wal-starved"}
    finding = findings["wal-starved"]
    assert finding.details["pinned_by"] == {}
    assert "No read was open" in finding.measured


@pytest.mark.parametrize("reads", [True, False])
def test_a_log_of_a_few_mib_is_well_also_under_a_reader(start, path, reads):
    if reads:
        damage.pin(start, path)
    damage.grow(damage.growing(start, path, 8))

    assert found(path) == {}


def test_a_read_of_what_is_newest_keeps_no_log_from_ending(start, path):
    damage.grow(damage.growing(start, path, 26))
    damage.pin(start, path)

    assert found(path) == {}


def test_a_log_that_was_large_once_is_high_water(start, path):
    child = damage.high_water(start, path)

    finding = found(path)["wal-high-water"]

    assert finding.repair == "checkpoint-truncate"
    assert finding.details["wal_bytes"] > 64 * MIB
    assert finding.details["needed_bytes"] == 0
    assert f"pid {child.pid} " in finding.measured
    assert "0 bytes of that are still needed" in finding.measured


def test_a_log_that_the_killed_left_is_all_needed(start, path):
    damage.left_by_the_killed(start, path)

    finding = found(path)["wal-high-water"]

    assert finding.details["needed_bytes"] > 64 * MIB
    assert "killed" in finding.cause
    assert "has it open" in finding.measured


def test_a_long_log_that_nobody_has_open_takes_long_to_open(tmp_path):
    path = tmp_path / "long.db"
    damage.long_log(path, 1_200 * MIB)

    findings = found(path)

    assert set(findings) == {"slow-open", "wal-high-water"}
    assert findings["slow-open"].details["seconds"] == pytest.approx(6, abs=0.1)
    assert "1.2 GiB to read" in findings["slow-open"].measured


def test_only_who_finds_nobody_has_to_read_the_log_first(start, path, monkeypatch):
    monkeypatch.setattr(wal, "SLOW_OPEN_S", 0.1)  # 20 MiB
    writer = damage.growing(start, path, 26)
    damage.grow(writer)
    assert found(path) == {}

    writer.kill()

    assert set(found(path)) == {"slow-open"}


def test_log_rows_without_a_limit_are_found_by_bytes(path):
    damage.fill(path, 513 * MIB)

    finding = found(path, role="logs")["logs-no-cap"]

    assert (finding.row, finding.repair) == ("F06", "prune-logs")
    assert "513 MiB" in finding.measured
    assert found(path, role="state") == {}


def test_a_process_that_writes_its_log_all_its_life_churns(start, path):
    writer = damage.growing(start, path, 2)
    seen = look(path, role="logs", between=lambda: damage.grow(writer))
    assert judged(seen) == {}  # it is young: nothing is known of its life

    process = replace(seen.processes.all[writer.pid], age_s=86_400.0, written_bytes=170 * (1 << 30))
    seen.processes.all[writer.pid] = process

    finding = judged(seen)["log-churn"]
    assert finding.details["bytes_per_s"] > 0
    assert "170 GiB a day" in finding.measured


# --- generations -----------------------------------------------------------------


def test_a_log_that_was_deleted_while_open_is_found_with_its_holder_and_size(start, path):
    child = damage.at_work(start, path)
    damage.delete_log(path)

    finding = found(path)["deleted-but-open"]

    assert finding.status is Status.FAIL
    assert finding.details["pids"] == [child.pid]
    assert "some.db-wal" in finding.measured
    assert finding.details["bytes"] > 0


def test_a_family_that_was_deleted_while_open_is_found(start, path):
    child = damage.at_work(start, path)
    damage.delete_all(path)

    finding = found(path)["deleted-but-open"]

    assert (finding.details["files"], finding.details["pids"]) == (3, [child.pid])


def test_two_logs_of_one_database_are_found_and_who_writes_which(start, path):
    old, new = damage.second_log(start, path)

    findings = found(path)

    assert findings["two-wal-generations"].details == {"old": [old.pid], "new": [new.pid]}
    assert "deleted-but-open" not in findings


def test_a_log_that_its_last_user_deleted_is_no_finding(start, path):
    child = damage.at_work(start, path)

    def close():
        child.tell()
        child.wait()

    assert found(path, between=close) == {}


def test_a_deleted_log_that_is_let_go_is_no_finding(start, path):
    child = damage.at_work(start, path)
    damage.delete_log(path)

    assert found(path, between=child.kill) == {}


def test_databases_in_use_at_their_old_place_are_found(start, path):
    child = damage.at_work(start, path)

    finding = found(path, kind="codex", role="old")["old-files-held"]

    assert finding.details["pids"] == [child.pid]


# --- locks -----------------------------------------------------------------------


def test_a_write_transaction_that_sleeps_is_found_and_its_process_named(start, path):
    child = damage.hold_write(start, path)

    finding = found(path)["write-lock-held"]

    assert (finding.status, finding.details["pid"]) == (Status.WARN, child.pid)
    assert "committed nothing" in finding.measured


def test_write_transactions_that_end_are_no_finding(start, path):
    child = damage.hold_write(start, path)

    def commit():
        child.tell("commit")
        assert child.line() == "holds"

    assert judged(after_seconds(look(path, between=commit))) == {}


def test_a_write_transaction_that_ended_without_a_commit_is_no_finding(start, path):
    child = damage.hold_write(start, path)

    assert judged(after_seconds(look(path, between=child.kill))) == {}


def test_a_write_transaction_of_a_process_at_work_is_no_finding_before_five_seconds(start, path):
    child = damage.hold_write(start, path)

    def work():
        child.tell("work")
        assert child.line() == "worked"

    seen = look(path, between=work)

    assert judged(seen) == {}
    assert set(judged(after_seconds(seen))) == {"write-lock-held"}


@pytest.mark.parametrize("in_wal_mode", [True, False])
def test_a_writer_who_is_stopped_is_found_and_nothing_destructive_is_suggested(start, tmp_path, in_wal_mode):
    path = damage.database(tmp_path / "some.db", wal=in_wal_mode)
    child = damage.hold_write(start, path)
    child.stop()

    finding = found(path)["stopped-holder"]

    assert (finding.status, finding.details["blocks_writers"]) == (Status.FAIL, True)
    assert f"pid {child.pid} " in finding.measured
    assert "the write lock" in finding.measured
    assert "kill -CONT" in finding.remedy
    assert "kill -9" not in finding.remedy
    child.go_on()


def test_a_stopped_process_that_holds_nothing_is_no_finding(start, path):
    child = damage.at_work(start, path)
    child.stop()

    assert found(path) == {}
    child.go_on()


def test_a_process_that_lost_its_locks_is_found(start, path):
    kept = damage.at_work(start, path)
    child = damage.lose_locks(start, path)

    finding = found(path)["lost-locks"]

    assert finding.details["pids"] == [child.pid]
    assert str(kept.pid) not in finding.measured


def test_a_careless_close_in_a_process_of_ours_loses_nothing(start, tmp_path):
    damage.careless_beside_ours(start, tmp_path / "state" / "state.db")

    seen = look(tmp_path / "state" / "state.db", kind="holdfast")

    assert seen.processes.holders(seen.families[0])
    assert judged(seen) == {}


def test_a_fork_that_leaves_its_parents_database_alone_has_lost_nothing(start, path):
    damage.forked(start, path)

    assert found(path) == {}


# --- names and places ------------------------------------------------------------


def test_a_database_with_a_second_name_is_found(path):
    damage.hard_link(path)

    assert found(path)["aliased-database"].details["names"] == 2


def test_a_linked_database_is_found_and_worse_when_logs_lie_beside_the_link(path, tmp_path):
    real = damage.symlink(path, tmp_path / "elsewhere")
    finding = found(path)["aliased-database"]
    assert (finding.status, finding.details["target"]) == (Status.WARN, str(real))

    Path(f"{path}-wal").write_bytes(b"")
    assert found(path)["aliased-database"].status is Status.FAIL
    assert found(real) == {}


def test_a_linked_sidecar_is_found(path, tmp_path):
    damage.link_sidecar(path, tmp_path / "ram")

    finding = found(path)["symlinked-sidecar"]

    assert finding.path == f"{path}-wal"
    assert str(tmp_path / "ram" / "wal") in finding.measured


@pytest.mark.parametrize("kind", damage.CRON)
def test_a_job_that_deletes_logs_is_found_and_harmless_ones_are_not(path, tmp_path, kind):
    table = tmp_path / "crontab"
    table.write_text("\n".join([*damage.HARMLESS_CRON, damage.CRON[kind]]))

    finding = found(path, scheduled_in=[str(tmp_path / "none"), str(table)])["cron-deletes-wal"]

    assert (finding.path, finding.details["line"]) == (str(table), len(damage.HARMLESS_CRON) + 1)
    assert damage.CRON[kind] in finding.measured


def test_a_folder_of_jobs_is_read(path, tmp_path):
    folder = tmp_path / "cron.d"
    folder.mkdir()
    (folder / "trim").write_text(damage.CRON["rm"])
    (folder / "pipe.not-read").symlink_to("/dev/zero")

    assert "cron-deletes-wal" in found(path, scheduled_in=[str(folder)])


@pytest.mark.parametrize("kind", ["nfs4", "9p", "virtiofs", "fuse.sshfs", "afs"])
def test_a_mount_that_keeps_no_locks_is_found(path, monkeypatch, kind):
    monkeypatch.setattr(filesystems, "kind_at", lambda _folder: kind)

    finding = found(path)["network-mount"]

    assert finding.status is Status.FAIL
    assert kind in finding.measured


@pytest.mark.parametrize(
    ("what", "changes", "status"),
    [
        ("disk-full", {"free_bytes": 0}, Status.FAIL),
        ("disk-full", {"free_bytes": 300 * MIB}, Status.WARN),
        ("inodes-full", {"free_inodes": 0, "total_inodes": 1_000}, Status.FAIL),
        ("read-only-place", {"read_only": True}, Status.WARN),
        ("read-only-place", {"writable": False}, Status.WARN),
    ],
)
def test_a_place_that_takes_no_more_is_found(path, monkeypatch, what, changes, status):
    place = places.place(str(path.parent))
    monkeypatch.setattr(places, "place", lambda _folder: replace(place, **changes))

    assert {id: f.status for id, f in found(path).items()} == {what: status}


def test_files_that_everybody_can_read_are_found_unless_a_folder_keeps_others_out():
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        path = damage.database(Path(folder) / "state_5.sqlite")
        assert found(path, kind="codex", role="state") == {}
        path.chmod(0o644)

        finding = found(path, kind="codex", role="state")["files-readable-by-others"]

        assert (finding.status, finding.repair) == (Status.WARN, "private-modes")
        assert "0644" in finding.measured
        os.chmod(folder, 0o700)
        assert found(path, kind="codex", role="state") == {}


# --- who uses it -----------------------------------------------------------------


def test_a_process_that_watches_its_own_database_is_found(start, path):
    child = damage.watch(start, path, path.parent)

    finding = found(path)["self-watch"]

    assert finding.status is Status.WARN
    assert finding.details["watchers"] == finding.details["holders"] == [child.pid]
    assert f"{path.parent} (inode {path.parent.stat().st_ino})" in finding.measured


def test_and_failing_while_its_log_grows(start, path):
    child = damage.watch(start, path, path)

    finding = found(path, between=lambda: damage.grow(child))["self-watch"]

    assert finding.status is Status.FAIL
    assert finding.details["wal_bytes_per_s"] > MIB
    assert "/s." in finding.measured


def test_another_program_that_watches_is_no_finding_until_the_log_races(start, path):
    watcher, writer = damage.only_watch(start, path.parent), damage.growing(start, path, 4)
    assert found(path) == {}

    finding = found(path, between=lambda: damage.grow(writer))["self-watch"]

    assert finding.status is Status.WARN
    assert finding.details["watchers"] == [watcher.pid]
    assert finding.details["holders"] == [writer.pid]


def test_a_watch_that_writes_do_not_wake_is_no_finding(start, path):
    damage.watch(start, path, path.parent, mask=0x100 | 0x200)  # something was made, something was deleted

    assert found(path) == {}


def test_a_watch_of_the_root_is_found(start, path):
    child = damage.watch(start, path, "/")

    finding = found(path)["wide-watch"]

    assert (finding.details["pid"], finding.details["folders"]) == (child.pid, ["/"])


@pytest.mark.parametrize("what", ["watches", "instances"])
def test_watches_that_are_nearly_used_up_are_found_once_for_the_machine(start, path, what):
    child = damage.only_watch(start, path.parent)
    target = Target(kind="sqlite", path=str(path), databases=(Database(role="other", path=str(path)),))
    first, second = looking.look([target, target], between=lambda: None, scheduled_in=())
    few = replace(first.processes, all={child.pid: first.processes.all[child.pid]}, **{f"{what}_max": 1})

    said = [f for each in (first, second) for p in RAW for f in p.run(replace(each, processes=few))]

    assert [(f.id, f.details["used"], f.details["most"]) for f in said] == [(f"inotify-{what}", 1, 1)]


def test_connections_that_are_never_closed_are_found(start, path):
    child = damage.leak(start, path)

    finding = found(path)["descriptor-leak"]

    assert (finding.details["pid"], finding.details["fds"]) == (child.pid, 120)


def test_a_process_near_its_limit_is_found(start, path):
    child = damage.near_limit(start, path)

    finding = found(path)["descriptors-near-limit"]

    assert finding.details["pid"] == child.pid
    assert "of 64" in finding.measured


def test_many_children_are_found(start, path, monkeypatch):
    monkeypatch.setattr(users, "CHILDREN", 8)
    child = damage.spawn(start, path, 8)

    finding = found(path)["spawn-storm"]

    assert (finding.details["pid"], finding.details["children"]) == (child.pid, 8)


def test_two_who_share_a_database_and_have_a_sqlite_that_damages_it_are_found(start, path):
    one = damage.at_work(start, path)
    assert judged(look(path), but=()) == {}  # it takes two

    two = damage.at_work(start, path)
    findings = judged(look(path), but=())

    version = sqlite3.sqlite_version_info
    if not users.is_affected(version[0] * 1_000_000 + version[1] * 1_000 + version[2]):
        assert findings == {}
        return
    finding = findings["sqlite-version-affected"]
    assert finding.details["holders"] == 2
    assert sqlite3.sqlite_version in finding.measured
    # Some Pythons have it within themselves; then only the header says what wrote it last.
    assert set(finding.details["versions"]) in ({str(one.pid), str(two.pid)}, set())
    assert found(damage.database(path.with_name("alone.db"))) == {}


# --- what was not looked at ------------------------------------------------------


def test_what_was_not_looked_at_in_time_is_said(start, path):
    damage.at_work(start, path)
    target = Target(kind="sqlite", path=str(path), databases=(Database(role="other", path=str(path)),))

    (seen,) = looking.look([target], scan_ms=0, between=lambda: None, scheduled_in=())

    assert not seen.processes.is_whole
    (finding,) = (f for probe in RAW for f in probe.run(seen) if f.id == "processes-not-all-seen")
    assert finding.status is Status.PARTIAL
    assert "were not looked at" in finding.measured
