"""An index that follows a home as agents write to it: the same as one made anew, whatever happens to the files."""

from __future__ import annotations

import json
import os
import queue
import random
import shutil
import signal
import sys
import threading
from pathlib import Path

import pytest
from contract_helpers import spelled
from test_rescan import afresh, columns

from holdfast.ingest.rules import RESUME_BYTES_MIN
from holdfast.watch import Degraded
from homes import NOON_MS, line
from processes import SRC, children

PATIENCE_S = 20


class Following:
    """A thread that follows, and what it tells."""

    def __init__(self, state):
        self.state = state
        self.stop = threading.Event()
        self.told = queue.Queue()
        self.all = []
        self.error = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        for _ in state.homes:
            assert self.next().what == "looked"

    def _run(self):
        try:
            for change in self.state.follow(stop=self.stop):
                self.told.put(change)
        except BaseException as error:
            self.error = error
            self.told.put(None)

    def next(self):
        try:
            change = self.told.get(timeout=PATIENCE_S)
        except queue.Empty:
            raise AssertionError(f"waited in vain, after {self.all[-8:]}") from None
        if change is None:
            raise self.error
        self.all.append(change)
        return change

    def until(self, what, id=None):
        """Return the change of this kind, of this thread; those before it are passed over."""
        for _ in range(1_000):
            change = self.next()
            if change.what == what and id in (None, change.thread_id):
                return change
        raise AssertionError(what)

    def until_same(self, kept, home):
        """Return once the index is that of the home made anew."""
        for _ in range(100):
            if [row for row in columns(kept) if not row["missing"]] == afresh(home):
                return
            try:
                self.all.append(self.told.get(timeout=0.2))
                assert self.all[-1] is not None, self.error
            except queue.Empty:
                continue
        ours, fresh = [row for row in columns(kept) if not row["missing"]], afresh(home)
        for one, other in zip(ours, fresh, strict=False):
            assert {(key, one[key]) for key in one} == {(key, other[key]) for key in other}
        assert ours == fresh

    def end(self):
        self.stop.set()
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()


@pytest.fixture
def follow():
    started = []

    def start(state):
        started.append(Following(state))
        return started[-1]

    yield start
    for each in started:
        each.end()


def test_what_happens_to_a_file_is_told_once_it_is_in_the_index(make_home, open_state, kept, follow):
    home = make_home()
    first = home.thread("there before")
    home.change((home.path / "archived_sessions").mkdir)
    state = open_state(home)
    following = follow(state)

    new = home.thread("written just now")
    change = following.until("new", new)
    assert (change.home, change.path) == (str(home), str(home.file(new).relative_to(home.path)))
    assert state.threads.get(new).title == "written just now"
    home.append(new, "and more", ms=NOON_MS + 90_000)
    following.until("grown", new)
    assert state.threads.get(new).updated_at_ms == NOON_MS + 90_000
    home.move(new, "archived_sessions")
    following.until("archived", new)
    assert state.threads.get(new).archived
    home.move(new, "sessions/2026/11/21")
    following.until("unarchived", new)
    home.pack(first)
    following.until("compressed", first)
    home.unpack(first)
    following.until("unpacked", first)
    home.name(first, "a name from the home")
    following.until("names")
    assert state.threads.get(first).name == "a name from the home"
    home.delete(new)
    following.until("deleted", new)
    assert state.threads.get(new).missing_since_ms is not None
    following.until_same(kept, home)


def test_a_home_that_was_empty_and_a_day_that_begins_are_followed(make_home, open_state, kept, follow):
    home = make_home()
    following = follow(open_state(home))
    home.thread("the first of all")
    following.until_same(kept, home)
    second = home.thread("of the next day", created_ms=NOON_MS + 86_400_000)
    following.until("new", second)
    home.change(lambda: shutil.rmtree(home.path / "sessions"))
    following.until_same(kept, home)
    home.thread("after all was deleted", created_ms=NOON_MS + 3 * 86_400_000)
    following.until_same(kept, home)


def test_a_long_file_goes_on_where_it_ended(make_home, open_state, follow):
    home = make_home()
    id = home.thread("first words", "long words " * (RESUME_BYTES_MIN // 10))
    state = open_state(home)
    following = follow(state)
    file = home.file(id)
    # What was read is not read again: damage to it goes unseen until somebody asks for a full index.
    home.change(lambda: _overwrite(file, b"first words", b"other words"))
    home.append(id, "and more", ms=NOON_MS + 88_000)
    following.until("grown", id)

    assert state.threads.get(id).title == "first words"


def _overwrite(file, old, new):
    content = file.read_bytes()
    at = content.index(old)
    with file.open("r+b") as out:
        out.seek(at)
        out.write(new)


OPERATIONS = (
    "new",
    "append",
    "append",
    "half",
    "archive",
    "back",
    "pack",
    "unpack",
    "delete",
    "replace",
    "name",
    "days",
)


def operate(home, rng):
    """Do one thing to a home, as its agent or its owner might."""
    ids = [id for id in home.ids if len(home.files(id)) == 1]
    what = rng.choice(OPERATIONS)
    if what == "new" or not ids:
        day = rng.randrange(3) * 86_400_000
        home.ids.append(home.thread(f"thread {len(home.ids)}", created_ms=NOON_MS + day))
        return
    id = rng.choice(ids)
    file = home.file(id)
    is_packed = file.name.endswith(".zst")
    match what:
        case "append" if not is_packed:
            home.append(id, "words " * rng.choice((1, 30_000)), ms=NOON_MS + rng.randrange(10**6))
        case "half" if not is_packed:
            home.append(id, "no newline yet", ends="")
            home.change(lambda: _append(file, "\n" + line(NOON_MS + rng.randrange(10**6), "now")))
        case "archive" if file.parent.name != "archived_sessions":
            home.move(id, "archived_sessions")
        case "back" if file.parent.name == "archived_sessions":
            home.move(id, "sessions/2026/11/21")
        case "pack" if not is_packed:
            home.pack(id)
        case "unpack" if is_packed:
            home.unpack(id)
        case "delete":
            home.delete(id)
        case "replace" if not is_packed:
            home.change(lambda: _replace(file))
        case "name":
            home.name(id, f"name {rng.randrange(100)}")
        case "days":
            days = sorted((home.path / "sessions").glob("*/*/*"))
            if days:
                day = rng.choice(days)
                home.change(lambda: day.rename(day.parent / f"{rng.randrange(1, 29):02}-{rng.randrange(10**6)}"))


def _append(file, text):
    with file.open("a", encoding="utf-8") as out:
        out.write(text)


def _replace(file):
    new = file.with_name("new.tmp")
    new.write_text(file.read_text() + line(NOON_MS + 5_000_000, "written anew"))
    new.rename(file)


def any_operations(make_home, open_state, kept, follow, seed, count):
    print(f"seed {seed}")
    rng = random.Random(seed)
    home = make_home(f"home{seed}")
    home.ids = [home.thread(f"before {number}") for number in range(3)]
    following = follow(open_state(home))
    for number in range(count):
        operate(home, rng)
        if number % 20 == 19:
            following.until_same(kept, home)
    following.until_same(kept, home)
    assert following.error is None


def test_after_any_operations_the_index_is_the_one_made_anew(make_home, open_state, kept, follow):
    any_operations(make_home, open_state, kept, follow, random.randrange(2**32), 60)


@pytest.mark.torture
@pytest.mark.parametrize("_", range(10))
def test_after_many_operations_too(make_home, open_state, kept, follow, _):
    any_operations(make_home, open_state, kept, follow, random.randrange(2**32), 400)


def test_after_an_overflow_the_whole_home_is_looked_at(make_home, open_state, kept, follow, monkeypatch):
    home = make_home()
    home.thread("before")
    state = open_state(home)
    watchers = []
    make = state.watcher
    monkeypatch.setattr(state, "watcher", lambda: watchers.append(make()) or watchers[-1])
    following = follow(state)
    with open("/proc/sys/fs/inotify/max_queued_events", encoding="ascii") as file:
        events = int(file.read())
    core = watchers[0].core
    with core.lock:
        for number in range(events // 2 + 100):
            os.close(os.open(home.path / "sessions" / f"x{number % 5}", os.O_CREAT | os.O_WRONLY))
            os.unlink(home.path / "sessions" / f"x{number % 5}")
        home.thread("lost in the storm", created_ms=NOON_MS + 86_400_000)
    following.until("looked")
    following.until_same(kept, home)


LIVE = """
import holdfast, json
WHERE = json.loads(sys.argv[2])
state = holdfast.open(home=[], own=sys.argv[1], **WHERE, search=False)
live = state.threads.create(cwd="/work", model_provider="local")
with live.turn(model="gpt-5") as turn:
    live.append(turn.user_message("from another process"))
    say(live.id)
    hear()
live.close()
state.close()
"""

INDEX = """
import holdfast, json
WHERE = json.loads(sys.argv[2])
from holdfast.ingest import gate
from holdfast import holds
state = holdfast.open(sys.argv[1], **WHERE, search=False, refresh=False)
with state.write() as tx:
    hold = holds.take(tx, gate.resource(state.homes[0]), holds.me("slow"), lease_ms=60_000)
say("has it")
hear()
with state.write() as tx:
    holds.release(tx, hold)
state.close()
"""


@pytest.fixture
def child():
    with children("") as start:
        yield start


def test_a_thread_that_another_process_writes_live_is_told_too(make_home, open_state, where, kept, follow, child):
    home = make_home()
    home.thread("before")
    state = open_state(home)
    following = follow(state)
    writer = child(LIVE, home, spelled(where))
    id = writer.line()
    for _ in range(100):
        if following.next().thread_id == id:
            break
    assert state.threads.get(id).title == "from another process"
    writer.tell()
    assert writer.wait() == 0
    following.until_same(kept, home)
    home.change(lambda: None)


def test_while_another_process_indexes_it_waits_and_then_nothing_is_missing(
    make_home, open_state, where, follow, child
):
    home = make_home()
    home.thread("before")
    following = follow(open_state(home))
    other = child(INDEX, home, spelled(where))
    assert other.line() == "has it"
    during = home.thread("written meanwhile")
    with pytest.raises(queue.Empty):
        following.told.get(timeout=0.7)
    other.tell()
    following.until("new", during)
    assert other.wait() == 0


COMMAND = "import sys; from holdfast.cli import main; sys.argv[0] = 'holdfast'; sys.exit(main())"


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_command_says_each_change_on_a_line_and_ends_with_ctrl_c(make_home, state_dir, form):
    import subprocess

    home = make_home()
    words = ["index", str(home), "--state", str(state_dir), "--follow", *(["--json"] if form == "json" else [])]
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": SRC},
    )
    try:
        first = process.stdout.readline()
        id = home.thread("hello")
        second = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    assert (process.returncode, errors) == (0, "")
    if form == "json":
        lines = [json.loads(text) for text in (first, second, *rest.splitlines())]
        assert lines[0]["what"] == "looked"
        assert id in {each["thread_id"] for each in lines} or lines[1]["what"] == "looked"
        assert set(lines[1]) == {"home", "what", "path", "thread_id", "files", "at_ms"}
    else:
        assert first.startswith("looked\t\t")
        assert second.split("\t")[0] in ("new", "looked")


def test_of_a_home_only_the_two_folders_of_rollouts_are_watched(make_home, open_state, follow, monkeypatch):
    home = make_home()
    home.thread("one")
    (home.path / "archived_sessions").mkdir()
    home.change(lambda: None)
    state = open_state(home)
    watchers = []
    make = state.watcher
    monkeypatch.setattr(state, "watcher", lambda: watchers.append(make()) or watchers[-1])
    following = follow(state)
    assert watchers[0].status().roots == (f"{home}/archived_sessions", f"{home}/sessions")
    before = watchers[0].status().events
    for name in ("logs_2.sqlite", "state_5.sqlite-wal", "config.toml"):
        home.write(home.path / name, b"x" * 1000)
    home.change(lambda: Path(home.path / "log").mkdir())
    id = home.thread("two")
    following.until("new", id)
    assert watchers[0].status().events - before <= 4  # made, written, and no more of anything else
    assert not [each for each in following.all if isinstance(each, Degraded)]
