"""``holdfast board``: tasks are made, listed, shown, changed, linked and explained, for people and for programs."""

from __future__ import annotations

import json

import pytest
from cli_helpers import process, terminal, without_style
from rich.cells import cell_len

EVIL = "pay\x1b[2J\x1b]0;owned\x07 attention\x9b31m ‮txt.exe‬ \x08 {[bold]not markup[/]}"
COMMANDS = "\x1b\x07\x08\x9b‮‬"


def ids(answer):
    return [line.split("\t")[0] for line in answer.lines]


def test_a_task_is_made_shown_and_explained(cli):
    made = cli(
        "board", "create", "Fix", "the", "login", "test", "--assignee", "codex", "--body", "It fails on Tuesdays."
    )
    assert made.out == "1\tready\tFix the login test\n"
    shown = cli("board", "show", "1").out
    assert all(words in shown for words in ("Fix the login test", "codex", "It fails on Tuesdays.", "ready"))
    assert "0 are to be done before it" in cli("board", "why", "1").out
    known = cli("board", "show", "1", "--json").json
    assert {"board", "task", "why", "parents", "children", "runs", "comments", "attachments"} == set(known)
    assert (known["board"], known["task"]["title"], known["task"]["owner"]) == ("default", "Fix the login test", None)


def test_looking_at_a_state_that_is_not_there_makes_none(cli, state_dir):
    listed = cli("board", "list")
    assert (listed.code, listed.out, "Nothing was ever kept" in listed.err) == (0, "", True)
    assert cli("board", "list", "--json").json == {"board": "default", "tasks": [], "next_cursor": None, "counts": {}}
    for command in (["show", "1"], ["stats"], ["watch"], ["events"], ["export"], ["dispatch", "--status"]):
        answer = cli("board", *command)
        assert (answer.code, "nothing was ever kept" in answer.err) == (1, True), command
    assert not state_dir.exists()


def test_a_task_is_named_by_its_number_its_alias_or_the_beginning_of_its_title(cli):
    cli("board", "create", "Fix the login test", "--alias", "t_1")
    cli("board", "create", "Fix the logout test")
    cli("board", "create", "Fix the log")
    for name, number in {"2": "2", "#2": "2", "t_1": "1", "fix THE logi": "1", "Fix the log": "3"}.items():
        assert cli("board", "assign", name, "ann").out.split("\t")[0] == number
    several = cli("board", "show", "Fix")
    assert (several.code, "1 (Fix the login test)" in several.err, "Say the number" in several.err) == (64, True, True)
    cli("board", "done", "1")
    assert cli("board", "show", "fix the log").code == 0
    assert cli("board", "show", "fix the logo", "--json").json["task"]["task_id"] == 2
    for wrong in ("4", "99999999999999999999999", "nothing like it"):
        assert cli("board", "show", wrong).code == 1
    assert cli("board", "show", "").code == 64


def test_of_two_with_one_title_the_one_that_is_not_over_is_meant(cli):
    for _ in range(3):
        cli("board", "create", "Nightly report")
    cli("board", "done", "1")
    cli("board", "done", "3")

    assert cli("board", "assign", "nightly", "ann").out.startswith("2\t")


def test_a_board_goes_with_its_tasks(cli):
    assert cli("board", "boards", "create", "web", "--name", "The website", "--running-max", "2").code == 0
    assert cli("board", "create", "On it", "--board", "web").out.startswith("1\t")
    assert cli("board", "list").out == ""
    assert ids(process("board", "list", HOLDFAST_BOARD="web")) == ["1"]
    elsewhere = cli("board", "show", "1", "--board", "default")
    assert (elsewhere.code, "another board" in elsewhere.err) == (1, True)
    nowhere = cli("board", "create", "x", "--board", "nowhere")
    assert (nowhere.code, "holdfast board boards create nowhere" in nowhere.err) == (1, True)
    assert cli("board", "move", "1", "--to-board", "default").code == 0
    assert ids(cli("board", "list")) == ["1"]
    assert [line.split("\t")[:4] for line in cli("board", "boards", "list").lines] == [
        ["default", "1", "0", "any number"],
        ["web", "0", "0", "2 at once"],
    ]


def test_boards_are_capped_edited_put_away_and_brought_back(cli):
    cli("board", "boards", "create", "web")
    assert cli("board", "boards", "cap", "web", "0").out == "web\t\tpaused\n"
    assert cli("board", "boards", "cap", "web", "2", "--assignee", "codex", "--json").json["running_max"] == 2
    assert cli("board", "boards", "cap", "web", "many").code == 64
    cli("board", "create", "x", "--board", "web")
    capped = cli("board", "claim", "--board", "web")
    assert (capped.code, "no more than 0 may" in capped.err) == (75, True)
    assert cli("board", "boards", "cap", "web", "none").out == "web\t\tany number\n"
    edited = cli("board", "boards", "edit", "web", "--description", "all of it", "--workdir", ".", "--json").json[
        "board"
    ]
    assert (edited["description"], edited["workdir"][0]) == ("all of it", "/")
    assert cli("board", "boards", "archive", "web").out.startswith("web\tarchived\t")
    assert ids(cli("board", "boards", "list")) == ["default"]
    assert ids(cli("board", "boards", "list", "--all")) == ["default", "web"]
    assert cli("board", "boards", "restore", "web").code == 0


def test_a_list_has_what_is_not_over_by_status_and_goes_on_where_a_page_ends(cli):
    for number in range(1, 8):
        cli("board", "create", f"Task {number}", "--priority", str(number))
    cli("board", "done", "7")
    cli("board", "block", "1", "no key")
    cli("board", "create", "Later", "--due", "2h")
    everything = ["1", "6", "5", "4", "3", "2", "8"]
    assert ids(cli("board", "list")) == everything
    found, cursor = [], ()
    while cursor is not None:
        page = cli("board", "list", "-n", "2", *cursor, "--json").json
        found += [str(task["task_id"]) for task in page["tasks"]]
        cursor = page["next_cursor"] and ("--cursor", page["next_cursor"])
    assert found == everything
    assert ids(cli("board", "list", "--status", "done", "--status", "scheduled")) == ["7", "8"]
    assert ids(cli("board", "list", "--all", "-n", "3")) == ["8", "7", "6"]
    more = cli("board", "list", "-n", "3").err
    assert "More: holdfast board list -n 3 --cursor " in more
    for wrong in ("abc", "9.", "3.abc"):
        assert cli("board", "list", "--cursor", wrong).code == 64
    assert cli("board", "list", "--assignee", "nobody").out == ""


def test_a_pipe_gets_fields_and_what_a_task_waits_for(cli):
    cli("board", "create", "First", "--assignee", "codex", "--priority", "3")
    cli("board", "create", "Second", "--parent", "1")
    first, second = (line.split("\t") for line in cli("board", "list").lines)
    assert (first[:4], first[5]) == (["1", "ready", "3", "codex"], "First")
    assert (second[1], second[6]) == ("todo", "waits for 1 task")


def test_gates_are_made_changed_and_taken_away(cli):
    cli("board", "create", "Test it")
    cli("board", "create", "Deploy it", "--parent", "1:passed")
    assert cli("board", "link", "1", "2", "--gate", "failed").out == "1\t2\tfailed\ttodo\n"
    circle = cli("board", "link", "2", "1")
    assert circle.code == 64
    assert "1  Test it: ready, gate failed, not yet" in cli("board", "show", "2").out
    assert "2  Deploy it: todo, gate failed" in cli("board", "show", "1").out
    assert cli("board", "unlink", "1", "2").out == "2\tready\tDeploy it\n"


def test_a_task_goes_through_the_hands_of_a_person(cli):
    cli("board", "create", "Look at it", "--triage")
    told = [
        cli("board", *words).out.split("\t")[1]
        for words in (
            ["move", "1", "ready"],
            ["schedule", "1", "2h"],
            ["move", "1", "ready"],
            ["block", "1", "wait"],
            ["unblock", "1", "go on"],
            ["cancel", "1", "no longer wanted"],
            ["reopen", "1"],
            ["done", "1"],
            ["archive", "1"],
            ["restore", "1"],
        )
    ]
    assert told == ["ready", "scheduled", "ready", "blocked", "ready", "cancelled", "ready", "done", "archived", "done"]
    kinds = [event["kind"] for event in cli("board", "events", "1", "--json").json["events"]]
    assert kinds[:2] == ["created", "specified"]
    assert {"scheduled", "blocked", "unblocked", "cancelled", "reopened", "completed", "archived"} <= set(kinds)
    refused = cli("board", "cancel", "1")
    assert (refused.code, "`reopen` it first" in refused.err) == (64, True)


def test_several_are_archived_or_none(cli):
    for title in ("a", "b"):
        cli("board", "create", title)
    assert cli("board", "archive", "1", "2", "7").code == 1
    assert ids(cli("board", "list")) == ["1", "2"]
    assert ids(cli("board", "archive", "1", "2")) == ["1", "2"]
    assert ids(cli("board", "restore", "1", "2")) == ["1", "2"]


def test_what_a_task_says_is_changed_and_the_rest_stays(cli, tmp_path):
    body = tmp_path / "body.md"
    body.write_text("# All of it\n", encoding="utf-8")
    cli("board", "create", "Old", "--priority", "3", "--time-max", "30m", "--metadata", '{"a": 1}')
    cli("board", "edit", "1", "--title", "New", "--body-file", body, "--time-max", "none", "--workspace", tmp_path)
    task = cli("board", "show", "1", "--json").json["task"]
    assert (task["title"], task["body"], task["priority"], task["time_max_ms"]) == ("New", "# All of it\n", 3, None)
    assert (task["workspace_kind"], task["workspace"], task["metadata"]) == ("directory", str(tmp_path), {"a": 1})
    assert cli("board", "edit", "1").code == 64
    assert cli("board", "edit", "1", "--metadata", "{").code == 64


def test_a_request_made_twice_is_one_task(cli):
    asked = ["board", "create", "Report", "--idempotency-key", "report-1", "--json"]
    first, second = cli(*asked).json, cli(*asked).json
    assert (first["known"], second["known"], second["task"]["task_id"]) == (False, True, first["task"]["task_id"])
    assert "asked for before" in cli(*asked[:-1]).err


def test_files_are_attached_listed_saved_and_taken_off(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_bytes(b"one\n")
    (tmp_path / "b.bin").write_bytes(bytes(range(256)) * 2_000)
    cli("board", "create", "With files")
    assert [line.split("\t")[:4] for line in cli("board", "attach", "1", "a.txt", "b.bin").lines] == [
        ["1", "a.txt", "text/plain", "4"],
        ["2", "b.bin", "application/octet-stream", "512000"],
    ]
    assert process("board", "attachments", "1", "--save", "a.txt", "--to", "-").out == "one\n"
    assert cli("board", "attachments", "1", "--save", "b.bin", "--to", "copy.bin").code == 0
    assert (tmp_path / "copy.bin").read_bytes() == (tmp_path / "b.bin").read_bytes()
    there = cli("board", "attachments", "1", "--save", "a.txt")
    assert (there.code, (tmp_path / "a.txt").read_bytes()) == (64, b"one\n")
    cli("board", "attachments", "1", "--remove", "1")
    assert [file["name"] for file in cli("board", "attachments", "1", "--json").json["attachments"]] == ["b.bin"]
    assert cli("board", "attachments", "1", "--save", "a.txt").code == 1


def test_a_file_that_is_too_large_leaves_nothing(cli, tmp_path):
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(25 * 1024 * 1024 + 1)
    small = tmp_path / "small"
    small.write_bytes(b"x")
    cli("board", "create", "x")
    assert cli("board", "attach", "1", small, large).code == 64
    assert cli("board", "attachments", "1").out == ""


@pytest.mark.parametrize("columns", [40, 80, 160])
def test_every_line_of_the_list_fits_the_terminal(cli, columns):
    cli("board", "create", "日本語のとても長い題名 " * 10, "--assignee", "an assignee with a long name")
    cli("board", "create", "a title " * 30, "--priority", "100")
    cli("board", "block", "1", "waiting for something that is told at great length " * 5)
    shown = without_style(terminal("board", "list", columns=columns).out).splitlines()
    assert max(map(cell_len, shown[:3])) <= columns
    assert shown[0].split()[:2] == ["ID", "STATUS"]
    assert [line.split()[:2] for line in shown[1:3]] == [["1", "blocked"], ["2", "ready"]]


@pytest.mark.parametrize("run", [process, terminal])
@pytest.mark.parametrize("command", [["list"], ["show", "1"], ["events"], ["runs", "1"], ["why", "1"], ["stats"]])
def test_what_people_wrote_never_commands_the_terminal(cli, command, run):
    cli("board", "create", EVIL, "--body", EVIL, "--assignee", EVIL)
    cli("board", "comment", "1", EVIL)
    fence = cli("board", "claim", "1", "--by", EVIL, "--json").json["fence"]
    cli("board", "block", "--fence", str(fence), "1", EVIL)
    answer = run("board", *command)
    sent = without_style(answer.out + answer.err)
    assert answer.code == 0
    assert "owned" not in sent
    assert not any(letter in sent for letter in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["frob"], "there is no command 'frob'"),
        (["shwo", "1"], "did you mean 'show'?"),
        (["create"], "missing argument"),
        (["create", ""], "title"),
        (["create", "x", "--parent", "7"], "there is no task '7'"),
        (["create", "x", "--due", "soon"], "'soon' is no time to come"),
        (["create", "x", "--triage", "--blocked", "y"], "exclude each other"),
        (["create", "x", "--body", "y", "--body-file", "-"], "exclude each other"),
        (["assign", "1"], "name an ASSIGNEE, or say --nobody"),
        (["schedule", "1", "soon"], "'soon' is no time to come"),
        (["move", "1"], "name a STATUS, or a board with --to-board"),
        (["move", "1", "running"], "invalid value"),
        (["cancel"], "missing argument 'TASK'"),
        (["block", "1"], "say it in words after the task"),
        (["dispatch"], "missing option '--worker'"),
        (["heartbeat"], "no task was named, and $HOLDFAST_TASK is not set"),
        (["comment", "words"], "say it in words after the task"),
    ],
)
def test_a_mistake_is_answered_with_one_sentence(cli, arguments, said):
    cli("board", "create", "first")
    answer = cli("board", *arguments)
    assert (answer.code, answer.out) == (1 if "no task '7'" in said else 64, "")
    assert said in answer.err
    assert len(answer.err.splitlines()) <= 2


def test_an_error_in_json_is_one_line_of_it(cli):
    cli("board", "create", "first")
    answer = cli("board", "show", "7", "--json")
    (line,) = answer.err.splitlines()
    assert json.loads(line)["error"]["kind"] == "not-found"
