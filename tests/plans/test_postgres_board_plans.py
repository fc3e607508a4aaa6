"""The board's hot statements on PostgreSQL, with 20,000 tasks: each reads a few entries of an index."""

from __future__ import annotations

import pytest

from engines import open_engine
from holdfast import board, holds, schema
from holdfast.sql import Statement

ANN = holds.me("ann")
LARGE = {"tasks", "task_links", "task_runs", "task_events"}
MANY = """
INSERT INTO tasks (board_id, title, status, priority, assignee, tenant, created_ms, changed_ms, ready_ms, due_ms, links,
    gates_open, children_open, ended_ms, seq_events)
SELECT 1, 'made ' || i, CASE WHEN i % 4 = 0 THEN 'ready' WHEN i % 4 = 1 THEN 'todo' ELSE 'done' END, i % 3,
    'a' || i % 5, 't' || i % 2, i, i, i, 0, 2, 5, 5, CASE WHEN i % 4 > 1 THEN i END, 1
FROM generate_series(1, 20000) AS i;
INSERT INTO task_links (parent_id, child_id, gate)
SELECT parent_id, child_id, 'done' FROM (SELECT task_id AS child_id, lag(task_id) OVER (ORDER BY task_id) AS parent_id
                                         FROM tasks) AS pairs
WHERE parent_id IS NOT NULL;
INSERT INTO task_runs (task_id, attempt, stage, assignee, owner, fence, started_ms, ended_ms, outcome)
SELECT task_id, 1, 'work', '', '', 0, 1, 2, 'completed' FROM tasks;
INSERT INTO task_events (board_id, task_id, seq, kind, at_ms) SELECT 1, task_id, 1, 'created', 1 FROM tasks;
ANALYZE tasks; ANALYZE task_links; ANALYZE task_runs; ANALYZE task_events
"""


class Asked:
    """A transaction that remembers what it was asked, and asks how each of it would be done."""

    def __init__(self, tx):
        self._tx = tx
        self.seen = {}

    def __getattr__(self, name):
        return getattr(self._tx, name)

    def row(self, asked, /, **params):
        self.seen.setdefault(asked.name, (asked, params))
        return self._tx.row(asked, **params)

    def rows(self, asked, /, **params):
        self.seen.setdefault(asked.name, (asked, params))
        return self._tx.rows(asked, **params)

    def run(self, asked, /, **params):
        self.seen.setdefault(asked.name, (asked, params))
        return self._tx.run(asked, **params)

    def plans(self):
        for name, (asked, params) in self.seen.items():
            explain = Statement("plan", "", f"EXPLAIN (FORMAT JSON) {asked.postgres}", asked.params, frozenset())
            (plan,) = self._tx.row(explain, **params).values()
            yield name, list(_nodes(plan[0]["Plan"]))


def _nodes(node):
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


@pytest.fixture(scope="module")
def rich(server):
    name = server.new_schema()
    with open_engine(server.url(name)) as opened:
        schema.migrate(opened)
        with opened.write() as tx:
            tx.script(MANY)
        yield opened
    server.drop(name)


def work(tx):
    """Do everything that workers, and those who look on, do all day."""
    parent = board.create(tx, "parent", request="r").task.task_id
    board.create(tx, "child", parents=[parent], assignee="a1")
    for verb in (
        board.done,
        board.release,
        board.review,
        lambda tx, task, fence: board.fail(tx, task, fence=fence, error="x"),
        lambda tx, task, fence: board.block(tx, task, "x", fence=fence),
    ):
        claim = board.claim_next(tx, "default", ANN, stages=["work"])
        board.renew(tx, claim.task.task_id, claim.fence)
        verb(tx, claim.task.task_id, fence=claim.fence)
    board.claim_next(tx, "default", ANN, assignees=["a1"])
    board.cap(tx, "default", "a1", 1)
    board.claim_next(tx, "default", ANN)
    board.claim(tx, parent, ANN)
    board.cancel(tx, parent)
    board.comment(tx, parent, "so far", author="ann")
    board.sweep(tx, "default")
    page = board.listing(tx, "default", status="ready", limit=2)
    board.listing(tx, "default", status="ready", limit=2, after=page.after)
    board.listing(tx, "default", limit=2)
    board.events(tx, board="default", limit=5)
    board.history(tx, parent)
    board.links(tx, parent)
    board.runs(tx, parent)


def test_no_statement_of_a_claim_its_end_or_a_look_reads_a_large_table_from_end_to_end(rich):
    with rich.write() as raw:
        tx = Asked(raw)
        work(tx)
        plans = dict(tx.plans())
    assert {"task_and_epoch", "put_task", "insert_event", "linked_to", "heads_of_lanes"} <= plans.keys()
    for name, nodes in plans.items():
        whole = [node for node in nodes if node["Node Type"] == "Seq Scan" and node["Relation Name"] in LARGE]
        assert whole == [], name
        sorted_rows = [node["Plan Rows"] for node in nodes if node["Node Type"] in ("Sort", "Incremental Sort")]
        assert all(rows < 100 for rows in sorted_rows), name


def test_the_next_task_is_the_first_entry_of_its_index(rich):
    with rich.write() as raw:
        tx = Asked(raw)
        board.claim_next(tx, "default", ANN, stages=["work"])
        nodes = dict(tx.plans())["task_and_epoch"]
    locks = next(node for node in nodes if node["Node Type"] == "LockRows")
    (scan,) = [node for node in locks["Plans"] if node["Parent Relationship"] == "Outer"]
    assert (scan["Node Type"], scan["Index Name"]) == ("Index Scan", "tasks_in_order")
    assert "Sort" not in {node["Node Type"] for node in nodes}


def test_what_the_lock_of_a_familys_rows_asks_is_answered_by_its_indexes(rich):
    links = "SELECT child_id FROM task_links WHERE parent_id = ANY (CAST(:tasks AS BIGINT[]))"
    for asked, index in (
        (links, "task_links_pkey"),
        (links.replace("child_id", "?").replace("parent_id", "child_id").replace("?", "parent_id"), "task_links_up"),
        (
            "SELECT 1 FROM tasks WHERE task_id = ANY (CAST(:tasks AS BIGINT[])) ORDER BY task_id FOR UPDATE",
            "tasks_pkey",
        ),
    ):
        text = asked.replace(":tasks", "'{5,6}'")
        with rich.write() as tx:
            (plan,) = tx.row(Statement("plan", "", f"EXPLAIN (FORMAT JSON) {text}", (), frozenset())).values()
        assert index in {node.get("Index Name") for node in _nodes(plan[0]["Plan"])}
