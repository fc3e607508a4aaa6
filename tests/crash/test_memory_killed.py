"""A worker of memories is killed, or stopped, at its worst moments: nothing is lost, doubled or half there."""

from __future__ import annotations

import json
import os
import signal

import pytest

import holdfast
from holdfast import holds
from holdfast.memory import merging
from holdfast.memory.model import Settings
from memory_models import Parrot
from processes import children
from rows import findings

WORKER = """
import json, sys
import holdfast
from holdfast.memory import artefacts, merging, store
from holdfast.memory.model import Settings
HOME, STATE, AT = sys.argv[1:]
FILES = [{"path": "MEMORY.md", "text": "of the killed"}, {"path": "memory_summary.md", "text": "v1"}]

def model(prompt):
    if AT == "asked": pause("there")
    if prompt.schema_name == "extraction":
        return json.dumps({"raw_memory": "a note", "rollout_summary": "in short", "rollout_slug": None})
    return json.dumps({"files": FILES})

def before(module, name):
    real = getattr(module, name)
    def paused(*args, **kwargs):
        pause("there")
        return real(*args, **kwargs)
    setattr(module, name, paused)

if AT == "stored": before(store, "put")
if AT == "written": before(merging, "_publish")
if AT == "writing":
    write = artefacts.write
    def half(root, folder, files):
        write(root, folder, dict(sorted(files.items())[:2]))
        pause("there")
        write(root, folder, files)
    artefacts.write = half
if AT == "published": before(merging, "_settle")
with holdfast.open(HOME, state_dir=STATE, search=False) as state:
    done = state.memory.run(model, Settings(idle_ms=0, age_max_ms=1 << 50, workers=1))
    say(done.merge.outcome if done.merge else "none", done.extract.kept, done.extract.lost)
"""
ALL = Settings(idle_ms=0, age_max_ms=1 << 50, workers=1)


@pytest.fixture
def place(make_home, state_dir):
    home = make_home()
    for number in range(2):
        home.thread(f"task {number}")
    return home, state_dir


@pytest.fixture
def child():
    with children(WORKER) as start:
        yield start


def worker_at(start, place, at):
    home, state_dir = place
    made = start("", home, state_dir, at)
    assert made.line() == "there"
    return made


def run(place, model):
    home, state_dir = place
    with holdfast.open(home, state_dir=state_dir, search=False) as state:
        done = state.memory.run(model, ALL, force=True)
        notes = sorted(memory.thread_id for memory in state.memory.list(scope="user"))
        with state.read() as tx:
            assert findings(tx) == []
        return done, notes, state.memory.files(), sorted(os.listdir(state.memory.root))


@pytest.mark.parametrize("at", ["asked", "stored"])
def test_killed_between_reading_and_storing_another_reads_again_at_once(place, child, at):
    killed = worker_at(child, place, at)
    killed.kill()

    model = Parrot()
    done, notes, files, _ = run(place, model)
    assert (done.extract.kept, len(model.extractions), len(notes)) == (2, 2, 2)
    assert files["MEMORY.md"] == "# Memory"


@pytest.mark.parametrize("at", ["writing", "written", "published"])
def test_killed_while_publishing_either_all_files_count_or_none(place, child, at):
    killed = worker_at(child, place, at)
    killed.kill()

    home, state_dir = place
    with holdfast.peek(home, state_dir=state_dir) as state:
        files = state.memory.files()
    assert (set(files) >= {"MEMORY.md", "memory_summary.md", "raw_memories.md"}) == (at == "published")

    model = Parrot()
    done, notes, files, names = run(place, model)
    assert (done.extract.kept, len(notes)) == (0, 2)
    assert (done.merge.outcome, len(model.merges)) == (("unchanged", 0) if at == "published" else ("published", 1))
    assert files["MEMORY.md"] == ("of the killed" if at == "published" else "# Memory")
    assert len(names) == 2  # the folder that counts, and the link to it


def test_stopped_for_longer_than_its_lease_and_continued_it_publishes_nothing(place, child):
    stopped = worker_at(child, place, "written")
    stopped.stop()
    home, state_dir = place
    with holdfast.open(home, state_dir=state_dir, search=False) as state, state.write() as tx:
        # An hour passes: the hold of the one that stands still is over.
        taken = holds.take(tx, merging.RESOURCE, holds.me("later"), lease_ms=1_000, stale_after_ms=0)
        assert isinstance(taken, holds.Hold)
        holds.release(tx, taken)
    _, _, files, _ = run(place, Parrot())
    stopped.go_on()
    stopped.tell()
    assert stopped.line().startswith("lost")

    with holdfast.peek(home, state_dir=state_dir) as state:
        assert state.memory.files() == files
        assert sorted(os.listdir(state.memory.root))[0] == "current"
        assert files["MEMORY.md"] == (open_text(state.memory.root, "current/MEMORY.md"))


def open_text(root, path):
    with open(os.path.join(root, path)) as file:
        return file.read()


# --- killed at every step, on both engines ------------------------------------------

STEPS = """
import json, signal, sys
import holdfast
from holdfast import holds, jobs
from holdfast.memory import artefacts, merging, serializing, store
from holdfast.memory.model import Settings
HOME, WHERE, LAST = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
step = 0

def count():
    global step
    step += 1
    if step == LAST: os.kill(os.getpid(), signal.SIGKILL)

def counted(module, names):
    for name in names:
        def at(*args, real=getattr(module, name), **kwargs):
            count()
            found = real(*args, **kwargs)
            count()
            return found
        setattr(module, name, at)

def model(prompt):
    count()
    if prompt.schema_name == "extraction":
        return json.dumps({"raw_memory": "a note", "rollout_summary": "in short", "rollout_slug": None})
    return json.dumps({"files": [{"path": "MEMORY.md", "text": "of the killed"},
                                 {"path": "memory_summary.md", "text": "v1"}]})

with holdfast.open(HOME, search=False, **WHERE) as state:
    counted(jobs, ["claim", "confirm", "finish"])
    counted(holds, ["take", "confirm", "release"])
    counted(store, ["replace", "put", "set_dirty", "put_generation", "clean", "lock_generation"])
    counted(artefacts, ["prepare", "write", "point", "tidy", "_remove"])
    counted(os, ["fsync", "mkdir", "symlink", "replace"])
    done = state.memory.run(model, Settings(idle_ms=0, age_max_ms=1 << 50, workers=1))
    say("done", done.merge.outcome, step)
"""


@pytest.mark.torture
@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_killed_at_every_step_the_next_run_makes_everything_once(make_home, tmp_path, server, engine):
    home = make_home()
    for number in range(2):
        home.thread(f"task {number}")
    with children(STEPS) as start:
        last = 0
        while True:
            last += 1
            schema = server.new_schema()
            place = {"state_dir": tmp_path / f"state-{last}"} | (
                {"state": server.url(schema)} if engine == "postgres" else {}
            )
            killed = start("", home, json.dumps({name: str(value) for name, value in place.items()}), last)
            said = killed.line()
            code = killed.wait()
            before = check_between(home, place)
            check_after(home, place, before)
            if engine == "postgres":
                server.drop(schema)
            if said:
                assert said.startswith("done published")
                break
            assert code == -signal.SIGKILL
    print(f"{engine}: killed at each of {last - 1} steps")
    assert last > 50


def check_between(home, place):
    """Whatever is there is whole: all files of a generation or none, a note in each scope or in none."""
    with holdfast.peek(home, **place) as state:
        files, notes = state.memory.files(), state.memory.list()
    assert not files or set(files) >= {"MEMORY.md", "memory_summary.md", "raw_memories.md"}
    assert len(notes) % 2 == 0
    return files, len(notes) // 2


def check_after(home, place, before):
    files, notes = before
    model = Parrot()
    with holdfast.open(home, search=False, **place) as state:
        done = state.memory.run(model, ALL)
        assert (done.extract.kept, len(model.extractions)) == (2 - notes, 2 - notes)
        assert len(model.merges) == (0 if files else 1)
        assert done.merge.outcome == ("unchanged" if files else "published")
        assert len(state.memory.list(scope="user")) == 2
        assert state.memory.files()["MEMORY.md"] == ("of the killed" if files else "# Memory")
        assert len(os.listdir(state.memory.root)) == 2
        assert os.readlink(os.path.join(state.memory.root, "current")) in os.listdir(state.memory.root)
        with state.read() as tx:
            assert findings(tx) == []
