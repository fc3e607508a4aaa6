"""The power is cut after every operation, in every way: what was promised is there, and nothing half."""

from __future__ import annotations

import itertools
from pathlib import Path

import apsw
import home_workloads
import pytest
import rollout_workloads
import workloads
from contents import Commits, check_integrity, commits_marked, content, content_of
from disk import Sync
from recorder import recorded
from replay import VARIANTS, replay

from holdfast.clock import wall_ms
from holdfast.sqlite import Store, creation, settings
from holdfast.sqlite.wal import Wal

WORKLOADS = {
    "creation": lambda root, _home: workloads.creation(root),
    "notes": lambda root, _home: workloads.notes(root),
    "notes, durability normal": lambda root, _home: workloads.notes(root, durability="normal"),
    "holds": lambda root, _home: workloads.hold_turns(root),
    "group commits": lambda root, _home: workloads.group_commits(root),
    "index": lambda root, home: home_workloads.index_home(root, home),
    "words": lambda root, home: home_workloads.index_words(root, home),
    "rollout": lambda root, _home: rollout_workloads.write_rollout(root),
    "what people say": lambda root, home: home_workloads.say(root, home),
}
# Of the steps of each workload, `make test` cuts at one in so many; which ones, the seed says.
SEEDS = {"rollout": 8}
EVERY = {
    "creation": 4,
    "notes": 12,
    "notes, durability normal": 12,
    "holds": 3,
    "index": 24,
    "words": 60,
    "what people say": 15,
}


@pytest.fixture
def home(memory):
    return memory / "home"


@pytest.mark.parametrize("name", WORKLOADS)
def test_after_a_power_cut_all_that_was_promised_is_there_and_nothing_half(name, root, image, home, seed):
    done = WORKLOADS[name](root, home)

    report = replay(
        done.log, done.examine, done.judge, folder=image, seed=seed, every=EVERY.get(name, 1), seeds=SEEDS.get(name, 1)
    )

    assert report.violations == []
    assert report.distinct > 10


@pytest.mark.torture
@pytest.mark.parametrize("name", WORKLOADS)
def test_after_a_power_cut_at_any_step_all_that_was_promised_is_there(name, root, image, home, seed):
    done = WORKLOADS[name](root, home)

    report = replay(done.log, done.examine, done.judge, folder=image, seed=seed, seeds=4)

    assert report.violations == []
    print(f"{name}: {report.points} cuts, {report.distinct} distinct images, {report.seconds:.1f} s")


# Not "junk": a failed sync is mended by writing the same bytes again, and that they are not garbled
# then is what SQLite, too, takes for granted (sqlite.org/psow.html).
WITHOUT_JUNK = tuple(variant for variant in VARIANTS if variant != "junk")


def test_what_is_promised_after_a_failed_sync_survives_a_power_cut_too(root, image, seed):
    done = workloads.failed_sync(root, 1 + seed % 14)

    assert violations(done, image, seed=seed, every=3, variants=WITHOUT_JUNK) == []


@pytest.mark.torture
def test_whichever_sync_failed_what_is_promised_after_it_survives_a_power_cut_too(memory, image):
    for nth in itertools.count(1):
        root = memory / f"root {nth}"
        root.mkdir()
        done = workloads.failed_sync(str(root), nth)
        if done is None:
            break
        assert violations(done, image, seeds=4, variants=WITHOUT_JUNK) == []
    assert nth > 10


@pytest.mark.parametrize("nth", range(1, 14))
def test_lines_that_are_acknowledged_after_a_failed_sync_survive_a_power_cut_too(nth, root, image, seed):
    done = rollout_workloads.write_rollout(root, failing=nth)

    assert violations(done, image, seed=seed, variants=WITHOUT_JUNK) == []


# --- would it be noticed? -----------------------------------------------------
# Each of these is a mistake somebody could make. The harness is worth something if it finds every one.


def violations(done, image, **options):
    return replay(done.log, done.examine, done.judge, folder=image, **options).violations


def with_pragma(monkeypatch, text):
    real = settings.for_writing

    def for_writing(connection, durability):
        real(connection, durability)
        settings.run_all(connection, text)

    monkeypatch.setattr(settings, "for_writing", for_writing)


def test_synchronous_off_is_caught(root, image, monkeypatch):
    with_pragma(monkeypatch, "PRAGMA synchronous = OFF")

    assert violations(workloads.notes(root), image)


def test_normal_where_full_was_promised_is_caught(root, image):
    (found,) = violations(workloads.notes(root, durability="normal", judged="full"), image)

    assert "were to last" in found.why


def test_a_database_created_under_full_is_caught(root, image, monkeypatch):
    # The unlink of the journal used to enter WAL mode is not synced then, until the first commit
    # syncs its new log, and the folder with it. A journal that comes back takes WAL mode back.
    monkeypatch.setattr(creation, "_CREATED_UNDER", "FULL")

    (found,) = violations(workloads.creation(root), image)
    assert "no database in WAL mode" in found.why


def test_a_journal_in_memory_is_caught(root, image):
    def examine(folder):
        with Store.open(f"{folder}/notes.db", clock=wall_ms) as store, store.read() as tx:
            check_integrity(tx)
            return content_of(tx)

    with recorded(root) as log, commits_marked(log):
        Store.open(f"{root}/notes.db", clock=wall_ms).close()
        connection = apsw.Connection(f"{root}/notes.db")
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
        connection.execute("PRAGMA journal_mode = MEMORY").fetchall()
        table = "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT); CREATE INDEX n ON notes (text)"
        for sql in (table, *[f"INSERT INTO notes (text) VALUES ('{n}' || hex(zeroblob(3000)))" for n in range(8)]):
            connection.execute(f"BEGIN; {sql}; COMMIT")
            log.mark("commit notes.db", content(lambda sql: connection.execute(sql).fetchall()))
        connection.close()

    found = replay(log, examine, Commits(log, "notes.db").judge, folder=image).violations
    assert found


def test_a_snapshot_that_is_not_synced_before_it_gets_its_name_is_caught(root, image, home):
    done = home_workloads.say(root, home, turns=3, deaf=lambda path: Path(path).name.startswith(".said-"))

    (found,) = violations(done, image)
    assert "the newest snapshot" in found.why


def test_a_snapshot_whose_folder_is_not_synced_is_caught(root, image, home):
    done = home_workloads.say(root, home, turns=3, deaf=lambda path: path.endswith("/backups"))

    (found,) = violations(done, image)
    assert "the newest snapshot" in found.why


def test_a_log_that_is_built_upon_after_a_failed_sync_is_caught(root, image, monkeypatch):
    monkeypatch.setattr(Wal, "write_again", lambda _wal: None)

    (found,) = violations(workloads.failed_sync(root, 3), image)
    assert "were to last" in found.why


def test_lines_that_are_acknowledged_without_a_sync_are_caught(root, image):
    done = rollout_workloads.write_rollout(root, deaf=lambda path: path.endswith(".jsonl"))

    (found,) = violations(done, image)
    assert "bytes were safe" in found.why


def test_a_new_folder_that_is_not_synced_is_caught(root, image, home):
    done = home_workloads.index_home(root, home, count=3)
    parent = done.log.inode(done.log.root)
    done.log.ops[:] = [op for op in done.log.ops if op != Sync(parent)]

    assert violations(done, image)
