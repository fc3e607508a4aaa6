"""The page about boards is true: its programs run, and its table and its diagram are made from the moves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from holdfast.board import Outcome, Status
from holdfast.board.gates import GATES, gate
from holdfast.board.moves import CREATED, MOVES, Verb, edges

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "board.md").read_text(encoding="utf-8")


def table():
    lines = ["| It is | and somebody does | It becomes |", "| --- | --- | --- |"]
    lines.append(f"| | create | {', '.join(status for status in Status if status in CREATED)} |")
    for verb in Verb:
        same = {}
        for (seen, each), became in MOVES.items():
            if each == verb:
                same.setdefault(became, []).append(seen)
        for became, seen in same.items():
            after = ", ".join(status for status in Status if status in became)
            lines.append(f"| {', '.join(seen)} | {verb} | {after} |")
    return "\n".join(lines)


def diagram():
    """The way of most tasks, without what may be done at any time, and without what leaves a task where it is."""
    any_time = {Verb.SCHEDULE, Verb.TRIAGE, Verb.CANCEL, Verb.ARCHIVE, Verb.RESTORE, Verb.REOPEN}
    by_workers = {Verb.FINISH, Verb.BLOCK}
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f"    [*] --> {status}" for status in Status if status in CREATED]
    for seen, became, verbs in edges():
        hidden = any_time if seen == Status.RUNNING else any_time | by_workers
        said = [verb for verb in verbs if verb not in hidden]
        if said and seen != became:
            lines.append(f"    {seen} --> {became}: {', '.join(said)}")
    return "\n".join([*lines, "```"])


@pytest.mark.parametrize("made", [table, diagram], ids=lambda made: made.__name__)
def test_what_is_made_from_the_moves_is_current(made):
    assert made() in PAGE, f"put this into docs/board.md:\n{made()}"


def test_the_gates_of_the_page_are_those_of_the_rule():
    ends = [(Status.DONE, None), (Status.DONE, "fail"), (Status.CANCELLED, None)]
    for kind in GATES:
        cells = " | ".join(gate(kind, status, verdict).value for status, verdict in ends)
        assert f"| `{kind}` | {cells} |" in PAGE


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_the_checks_of_the_tables_are_the_words_of_the_room(engine):
    script = (ROOT / "src" / "holdfast" / "schema" / engine / "0008_board.sql").read_text(encoding="utf-8")
    for column, words in (("status", Status), ("outcome", Outcome), ("gate", GATES)):
        (found,) = re.findall(rf"CHECK \({column} IN \(([^)]*)\)", script)
        assert re.findall(r"'([a-z_]+)'", found) == [str(word) for word in words]


def test_the_programs_of_the_page_run(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HOLDFAST_STATE", str(tmp_path / "state"))
    found = {}
    for program in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(program, found)

    assert found["claim"].task.title == "Choose a grammar"
    assert found["after"].status == "ready"
    assert "waits for its parent" in found["reason"]
    assert [event.kind for event in found["news"]][-1] == "promoted"
