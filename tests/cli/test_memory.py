"""``holdfast memory``: from idle threads to files, and back to nothing."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest
from cli_helpers import COMMAND

import holdfast
from model_server import ModelServer, completion, hangs, says, serving

KEY = "sk-test-0123456789abcdefghij"
NOTE = json.dumps({"raw_memory": "use make \x1b[31mtest", "rollout_summary": "tests", "rollout_slug": "tests"})
FILES = json.dumps(
    {"files": [{"path": "MEMORY.md", "text": "# all"}, {"path": "memory_summary.md", "text": "v1\nuse make test"}]}
)


def answers(handler):
    """Answer as a model would: a note of a thread, or the files."""
    asked = handler.server.model.requests[-1]["response_format"]["json_schema"]["name"]
    says(completion(NOTE if asked == "extraction" else FILES))(handler)


@pytest.fixture
def memory(make_home, cli, monkeypatch):
    """A home with one idle thread; returns what runs ``holdfast memory`` on it."""
    home = make_home()
    home.id = home.thread("how do I run the tests?")
    monkeypatch.setenv("HOLDFAST_MODEL_KEY", KEY)
    for name in ("HOLDFAST_MODEL_URL", "HOLDFAST_MODEL"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments):
        return cli("memory", *arguments, "--home", home)

    run.home = home
    return run


@pytest.fixture
def server():
    model = ModelServer(answers)
    with serving(model) as url:
        model.words = ("--url", url, "--model", "m", "--idle", "0s", "--max-age", "9999w")
        yield model


def test_threads_are_read_noted_shown_and_forgotten(memory, server):
    dry = memory("run", "--dry-run", *server.words[4:])
    assert (dry.code, dry.out) == (0, "1 of 1 thread would be read.\n")

    done = memory("run", *server.words)
    assert done.code == 0
    assert done.out.splitlines() == [
        "Read 1 thread: 1 noted, 0 with nothing to note.",
        "Put 1 memory together: 2 files of notes came, 0 changed, 0 went.",
    ]
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert memory("show").out == "v1\nuse make test\n"
    assert memory("show", "--json").json["files"][0] == "MEMORY.md"
    assert "use make [31mtest" in memory("show", memory.home.id).out
    (row, _) = memory("list").lines
    assert row.split("\t")[0] == memory.home.id

    assert memory("forget", memory.home.id, "--json").json == {"forgotten": 1}
    assert memory("list").out == ""
    assert memory("reset").code == 64
    assert memory("reset", "--yes", "--json").json == {"memories": 0, "folders": 1}
    assert memory("show").code == 1


def test_a_server_that_refuses_is_named_without_the_key(memory):
    with serving(ModelServer(says(f"bad key {KEY}".encode(), 401))) as url:
        words = ("--url", url, "--model", "m", "--idle", "0s", "--max-age", "9999w", "--json")
        done = memory("run", *words)
    assert done.code == 0
    ((thread, why),) = done.json["extract"]["failed"]
    assert thread == memory.home.id
    assert "status 401" in why
    assert KEY not in done.out + done.err


def test_ctrl_c_does_not_wait_for_the_model(memory, state_dir):
    model = ModelServer(hangs)
    with serving(model) as url:
        words = ("--url", url, "--model", "m", "--idle", "0s", "--max-age", "9999w", "--home", str(memory.home))
        running = subprocess.Popen(
            [*COMMAND, "memory", "run", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
        )
        assert model.asked.wait(30)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=30)
    assert running.returncode == 130
    assert said.startswith("holdfast: interrupted; what was noted stays")
    with holdfast.peek(memory.home, state_dir=state_dir) as state:
        ((status, jobs),) = state.jobs.counts()["memory:extract"].items()
    assert (status, jobs) == ("resting", 1)  # given back, to be had at once


def test_without_a_model_there_is_nothing_to_run(memory):
    done = memory("run")
    assert (done.code, done.err.splitlines()[0]) == (64, "holdfast: there is no model to ask")


def test_looking_creates_nothing(memory, state_dir):
    assert memory("list").code == 0
    assert memory("show").code == 1
    assert memory("show", memory.home.id).code == 0
    assert not state_dir.exists()
