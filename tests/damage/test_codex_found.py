"""Each thing that goes wrong with a Codex home is found as itself and as nothing else; a healthy home gives nothing."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import codex_damage
import pytest
from codex_damage import SECRET, found, sql

from holdfast.doctor.homes.look import SqlLook
from holdfast.doctor.homes.recognising import recognise
from holdfast.doctor.model import Status
from holdfast.doctor.probes import damage, log_tables
from holdfast.sqlite.inspecting import How, Inspection, Unread, UnreadError
from homes import seen
from processes import children

pytestmark = pytest.mark.usefixtures("looks_only")


@pytest.mark.parametrize("version", ["0.141", "0.169"])
@pytest.mark.parametrize("deep", [False, True])
def test_what_codex_left_has_nothing_wrong_with_it_and_is_as_it_was(tmp_path, version, deep):
    home = codex_damage.home(tmp_path, version)
    before = seen(home)

    assert found(home, deep=deep) == []
    assert seen(home) == before


@pytest.mark.parametrize("damage", codex_damage.DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damage_is_found_as_what_it_is(home, damage):
    damage(home)
    before = seen(home)

    findings = found(home)

    assert [(finding.id, finding.repair) for finding in findings] == [codex_damage.DAMAGES[damage]]
    assert seen(home) == before


def test_a_secret_is_counted_and_never_told(home):
    codex_damage.told_a_secret(home)

    (finding,) = found(home)

    assert SECRET not in repr(finding)
    assert finding.details["rows"] > 10


def test_a_log_about_itself_is_told_with_its_levels_and_who_writes_most(home):
    codex_damage.watching_itself(home)

    (finding,) = found(home)

    assert finding.status is Status.FAIL
    assert next(iter(finding.details["targets"])) == "log"
    assert finding.details["levels"]["TRACE"] > finding.details["sampled"] / 2
    assert any("inotify event" in message for message in finding.details["messages"])


def test_a_log_without_a_cap_is_found_by_its_bytes_and_told_by_its_threads(home, monkeypatch):
    monkeypatch.setattr(log_tables, "CAP_BYTES", 1 << 20)

    (finding,) = found(home)

    assert (finding.id, finding.repair) == ("logs-no-cap", "prune-logs")
    ((threads,),) = sql(home / "logs_2.sqlite", "SELECT count(DISTINCT thread_id) FROM logs")
    assert finding.details["thread_id"] == threads


def test_a_copied_home_names_the_other_one_that_codex_would_write_to(home, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(home, copy)

    (finding,) = found(copy)

    assert finding.id == "stale-paths"
    assert finding.details["roots"] == {str(home): 48}
    assert finding.details["elsewhere"] == 48


def test_projects_that_moved_with_the_home_are_told_with_where_they_are_now(home, tmp_path):
    codex_damage.moved(home)
    sql(home / "state_5.sqlite", "UPDATE threads SET cwd = '/gone/src/alpha' WHERE cwd = '/home/dev/src/alpha'")
    (tmp_path / "src" / "alpha").mkdir(parents=True)

    (finding,) = found(home)

    assert finding.details["cwds"] == {"/gone/src/alpha": str(tmp_path / "src" / "alpha")}


def test_a_home_behind_a_link_and_sessions_on_another_disk_are_no_stale_paths(home, tmp_path):
    shutil.move(home / "sessions", tmp_path / "disk")
    (home / "sessions").symlink_to(tmp_path / "disk")
    (tmp_path / "link").symlink_to(home)

    assert found(tmp_path / "link") == []


def test_rows_whose_disk_is_not_mounted_are_not_called_rows_without_files(home, tmp_path):
    shutil.rmtree(home / "sessions")
    (home / "sessions").symlink_to(tmp_path / "not mounted")

    assert found(home) == []


def test_cold_rollouts_that_codex_compressed_are_their_rows_files(home):
    from backports import zstd

    for file in codex_damage.rollouts(home)[:5]:
        Path(f"{file}.zst").write_bytes(zstd.compress(file.read_bytes()))
        file.unlink()

    assert found(home) == []


def test_a_half_compressed_rollout_is_torn(home):
    from backports import zstd

    file = codex_damage.rollouts(home)[0]
    Path(f"{file}.zst").write_bytes(zstd.compress(file.read_bytes())[:-200])
    os.utime(f"{file}.zst", (1, 1))
    file.unlink()

    assert [finding.id for finding in found(home)] == ["torn-rollout"]


def test_a_line_that_is_just_being_written_is_not_torn(home):
    file = codex_damage.rollouts(home)[0]
    with file.open("ab") as out:
        out.write(b'{"timestamp":"2026-')

    assert found(home) == []


def test_a_home_without_any_database_has_nothing_wrong(home):
    for path in home.glob("*.sqlite"):
        path.unlink()

    assert found(home) == []


def test_a_home_of_the_first_generation_is_looked_through_as_well(home):
    codex_damage.of_the_first_generation(home)
    assert found(home) == []

    state = home / "state_4.sqlite"
    sql(state, "INSERT INTO memory_phase1_jobs VALUES ('t', 'user', 'user', 'running', 1)")
    sql(state, "CREATE TRIGGER quiet BEFORE INSERT ON logs BEGIN SELECT RAISE(IGNORE); END")
    codex_damage.files_lost(home)

    assert {finding.id for finding in found(home)} == {"stale-lease", "strange-trigger", "threads-without-files"}


def test_a_generation_that_is_not_known_is_checked_as_a_file_and_its_rows_are_left_alone(home):
    for name in ("state_5", "memories_1"):
        kind, _, number = name.rpartition("_")
        (home / f"{name}.sqlite").rename(home / f"{kind}_{int(number) + 1}.sqlite")
    sql(home / "state_6.sqlite", "DELETE FROM threads")
    assert found(home) == []

    (home / "memories_2.sqlite").write_bytes(b"nothing that a database begins with")
    assert [finding.id for finding in found(home)] == ["malformed"]


def test_one_log_file_named_by_itself_is_looked_through_as_the_log_it_is(home):
    codex_damage.kept_from_logging(home)

    assert [finding.id for finding in found(home / "logs_2.sqlite")] == ["strange-trigger"]


HOLDER = """
import sqlite3
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("PRAGMA journal_mode = WAL")
c.execute("SELECT count(*) FROM sqlite_schema").fetchall()
pause("open")
"""


@pytest.mark.parametrize("work", [codex_damage.killed_in_backfill, codex_damage.lease_of_the_dead])
def test_work_that_runs_while_somebody_has_the_home_open_is_that_ones(home, work):
    work(home)
    with children("") as start:
        child = start(HOLDER, home / "state_5.sqlite")
        assert child.line() == "open"
        assert found(home) == []
        child.kill()

    assert len(found(home)) == 1


def test_a_busy_home_has_nothing_wrong(home):
    with children("") as start:
        child = start(BUSY, home)
        assert child.line() == "at work"
        for _ in range(3):
            assert found(home) == []
        child.tell("enough")
        assert child.line() == "done"


# Archives a thread and takes it back, as Codex does: the file, then the row; and writes a log.
BUSY = """
import select, sqlite3
home = sys.argv[1]
state, logs = (sqlite3.connect(f"{home}/{name}", isolation_level=None, timeout=30)
               for name in ("state_5.sqlite", "logs_2.sqlite"))
for c in (state, logs): c.execute("PRAGMA journal_mode = WAL")
(id, path), = state.execute("SELECT id, rollout_path FROM threads WHERE archived = 0 LIMIT 1")
at, away = path, f"{home}/archived_sessions/{os.path.basename(path)}"
n = 0
while n < 2 or not select.select([0], [], [], 0)[0]:
    os.rename(at, away)
    state.execute("UPDATE threads SET rollout_path = ?, archived = 1 - archived WHERE id = ?", (away, id))
    at, away = away, at
    for _ in range(50):
        logs.execute("INSERT INTO logs (ts, ts_nanos, level, target, feedback_log_body, estimated_bytes)"
                     " SELECT strftime('%s'), 1, 'INFO', 'busy', 'said', 100")
    logs.execute("DELETE FROM logs WHERE id <= (SELECT max(id) FROM logs) - 3000")
    n += 1
    if n == 1: say("at work")
say("done")
"""


def test_a_table_too_large_for_one_read_is_read_through_and_what_was_not_is_told(home, monkeypatch):
    monkeypatch.setattr(Inspection, "check_all", too_large)
    monkeypatch.setattr(Inspection, "check", too_large)
    assert found(home) == []  # all of it was read, in pages

    codex_damage.overwritten(home)
    assert [finding.id for finding in found(home)] == ["malformed"]


def test_what_there_was_no_time_for_is_partial_and_told_by_how_far_it_came(home, monkeypatch):
    monkeypatch.setattr(Inspection, "check_all", too_large)
    monkeypatch.setattr(Inspection, "check", too_large)
    target = recognise(home / "logs_2.sqlite")
    with SqlLook(target) as look:
        assert list(damage.malformed(look)) == []
        look.deadline_ns = time.monotonic_ns() + 1_000_000

        (finding,) = damage.large_tables(look)

    assert (finding.id, finding.status) == ("database-slow", Status.PARTIAL)
    assert finding.details["rows_read"]["logs"] < 2_454


def too_large(*_args):
    raise UnreadError(Unread(How.SLOW, 9, "too large"))
