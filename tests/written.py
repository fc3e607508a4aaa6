"""What a writer wrote, checked against the file: live facts are those of a scan, numbers go on without a gap."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from holdfast.rollouts import Turn, scan
from holdfast.rollouts.blocks import fold_block
from holdfast.rollouts.facts import ThreadFacts

META = {"cwd": "/home/dev/src/made", "model_provider": "mock"}


def says(words):
    """Return an item in which the agent says something."""
    return {"type": "event_msg", "payload": {"type": "agent_message", "message": words}}


def a_turn(writer, words="fix the parser"):
    """Return the items of a whole turn."""
    turn = Turn(writer.thread_id, history_mode=writer.history_mode)
    return [
        *turn.started(),
        *turn.context(cwd="/home/dev/src/made", model="gpt-5.3-codex"),
        *turn.user_message(words),
        *turn.assistant_message(f"done: {words}"),
        *turn.completed(),
    ]


def lines_of(path):
    """Return the lines of a file as JSON; every one of them is whole."""
    data = Path(path).read_bytes()
    assert data.endswith(b"\n")
    return [json.loads(line) for line in data.splitlines()]


def messages(path):
    """Return what ``says`` said, in order."""
    return [line["payload"]["message"] for line in lines_of(path) if "message" in line["payload"]]


def check_numbers(path):
    """Fail when two lines have one number, or a number is missing."""
    numbers = [line["ordinal"] for line in lines_of(path)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


class Live:
    """Folds what a writer answers, as whoever keeps a thread's row does."""

    def __init__(self, writer):
        self.writer = writer
        self.facts = scan(writer.path).facts if writer.made else ThreadFacts()

    def append(self, items):
        first = self.facts.lines == 0
        answer = self.writer.append(items)
        if first:
            with open(self.writer.path, "rb") as file:
                fold_block(self.facts, file.read(answer.offset))
        fold_block(self.facts, answer.block, answer.offset)
        return answer

    def check(self):
        found = scan(self.writer.path)
        assert found.status == "ok"
        assert found.problems == []
        assert found.offset == self.writer.size
        assert msgspec.structs.asdict(self.facts) == msgspec.structs.asdict(found.facts)
