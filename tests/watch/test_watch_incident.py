"""The incident replayed: a watcher over the databases of its own process, which once wrote 219 GB to a log.

The watcher's half: whatever is written, it is told of nothing, so nothing can feed itself.
"""

from __future__ import annotations

import pytest
from watch_helpers import all_until_quiet, kernel_watches, key, paths_until

import holdfast
from holdfast.watch import Protected, Watcher
from homes import MadeHome
from processes import Child

NAMES = ("logs_2.sqlite", "state_5.sqlite", "goals_1.sqlite", "memories_1.sqlite")

STORM = """
import sqlite3
folder, names = sys.argv[1], sys.argv[2:]
opened = [sqlite3.connect(os.path.join(folder, name), isolation_level=None) for name in names]
for db in opened:
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("CREATE TABLE logs (id INTEGER PRIMARY KEY, line TEXT)")
for number in range(300):
    for db in opened:
        db.execute("INSERT INTO logs (line) VALUES (?)", ("inotify event: " + "x" * 300,))
        db.execute("SELECT count(*) FROM logs").fetchall()
say(*sorted(name for name in os.listdir(folder) if "sqlite" in name))
for db in opened:
    db.close()
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A person's home: an agent's home in it, and our state where it lies by default."""
    monkeypatch.setenv("HOME", str(tmp_path))
    codex = MadeHome(tmp_path / ".codex")
    codex.ids = [codex.thread(f"thread {number}") for number in range(3)]
    return codex


@pytest.fixture
def state(home, tmp_path):
    with holdfast.open(home, state_dir=tmp_path / ".local" / "state" / "holdfast") as state:
        (tmp_path / ".local" / "state" / "holdfast" / "logs").mkdir(exist_ok=True)
        yield state


def write_all_we_have(state, home):
    """Write to state.db, search.db, cache.db, backups/ and logs/."""
    for number in range(100):
        state.threads.rename(home.ids[number % 3], f"name {number}")
        state.cache("any").put(f"key {number}", b"value")
        with open(f"{state.path}/logs/1-1-1.jsonl.zst", "ab") as log:
            log.write(b"x" * 300)
    state.index(full=True)
    state.wait_for_search()


@pytest.mark.parametrize("part", ["", "logs", "state.db", "state.db-wal", "search.db", "backups"])
def test_a_watcher_forced_onto_the_state_directory_is_refused(state, part):
    with state.watcher() as watcher, pytest.raises(Protected, match=state.path):
        watcher.subscribe(f"{state.path}/{part}".rstrip("/"), recursive=True)


@pytest.mark.parametrize("root", ["~", "~/.local", "~/.local/state"])
@pytest.mark.parametrize("poll", [False, True])
def test_a_watcher_above_it_is_told_of_nothing_that_we_write(state, home, tmp_path, root, poll):
    with Watcher(state.path, poll=poll, poll_s=0.02) as watcher:
        subscription = watcher.subscribe(root, recursive=True, ignore=())
        write_all_we_have(state, home)
        marker = tmp_path / root.replace("~", ".") / "marker"
        marker.write_text("x")

        assert paths_until(subscription, tmp_path / root[2:] / "marker") == {str(tmp_path / root[2:] / "marker")}
        assert all_until_quiet(subscription) == []
        assert key(state.path) not in kernel_watches()


@pytest.mark.parametrize("recursive", [True, False])
def test_the_databases_of_the_report_are_no_event_either_wherever_they_are_watched_from(home, tmp_path, recursive):
    with Watcher(tmp_path / "elsewhere") as watcher:
        above = watcher.subscribe("~", recursive=True)
        beside = watcher.subscribe(home.path, recursive=recursive)
        one = watcher.subscribe(home.path / "auth.json")
        child = Child(STORM, home.path, *NAMES)
        files = child.line().split()
        assert child.wait() == 0
        child.end()
        assert set(files) == {name + ending for name in NAMES for ending in ("", "-wal", "-shm")}

        for subscription in (above, beside, one):
            assert all_until_quiet(subscription) == []
        (home.path / "auth.json").write_text("{}")
        for subscription in (above, beside, one):
            paths_until(subscription, home.path / "auth.json")
