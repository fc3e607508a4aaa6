"""``holdfast memory``: from idle threads to files, and back to nothing."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest
from cli_helpers import COMMAND, terminal, without_style

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
    assert done.code == 64
    assert (done.json["extract"]["ended_by"], done.json["merge"], done.err) == ("setup", None, "")
    ((thread, why),) = done.json["extract"]["failed"]
    assert thread == memory.home.id
    assert "status 401" in why
    assert KEY not in done.out + done.err


def test_a_model_that_answers_nothing_usable_is_told_by_the_exit_code(memory):
    def no_note(handler):
        asked = handler.server.model.requests[-1]["response_format"]["json_schema"]["name"]
        says(completion("no json" if asked == "extraction" else FILES))(handler)

    with serving(ModelServer(no_note)) as url:
        done = memory("run", "--url", url, "--model", "m", "--idle", "0s", "--max-age", "9999w")
    assert done.code == 75
    assert done.err.splitlines()[0] == "holdfast: none of 1 thread could be read"
    assert done.out.startswith("Read 0 threads")


def test_a_server_that_is_down_is_told_by_the_exit_code_and_how_many_were_left(memory):
    words = ("--url", "http://127.0.0.1:1/v1", "--model", "m", "--idle", "0s", "--max-age", "9999w")
    done = memory("run", *words)
    assert done.code == 75
    assert "1 thread was left to the next one: the model's server did not answer" in done.err.splitlines()[0]
    assert memory("run", "--dry-run", *words[4:]).out == "1 of 1 thread would be read.\n"


def test_files_that_could_not_be_made_are_told_by_the_exit_code_and_shown(memory, server):
    def bad_files(handler):
        asked = handler.server.model.requests[-1]["response_format"]["json_schema"]["name"]
        says(completion(NOTE if asked == "extraction" else "no json"))(handler)

    memory("run", *server.words)
    with serving(ModelServer(bad_files)) as url:
        words = ("--url", url, "--model", "m", "--phase", "merge", "--force")
        memory("forget", memory.home.id)
        holdfast_put(memory)
        failed = memory("run", *words)
        assert (failed.code, failed.err.splitlines()[0]) == (
            75,
            "holdfast: the files could not be made, and stay as they were",
        )
        again = memory("run", *words[:-1])
        assert (again.code, "Making the files failed the last time" in again.out) == (0, True)
    shown = memory("show")
    assert shown.out == "v1\nuse make test\n"
    assert shown.err.startswith("These files are older than the notes: making them failed")
    assert "not the JSON that was asked for" in memory("show", "--json").json["failed"]["failure"]


def holdfast_put(memory):
    with holdfast.open(memory.home, search=False) as state:
        state.memory.put(memory.home.id, "other words", "in other words")


def test_on_a_terminal_memories_are_a_table_that_fits(memory, server):
    memory("run", *server.words)
    shown = without_style(terminal("memory", "list", "--home", memory.home, columns=80).out).splitlines()
    assert shown[0].split() == ["THREAD", "SCOPE", "UPDATED", "USED", "SUMMARY"]
    assert all(line.startswith(f"{memory.home.id[:13]} ") and "tests" in line for line in shown[1:])
    assert max(map(len, shown)) <= 80


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
