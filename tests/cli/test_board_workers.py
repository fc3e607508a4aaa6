"""What workers say: the task and the fence from the environment, words without quotes, and the late, who must stop."""

from __future__ import annotations

import json
import os

import pytest
from cli_helpers import process

from holdfast.cli.root import root


@pytest.fixture
def claimed(cli):
    """Make two tasks and claim the first; return what its worker finds in its environment."""
    cli("board", "create", "Mine")
    cli("board", "create", "Another's")
    fence = cli("board", "claim", "1", "--json").json["fence"]
    return {"HOLDFAST_TASK": "1", "HOLDFAST_FENCE": str(fence), "HOLDFAST_BOARD": "default"}


def status(cli, number):
    return cli("board", "show", str(number), "--json").json["task"]["status"]


@pytest.fixture
def worker(cli, claimed, monkeypatch):
    """Run commands as the worker of task 1 would."""
    for name, value in claimed.items():
        monkeypatch.setenv(name, value)
    return lambda *words: cli("board", *words)


def test_a_worker_needs_to_name_neither_its_task_nor_its_fence(worker):
    assert worker("show").out.startswith("1  Mine\n")
    assert worker("show", "--prompt").out.startswith("# Mine\n")
    assert worker("heartbeat", "--note", "running the tests").code == 0
    assert worker("comment", "so", "far", "so good").code == 0
    shown = worker("show", "--json").json
    assert (shown["task"]["note"], shown["comments"][0]["body"]) == ("running the tests", "so far so good")
    done = worker("done", "--summary", "all of it", "--result", '{"n": 1}', "--verdict", "pass")
    assert (done.code, done.out) == (0, "1\tdone\tMine\n")
    task = worker("show", "--json").json["task"]
    assert (task["summary"], task["result"], task["verdict"]) == ("all of it", {"n": 1}, "pass")


@pytest.mark.parametrize(
    ("words", "became"), [(["review"], "review"), (["block", "no key"], "blocked"), (["release"], "ready")]
)
def test_a_worker_ends_its_task_in_other_ways(worker, cli, words, became):
    assert worker(*words).code == 0
    assert status(cli, 1) == became


def test_what_was_handed_in_is_sent_back_with_what_is_wanting(worker, cli):
    worker("review", "--summary", "ready")
    fence = cli("board", "claim", "1", "--stage", "review", "--json").json["fence"]
    back = process("board", "request-changes", "it", "has", "no", "--test", HOLDFAST_FENCE=str(fence))
    assert (back.code, back.out) == (0, "1\tready\tMine\n")
    assert [run["outcome"] for run in cli("board", "runs", "1", "--json").json["runs"]] == ["review", "changes"]


def test_the_late_get_a_code_of_their_own_and_are_told_to_stop(worker, cli):
    cli("board", "reclaim", "1", "it", "was", "silent")
    for words in (["done"], ["review"], ["block", "no key"], ["heartbeat"], ["release"]):
        late = worker(*words)
        assert (late.code, late.out) == (3, ""), words
        assert "\nStop: what you do on this task counts no more." in late.err
    error = json.loads(worker("done", "--json").err)["error"]
    assert (error["kind"], error["remedy"][:5]) == ("stale", "Stop:")
    assert status(cli, 1) == "ready"


def test_a_task_that_is_named_and_is_another_does_not_get_the_fence_of_the_worker(worker, cli):
    cli("board", "claim", "2")
    for words in (["done", "2"], ["block", "--task", "2", "no key"]):
        refused = worker(*words)
        assert (refused.code, "only its worker can end it" in refused.err) == (64, True), words
    assert "$HOLDFAST_FENCE is of task 1" in worker("heartbeat", "2").err
    assert worker("done", "1").code == 0


def test_where_there_is_neither_a_task_nor_an_environment_that_is_said(cli):
    cli("board", "create", "x")
    for words in (["done"], ["review"], ["heartbeat"], ["release"], ["show"]):
        said = cli("board", *words)
        assert (said.code, "$HOLDFAST_TASK is not set" in said.err) == (64, True), words
    assert "$HOLDFAST_FENCE is not set" in cli("board", "release", "1").err
    wrong = process("board", "done", HOLDFAST_TASK="1", HOLDFAST_FENCE="abc")
    assert (wrong.code, "'abc', which is no number" in wrong.err) == (64, True)


@pytest.mark.parametrize(
    ("words", "reason", "kind"),
    [
        (["1", "waiting", "for", "the", "API", "key"], "waiting for the API key", "needs_input"),
        (["1", "waiting", "--for", "it", "--kind", "x", "-v"], "waiting --for it --kind x -v", "needs_input"),
        (["1", "--kind", "capability", "needs", "a", "--gpu"], "needs a --gpu", "capability"),
        (["--kind=capability", "1", "needs", "a", "GPU"], "needs a GPU", "capability"),
        (["1", "--", "--all", "of", "it"], "--all of it", "needs_input"),
        (["--task", "1", "3", "tests", "fail"], "3 tests fail", "needs_input"),
        (["1", "a reason", "-"], "a reason -", "needs_input"),
    ],
)
def test_words_are_kept_as_they_were_typed(cli, words, reason, kind):
    cli("board", "create", "x")
    assert cli("board", "block", *words).code == 0
    task = cli("board", "show", "1", "--json").json["task"]
    assert (task["block_reason"], task["block_kind"]) == (reason, kind)


def test_an_option_that_came_too_late_is_told(cli):
    cli("board", "create", "x")
    assert "--kind is part of the text" in cli("board", "block", "1", "no", "key", "--kind", "transient").err
    assert cli("board", "block", "1", "--frob", "words").code == 64


@pytest.mark.parametrize(
    ("words", "about"),
    [
        (["3", "tests", "fail"], None),
        (["3"], None),
        (["2", "see the log"], 2),
        (["--task", "2", "3", "tests"], 2),
        (["1", "2", "tests"], 1),
        (["tests", "fail"], 1),
    ],
)
def test_in_a_worker_a_number_is_not_taken_for_another_task_by_mistake(worker, words, about):
    said = worker("comment", *words)
    assert said.code == (64 if about is None else 0)
    if about is None:
        assert "may be a task or the first word" in said.err
    else:
        assert said.out.startswith(f"{about}\t")


def test_a_script_claims_by_its_environment(cli):
    cli("board", "create", "x")
    said = cli("board", "claim", "--pid", str(os.getpid()), "--env").out
    words = dict(word.split("=") for word in said.removeprefix("export ").split())
    assert process("board", "done", **words).out == "1\tdone\tx\n"
    idle = cli("board", "claim")
    assert (idle.code, "nothing is ready" in idle.err) == (75, True)


def test_a_claim_by_hand_outlives_the_command_and_is_taken_by_nobody_else(cli):
    cli("board", "create", "x")
    claimed = process("board", "claim", "--by", "ann", "--lease", "1h", "--json").json
    taken = cli("board", "claim", "1")
    assert (taken.code, "ann works on task 1" in taken.err) == (75, True)
    assert "at once when that process ends" not in cli("board", "why", "1").out
    assert process("board", "done", "1", "--fence", str(claimed["fence"])).code == 0


def test_a_claim_for_a_process_that_is_gone_is_refused(cli):
    cli("board", "create", "x")
    gone = cli("board", "claim", "--pid", "4194305")
    assert (gone.code, "there is no process" in gone.err) == (64, True)
    assert status(cli, 1) == "ready"


def test_every_command_of_the_board_takes_json_and_a_state():
    group = root.get_command(None, "board")
    for name in group.list_commands(None):
        options = {option for param in group.get_command(None, name).params for option in param.opts}
        assert {"--json", "--state"} <= options, name
