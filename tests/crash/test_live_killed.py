"""Who writes a thread dies at any moment, or its disk fills up: what was acknowledged is there, once, and listed."""

from __future__ import annotations

import os
import random
import signal
import subprocess

import pytest

import holdfast
from holdfast import Full
from holdfast.rollouts import scan
from processes import children

PRELUDE = """
import holdfast
def message(number):
    content = [{"type": "output_text", "text": f"number {number}"}]
    return {"type": "response_item", "payload": {"type": "message", "role": "assistant", "content": content}}
own, state_dir = sys.argv[1:3]
"""

WRITE = """
with holdfast.open(own=own, state_dir=state_dir, search=False) as state:
    live = state.threads.resume(sys.argv[3]) if len(sys.argv) > 3 else state.threads.create(cwd="/work")
    with live.turn(model="gpt-5") as turn:
        live.append(turn.user_message("the question"))
        say(live.id)
        number = 0
        while True:
            number += 1
            answer = live.append([message(number)] * (number % 3 + 1))
            assert answer.durable
            say(answer.last_ordinal)
            if number % 10 == 0:
                name = {"type": "thread_name_updated", "thread_name": str(number)}
                live.append({"type": "event_msg", "payload": name})
"""

INDEX = """
with holdfast.open(own=own, state_dir=state_dir, search=False) as state:
    say("open")
    for _ in range(int(sys.argv[3])):
        state.index(full=True)
    say("done")
"""


@pytest.fixture
def start():
    with children(PRELUDE) as start:
        yield start


def acknowledged(child, count):
    """Return the thread and the last ordinal of ``count`` acknowledged batches, then kill the child; read the rest."""
    thread_id = child.line()
    last = [child.line() for _ in range(count)]
    os.kill(child.pid, signal.SIGKILL)
    last += child.lines()
    child.wait()
    return thread_id, max(int(each) for each in last if each.isdigit())


def check(own, state_dir, thread_id, ordinal):
    with holdfast.open(own=own, state_dir=state_dir, search=False) as state:
        thread = state.threads.get(thread_id)
        found = scan(thread.rollout_path)
        assert found.facts.last_ordinal >= ordinal, "an acknowledged item is in the file"
        assert found.facts.lines == found.facts.last_ordinal + 1, "each item once, each number once"
        assert thread.title == "the question"
        state.index(full=True)
        assert state.threads.get(thread_id) == thread


def kill_writers(own, state_dir, start, kills, seed):
    draw = random.Random(seed)
    args = (own, state_dir)
    ordinal = -1
    thread_id = None
    for _ in range(kills):
        child = start(WRITE, *args, *([thread_id] if thread_id else []))
        thread_id, last = acknowledged(child, draw.randrange(1, 25))
        assert last > ordinal
        ordinal = last
        check(own, state_dir, thread_id, ordinal)


def test_a_killed_writer_loses_nothing_it_acknowledged(tmp_path, start):
    kill_writers(tmp_path / "own", tmp_path / "state", start, kills=6, seed=1)


@pytest.mark.torture
def test_a_killed_writer_loses_nothing_it_acknowledged_hundreds_of_times(tmp_path, start):
    seed = int(os.environ.get("HOLDFAST_SEED", random.randrange(1 << 30)))
    print(f"seed {seed}")
    kill_writers(tmp_path / "own", tmp_path / "state", start, kills=300, seed=seed)


def test_indexers_and_a_writer_leave_the_row_of_the_last_item(tmp_path, start):
    """Other processes fold the whole home again and again while a thread is being written."""
    own, state_dir = tmp_path / "own", tmp_path / "state"
    with holdfast.open(own=own, state_dir=state_dir, search=False) as state:
        live = state.threads.create(cwd="/work", sync="never")
        indexers = [start(INDEX, own, state_dir, 15) for _ in range(2)]
        assert [each.line() for each in indexers] == ["open", "open"]
        number = 0
        with live.turn(model="gpt-5") as turn:
            live.append(turn.user_message("the question"))
            while any(each.process.poll() is None for each in indexers):
                number += 1
                name = {"type": "thread_name_updated", "thread_name": f"name {number}"}
                live.append({"type": "event_msg", "payload": name})
        assert [each.line() for each in indexers] == ["done", "done"]
        live.flush()

        thread = state.threads.get(live.id)
        assert (live.behind, thread.name) == ("", f"name {number}")
        assert state.index()[0].indexed == 0
        state.index(full=True)
        assert state.threads.get(live.id) == thread


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 256 KiB (tmpfs(5)); where none may be mounted, the limit below is much the same."""
    path = tmp_path / "disk"
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", path], capture_output=True).returncode:
        pytest.skip("no disk may be mounted here; test_rollouts_writer.py limits the size of files instead")
    yield path
    subprocess.run(["umount", path], check=True)


def test_on_a_full_disk_items_wait_and_the_row_says_no_more_than_the_file(tmp_path, small_disk):
    with holdfast.open(own=small_disk / "own", state_dir=tmp_path / "state", search=False) as state:
        live = state.threads.create(cwd="/work")
        with live.turn(model="gpt-5") as turn:
            live.append(turn.user_message("the question"))
            sent = 0
            while not live.queued:
                sent += 1
                answer = live.append({"type": "response_item", "payload": {"type": "message", "text": "x" * 10_000}})
            assert not answer.durable
            assert "No space left" in answer.because
            renamed = live.append({"type": "event_msg", "payload": {"type": "thread_name_updated", "thread_name": "n"}})
            assert renamed.queued == 2
            assert state.threads.get(live.id).name is None, "what is not in the file is not in the row"
            with pytest.raises(Full, match="2 items"):
                live.flush()
            with pytest.raises(Full, match="2 items"):
                state.close()
            assert state.threads.get(live.id).title == "the question"

            subprocess.run(["mount", "-o", "remount,size=1m", small_disk], check=True)
            live.flush()
            assert (live.queued, state.threads.get(live.id).name) == (0, "n")
        found = scan(live.path)
        assert found.facts.lines == found.facts.last_ordinal + 1
        assert found.problems == []
        live.close()
