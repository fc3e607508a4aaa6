"""A task is made, claimed once, and ended by whoever holds the claim."""

from __future__ import annotations

import pytest

from holdfast import board, holds
from holdfast.board import Claimed, Idle, Known, Status
from holdfast.errors import Stale

ME = holds.me("test")


def make(engine, title="a task", **words):
    with engine.write() as tx:
        return board.create(tx, title, **words).task


def claim_next(engine, slug="default", **words):
    with engine.write() as tx:
        return board.claim_next(tx, slug, ME, **words)


def get(engine, task_id):
    with engine.read() as tx:
        return board.get(tx, task_id)


def test_a_task_is_claimed_once_and_done_once(engine):
    made = make(engine)

    claim = claim_next(engine)
    assert isinstance(claim, Claimed)
    assert claim.task.task_id == made.task_id
    assert isinstance(claim_next(engine), Idle)

    with engine.write() as tx:
        assert board.done(tx, made.task_id, fence=claim.fence, summary="did it").status == Status.DONE
    with pytest.raises(Stale), engine.write() as tx:
        board.done(tx, made.task_id, fence=claim.fence)
    with engine.read() as tx:
        (run,) = board.runs(tx, made.task_id)
    assert (run.outcome, run.summary, run.attempt) == ("completed", "did it", 1)


def test_a_child_waits_for_its_parent(engine):
    parent = make(engine, "parent")
    child = make(engine, "child", parents=[parent.task_id])
    assert child.status == Status.TODO

    claim = claim_next(engine)
    assert claim.task.task_id == parent.task_id
    with engine.write() as tx:
        board.done(tx, parent.task_id, fence=claim.fence)

    assert get(engine, child.task_id).status == Status.READY


def test_a_request_makes_one_task(engine):
    made = make(engine, request="mail-7")
    with engine.write() as tx:
        again = board.create(tx, "another", request="mail-7")

    assert again == Known(made)
