"""``state.board`` has the doors for texts, files, and boards in and out; also where one only looks."""

from __future__ import annotations

import io
import os

import pytest

import holdfast
from hermes_roots import recorded
from holdfast.board.attaching import PART_BYTES
from holdfast.errors import Damaged, Refused
from holdfast.sql import statement
from processes import Child

SPOIL = statement("UPDATE task_attachment_parts SET data = :data WHERE part = 1")


@pytest.fixture
def state(open_state):
    return open_state()


def test_what_is_said_and_attached_through_the_doors_is_read_through_them(state, tmp_path):
    task = state.board.create("one").task.task_id
    said = state.board.comment(task, "hello", author="ann")
    data = os.urandom(PART_BYTES + 5)
    made = state.board.attach(task, "a.bin", io.BytesIO(data), media_type="x/y", author="ann")

    assert state.board.comments(task) == [said]
    assert state.board.attachments(task) == [made]
    assert [len(part) for part in state.board.read_attachment(made.attachment_id)] == [PART_BYTES, 5]
    assert state.board.save_attachment(made.attachment_id, tmp_path / "saved") == made
    assert (tmp_path / "saved").read_bytes() == data
    with pytest.raises(Refused, match="is there already"):
        state.board.save_attachment(made.attachment_id, tmp_path / "saved")


def test_a_file_that_goes_or_changes_while_it_is_read_is_never_saved_as_if_it_were_whole(state, tmp_path):
    task = state.board.create("one").task.task_id
    (tmp_path / "out").mkdir()
    gone = state.board.attach(task, "a.bin", bytes(2 * PART_BYTES))
    reading = state.board.read_attachment(gone.attachment_id)
    next(reading)
    state.board.detach(gone.attachment_id)
    with pytest.raises(Refused, match="was taken off task"):
        next(reading)

    other = state.board.attach(task, "b.bin", bytes(2 * PART_BYTES))
    with state.write() as tx:
        tx.run(SPOIL, data=b"x")
    with pytest.raises(Damaged, match="is not what was attached"):
        state.board.save_attachment(other.attachment_id, tmp_path / "out" / "b.bin")
    assert os.listdir(tmp_path / "out") == []


def test_boards_go_in_and_out_through_the_doors_and_out_of_a_peek_too(state, where, tmp_path):
    reports = state.board.import_hermes(recorded("0.19.0", tmp_path / "hermes"))
    assert [each.new.tasks for each in reports] == [18, 18]
    assert state.board.get(state.board.import_hermes(tmp_path / "hermes")[0].findings[0].subject.split("/")[1])

    with holdfast.peek((), **where) as peeked:
        assert peeked.board.export_json(tmp_path / "a.jsonl").counts.tasks == 18
        assert peeked.board.export_markdown(tmp_path / "a").files == 1 + 18 + 2
        with pytest.raises(Refused, match="for reading only"):
            peeked.board.import_json(tmp_path / "a.jsonl", board="copy")
    assert state.board.import_json(tmp_path / "a.jsonl", board="copy").new.tasks == 18


def test_a_state_is_opened_without_the_code_of_boards(tmp_path):
    code = "import holdfast; holdfast.open([], state_dir=sys.argv[1], search=False).close();"
    code += "say('opened', *(name for name in sys.modules if name.startswith('holdfast.board')))"
    child = Child(code, tmp_path / "state")
    assert child.line() == "opened"
    child.end()
