"""``holdfast board dispatch``, as it is typed: workers are commands, signals drain, and of two one leads."""

from __future__ import annotations

import json
import os
import select
import shlex
import signal
import subprocess

import pytest
from cli_helpers import COMMAND

HOLDFAST = shlex.join(COMMAND)
WAIT_S = 60


def show(cli, number):
    return cli("board", "show", str(number), "--json").json["task"]


@pytest.fixture
def pipe(tmp_path):
    """Two named pipes: what workers say, one line each, and what they wait for."""
    said, heard = tmp_path / "said", tmp_path / "heard"
    for path in (said, heard):
        os.mkfifo(path)
    fds = [os.open(path, os.O_RDWR) for path in (said, heard)]

    class Pipe:
        waits = f"echo $HOLDFAST_TASK >{said}; read go <{heard}; {HOLDFAST} board done >{tmp_path}/done"

        @staticmethod
        def line():
            text = b""
            while not text.endswith(b"\n"):
                assert select.select([fds[0]], [], [], WAIT_S)[0], "no worker said anything"
                text += os.read(fds[0], 1)
            return text.decode().strip()

        @staticmethod
        def go():
            os.write(fds[1], b"go\n")

    yield Pipe
    for fd in fds:
        os.close(fd)


@pytest.fixture
def dispatching():
    """Start dispatchers in processes of their own; what is left of them is killed at the end."""
    started = []

    def start(*words):
        process = subprocess.Popen(
            [*COMMAND, "board", "dispatch", *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def until(process, word):
    for line in process.stderr:
        if word in line:
            return
    raise AssertionError(f"it ended before it said {word!r}")


def test_workers_are_told_their_task_and_what_became_of_all_is_told_at_the_end(cli, tmp_path):
    cli("board", "create", "Write the parser", "--body", "All of it.")
    cli("board", "create", "Come back later", "--priority", "-1")
    cli("board", "create", "Break", "--priority", "-2", "--failures-max", "1")
    worker = f'case $HOLDFAST_TASK in 1) echo "$HOLDFAST_PROMPT" >{tmp_path}/p; {HOLDFAST} board done --summary it;;'
    worker += " 2) exit 75;; *) exit 3;; esac"
    ended = cli("board", "dispatch", "--worker", worker, "--max", "1", "--until-idle", "--json")
    assert ended.code == 0
    assert ended.json == {
        "started": 3, "adopted": 0, "ended": {"completed": 1, "rate_limited": 1, "crashed": 1},
    }  # fmt: skip
    assert "Write the parser" in (tmp_path / "p").read_text() and "All of it." in (tmp_path / "p").read_text()
    assert [show(cli, each)["status"] for each in (1, 2, 3)] == ["done", "scheduled", "blocked"]
    assert show(cli, 1)["summary"] == "it"
    assert "leads on default" in ended.err


def test_what_was_handed_in_waits_for_a_person_unless_reviews_are_asked_for(cli):
    cli("board", "create", "Mine")
    worker = f"[ $HOLDFAST_STAGE = review ] && exec {HOLDFAST} board done; exec {HOLDFAST} board review"
    words = ("board", "dispatch", "--worker", worker, "--until-idle")
    assert cli(*words).code == 0
    assert show(cli, 1)["status"] == "review"
    assert cli(*words, "--reviews").code == 0
    assert show(cli, 1)["status"] == "done"


def test_sigterm_drains_and_a_second_signal_ends_who_still_works(cli, dispatching, pipe):
    cli("board", "create", "first")
    cli("board", "create", "second")
    draining = dispatching("--worker", pipe.waits, "--max", "1", "--json")
    assert pipe.line() == "1"
    while not (seen := cli("board", "dispatch", "--status", "--json").json["dispatchers"][0])["working"]:
        pass  # it tells of what it does a moment later
    assert (seen["owner_pid"], [each["task_id"] for each in seen["working"]]) == (draining.pid, [1])
    draining.send_signal(signal.SIGTERM)
    until(draining, "drains")
    pipe.go()
    out, _ = draining.communicate(timeout=WAIT_S)
    assert (draining.returncode, json.loads(out)["ended"]) == (0, {"completed": 1})
    assert [show(cli, each)["status"] for each in (1, 2)] == ["done", "ready"]

    again = dispatching("--worker", pipe.waits, "--max", "1", "--json")
    assert pipe.line() == "2"
    again.send_signal(signal.SIGTERM)
    until(again, "drains")
    again.send_signal(signal.SIGINT)
    out, _ = again.communicate(timeout=WAIT_S)
    assert (again.returncode, json.loads(out)["ended"]) == (0, {"released": 1})
    assert (show(cli, 2)["status"], show(cli, 2)["failures"]) == ("ready", 0)
    assert cli("board", "dispatch", "--status", "--json").json["dispatchers"] == []


def test_of_two_one_leads_and_the_other_takes_over_with_its_workers_when_it_is_killed(cli, dispatching, pipe):
    first = dispatching("--worker", pipe.waits, "--max", "1")
    until(first, "leads")
    cli("board", "create", "begun by the first")
    assert pipe.line() == "1"
    second = dispatching("--worker", pipe.waits, "--max", "1", "--json")
    cli("board", "create", "done by the second")
    first.kill()
    until(second, "leads")
    pipe.go()  # the worker of the dead one is adopted, and its word counts
    assert pipe.line() == "2"
    pipe.go()
    second.send_signal(signal.SIGTERM)
    out, _ = second.communicate(timeout=WAIT_S)
    assert second.returncode == 0
    assert {**json.loads(out), "ended": {}} == {"started": 1, "adopted": 1, "ended": {}}
    assert [show(cli, each)["status"] for each in (1, 2)] == ["done", "done"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 64, "missing option '--worker'"),
        (["--worker", " "], 64, "missing option '--worker'"),
        (["--worker", "true", "--status"], 64, "takes no --worker"),
        (["--worker", "true", "--board", "b", "--all-boards"], 64, "exclude each other"),
        (["--worker", "true", "--max", "0"], 64, "--max"),
        (["--worker", "true", "--board", "none-such", "--until-idle"], 1, "none-such"),
    ],
)
def test_a_call_that_is_none_starts_nothing(cli, words, code, said):
    refused = cli("board", "dispatch", *words)
    assert (refused.code, said in refused.err) == (code, True), refused.err
