"""The JSON keys that docs/board-cli.md names are those that the commands print, and no others."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from holdfast.board import BlockKind, Outcome, Status
from holdfast.cli import main

PAGE = (Path(__file__).parents[2] / "docs" / "board-cli.md").read_text(encoding="utf-8")
NAME = re.compile(r"`([a-z0-9_]+)`")
TASK = set(NAME.findall(PAGE.partition("JSON keys of a task")[2].partition("Where nothing else")[0]))
BOARD = {"board_id", "slug", "name", "description", "workdir", "running_max", "created_ms", "changed_ms", "archived_ms"}
COUNTED = {*Status, *BlockKind, *Outcome, "ann", "bob"}
"""Keys that are words of the board, or of whoever uses it: what is counted by status, kind, outcome or assignee."""

COMMANDS = [
    ["create", "first", "--body", "all of it", "--assignee", "ann", "--request", "once"],
    ["create", "second", "--parent", "1"],
    ["list"],
    ["list", "--status", "ready"],
    ["show", "1"],
    ["show", "1", "--prompt"],
    ["why", "2"],
    ["claim", "1"],
    ["comment", "1", "so far so good"],
    ["attach", "1", "FILE"],
    ["attachments", "1"],
    ["show", "1"],
    ["runs", "1"],
    ["events", "1"],
    ["stats"],
    ["reclaim", "1", "it was silent"],
    ["done", "1", "--summary", "it is done"],
    ["edit", "2", "--priority", "3"],
    ["assign", "2", "bob"],
    ["link", "1", "2", "--gate", "ended"],
    ["show", "2"],
    ["unlink", "1", "2"],
    ["block", "2", "no key"],
    ["stats"],
    ["unblock", "2"],
    ["schedule", "2", "1h"],
    ["move", "2", "triage"],
    ["cancel", "2", "not any more"],
    ["reopen", "2"],
    ["archive", "1"],
    ["restore", "1"],
    ["boards", "create", "other"],
    ["boards", "edit", "other", "--name", "Another"],
    ["boards", "cap", "other", "3"],
    ["boards", "list"],
    ["boards", "archive", "other"],
    ["boards", "restore", "other"],
    ["dispatch", "--worker", "exit 3", "--max", "1", "--until-idle"],
    ["dispatch", "--status"],
    ["export", "OUT"],
    ["import", "OUT"],
]


def keys(value):
    """Return every key of a document, but for those inside what people wrote themselves."""
    if isinstance(value, list):
        return {key for each in value for key in keys(each)}
    if not isinstance(value, dict):
        return set()
    inner = (keys(each) for key, each in value.items() if key not in ("payload", "metadata", "result"))
    return set(value).union(*inner)


def documented(words, *, also=False):
    """Return the JSON keys that the section of a command names; `also`: and those it says are as in another.

    Where it says nothing, it is one: that of the task.
    """
    path = " ".join(words[: 2 if words[0] == "boards" else 1])
    text = re.split(r"\n## ", PAGE.partition(f"\n## `holdfast board {path}`\n")[2])[0]
    said = re.search(r"JSON keys?\b.*", text, re.DOTALL)
    if said is None:
        return {"task"}
    others = re.findall(r"as (?:in|for) `([a-z ]+?)(?: --[a-z]+)?`", said.group())
    found = {name for name in NAME.findall(said.group()) if name not in others}
    if also or not found:
        found = found.union(*(documented(other.split()) for other in others))
    return found


@pytest.fixture
def answers(tmp_path, monkeypatch, capsys):
    """Run every command once, in order; return what each printed."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HOLDFAST_STATE", str(tmp_path / "state"))
    (tmp_path / "a.txt").write_text("bytes")
    places = {"FILE": str(tmp_path / "a.txt"), "OUT": str(tmp_path / "board.jsonl")}
    found = []
    for words in COMMANDS:
        at = 2 if words[0] == "boards" else 1  # before the words that are text
        given = [*words[:at], "--json", *(places.get(word, word) for word in words[at:])]
        assert main(["board", *given]) == 0, words
        found.append((words, json.loads(capsys.readouterr().out)))
    return found


def test_every_key_that_is_printed_is_documented_and_every_one_that_is_documented_is_printed(answers):
    printed: dict[str, set[str]] = {}
    for words, document in answers:
        assert keys(document) - documented(words, also=True) - TASK - BOARD - COUNTED == set(), words
        assert set(document) <= documented(words), words
        printed.setdefault(" ".join(words[: 2 if words[0] == "boards" else 1]), set()).update(keys(document))
    for path, found in printed.items():
        if path != "dispatch":  # one that leads cannot be looked at from its own process
            assert documented(path.split()) - found == set(), path


def test_every_key_of_a_task_is_documented(answers):
    shown = next(document["task"] for words, document in answers if words[0] == "show")
    assert set(shown) == TASK
