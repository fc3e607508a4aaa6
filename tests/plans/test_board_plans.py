"""A claim, an end and a list read a few rows, however many tasks there are: no scan of them, and no sort."""

from __future__ import annotations

import pytest
from watched import Watched

from holdfast import board, holds, schema
from holdfast.clock import wall_ms
from holdfast.sqlite import Store

ANN = holds.me("ann")
SMALL = ("SCAN t", "SCAN first", "SCAN h", "SCAN heads", "SCAN CONSTANT ROW", "SCAN f", "SCAN firsts", "SCAN a")

ALSO = {"linked_to": ["USE TEMP B-TREE FOR ORDER BY"], "count_running": ["USE TEMP B-TREE FOR GROUP BY"]}
"""A sort of as many rows as a task has links, or as there are tasks that run."""


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "state.db", clock=wall_ms, durability="normal") as store:
        schema.migrate(store)
        yield store


def test_no_statement_of_a_claim_or_its_end_scans_or_sorts(store):
    with store.write() as raw:
        tx = Watched(raw)
        first = board.create(tx, "first", request="r").task.task_id
        for key in range(20):
            board.create(
                tx, str(key), priority=key % 3, assignee=f"a{key % 2}", parents=[first] if key % 4 == 0 else []
            )
        board.create(tx, "later", due_ms=tx.now_ms + 1)
        board.done(tx, first)
        for verb in (
            board.done,
            board.release,
            board.review,
            lambda tx, task, fence: board.fail(tx, task, fence=fence, error="x"),
        ):
            claim = board.claim_next(tx, "default", ANN)
            board.renew(tx, claim.task.task_id, claim.fence)
            verb(tx, claim.task.task_id, fence=claim.fence)
        board.cap(tx, "default", "a1", 1)
        board.claim_next(tx, "default", ANN, assignees=["a1"])
        board.claim_next(tx, "default", ANN)
        board.claim(tx, 9, ANN)
        board.tell(tx, 9, "commented")
        page = board.listing(tx, "default", status="ready", limit=2)
        board.listing(tx, "default", status="ready", limit=2, after=page.after)
        board.events(tx, board="default")
        seen = list(tx.plans())
    assert len(seen) > 25
    for name, plan in seen:
        odd = [line for line in plan if ("SCAN" in line or "TEMP B-TREE" in line) and line not in SMALL]
        assert odd in ([], ALSO.get(name, [])), name
