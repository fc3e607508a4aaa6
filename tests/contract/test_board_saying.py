"""What is said of a task and attached to it: in order, whole or not at all, and checked when it is read."""

from __future__ import annotations

import hashlib
import io
import random

import pytest

from holdfast import board
from holdfast.board import attaching, saying
from holdfast.board.attaching import PART_BYTES, SIZE_MAX
from holdfast.errors import Damaged, Refused
from holdfast.sql import statement

PARTS = statement("SELECT count(*) AS found FROM task_attachment_parts")
SPOIL = statement("UPDATE task_attachment_parts SET data = :data WHERE part = 1")
DROP = statement("DELETE FROM task_attachment_parts WHERE part = 1")


@pytest.fixture
def task(engine):
    with engine.write() as tx:
        return board.create(tx, "a task").task.task_id


def parts(engine):
    with engine.read() as tx:
        return tx.row(PARTS)["found"]


def read(engine, attachment_id):
    with engine.read() as tx:
        return b"".join(attaching.read_attachment(tx, attachment_id))


def test_comments_come_in_the_order_they_were_made_and_from_where_one_left_off(engine, task, clock):
    with engine.write() as tx:
        made = [saying.comment(tx, task, f"number {n} ✓", author="ann") for n in range(5)]

    with engine.read() as tx:
        assert saying.comments(tx, task) == made
        assert saying.comments(tx, task, after=made[1].comment_id, limit=2) == made[2:4]
        event = board.history(tx, task)[-1]
    assert (event.kind, event.payload) == ("commented", {"author": "ann", "body": "number 4 ✓"})
    assert (made[0].author, made[0].created_ms) == ("ann", clock())


def test_a_task_that_is_over_may_be_commented_and_one_that_is_not_there_may_not(engine, task):
    with engine.write() as tx:
        board.done(tx, task)
        saying.comment(tx, task, "well done")
    with pytest.raises(Refused, match="there is no task 99"), engine.write() as tx:
        saying.comment(tx, 99, "hello")


@pytest.mark.parametrize(
    ("body", "told"),
    [("", "says nothing"), (" \n", "says nothing"), ("ü" * 131_073, "has 262146 bytes, of at most 262144")],
)
def test_a_comment_that_is_empty_or_a_file_is_refused(engine, task, body, told):
    with pytest.raises(Refused, match=told), engine.write() as tx:
        saying.comment(tx, task, body)
    with engine.read() as tx:
        assert saying.comments(tx, task) == []


@pytest.mark.parametrize("size", [0, PART_BYTES, PART_BYTES + 1])
@pytest.mark.parametrize("kind", ["bytes", "pipe"])
def test_a_file_comes_back_byte_for_byte_however_it_was_given(engine, task, size, kind):
    data = random.Random(size).randbytes(size)
    given = data if kind == "bytes" else Trickle(data)

    with engine.write() as tx:
        made = attaching.attach(tx, task, "a.bin", given, media_type="application/x", author="ann")

    assert read(engine, made.attachment_id) == data
    assert (made.size_bytes, made.sha256) == (size, hashlib.sha256(data).hexdigest())
    assert parts(engine) == attaching.part_count(made) == -(-size // PART_BYTES)
    with engine.read() as tx:
        assert attaching.attachments(tx, task) == [made]
        assert board.history(tx, task)[-1].payload == {"name": "a.bin", "size_bytes": size, "author": "ann"}


@pytest.mark.parametrize("kind", ["bytes", "stream", "endless"])
def test_a_file_that_is_too_large_is_refused_before_anything_is_written(engine, task, kind):
    given = {"bytes": bytes(SIZE_MAX + 1), "stream": io.BytesIO(bytes(SIZE_MAX + 1)), "endless": Endless()}[kind]

    with engine.write() as tx:
        before = board.get(tx, task)
        with pytest.raises(Refused, match=f"of at most {SIZE_MAX}; nothing was written"):
            attaching.attach(tx, task, "large", given)
        assert board.get(tx, task) == before  # though the transaction goes on, and is kept

    assert parts(engine) == 0
    with engine.read() as tx:
        assert attaching.attachments(tx, task) == []


def test_an_upload_that_ends_in_the_middle_leaves_nothing(engine, task):
    with engine.write() as tx:
        before = board.get(tx, task)
        with pytest.raises(OSError, match="torn"):
            attaching.attach(tx, task, "torn", Torn())
        assert board.get(tx, task) == before

    assert parts(engine) == 0


def test_whoever_allows_more_may_attach_more(engine, task):
    with engine.write() as tx:
        made = attaching.attach(tx, task, "large", bytes(SIZE_MAX + 1), size_max=SIZE_MAX + 1)

    assert made.size_bytes == SIZE_MAX + 1


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc/passwd", "a\0b", "a\nb", "a\\b", "x" * 256, "\udcff"])
def test_a_name_that_could_lead_elsewhere_is_refused(engine, task, name):
    with pytest.raises(Refused, match="is no name for an attachment"), engine.write() as tx:
        attaching.attach(tx, task, name, b"x")
    assert parts(engine) == 0


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda tx: tx.run(SPOIL, data=b"x" * PART_BYTES), "bytes with SHA-256"),
        (lambda tx: tx.run(DROP), "a part of it is missing"),
    ],
)
def test_bytes_that_are_not_those_attached_are_never_given_out_as_if_they_were(engine, task, spoil, told):
    with engine.write() as tx:
        made = attaching.attach(tx, task, "a.bin", bytes(2 * PART_BYTES))
    with engine.write() as tx:
        spoil(tx)

    with pytest.raises(Damaged, match=told):
        read(engine, made.attachment_id)


def test_what_is_detached_is_gone_and_that_it_was_there_is_known(engine, task, clock):
    with engine.write() as tx:
        made = attaching.attach(tx, task, "a.bin", bytes(2 * PART_BYTES))
    clock.advance(5)
    with engine.write() as tx:
        gone = attaching.detach(tx, made.attachment_id, author="ann")
        again = attaching.detach(tx, made.attachment_id)

    assert gone.detached_ms == again.detached_ms == clock()
    assert parts(engine) == 0
    with engine.read() as tx:
        assert attaching.attachments(tx, task) == []
        assert attaching.attachments(tx, task, detached=True) == [gone]
        assert [each.kind for each in board.history(tx, task)] == ["created", "attached", "detached"]
    with pytest.raises(Refused, match="was taken off task"):
        read(engine, made.attachment_id)
    with pytest.raises(Refused, match="there is no attachment 99"):
        read(engine, 99)


class Trickle(io.RawIOBase):
    """A pipe that gives a little at a time."""

    def __init__(self, data):
        self._left = data

    def readable(self):
        return True

    def read(self, size=-1):
        piece, self._left = self._left[: min(size, 10_007)], self._left[min(size, 10_007) :]
        return piece


class Endless:
    def read(self, size):
        return bytes(size)


class Torn:
    def __init__(self):
        self._pieces = 3

    def read(self, size):
        self._pieces -= 1
        if not self._pieces:
            raise OSError("torn")
        return bytes(size)
