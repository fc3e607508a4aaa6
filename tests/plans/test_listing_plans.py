"""Each list reads one range of one index per branch, in order: nothing is sorted, nothing is scanned."""

from __future__ import annotations

import itertools

import pytest

from holdfast.sql import Statement
from holdfast.threads import listing
from holdfast.threads.model import Direction, Query, Sort
from homes import NOON_MS

FILTERS = {
    "nothing": {},
    "cwd": {"cwds": ("/home/dev/0",)},
    "provider": {"providers": ("openai",)},
    "source": {"sources": ("exec",)},
}


@pytest.fixture
def rich(make_home, open_state):
    home = make_home()
    parent = home.thread("the parent")
    for number in range(40):
        cwd, provider, source = f"/home/dev/{number % 3}", ("openai", "mock")[number % 2], ("exec", "cli")[number % 2]
        home.thread("words", parent=parent, cwd=cwd, provider=provider, source=source, updated_ms=NOON_MS + number)
    return open_state(home)


class Watched:
    """A transaction that keeps what it was asked."""

    def __init__(self, tx):
        self._tx = tx
        self.asked = []

    def row(self, statement, /, **params):
        return self._tx.row(statement, **params)

    def rows(self, statement, /, **params):
        self.asked.append((statement, params))
        return self._tx.rows(statement, **params)

    def plan(self):
        """Return how SQLite goes about the last statement, a line for each step."""
        statement, params = self.asked[-1]
        text = f"EXPLAIN QUERY PLAN {statement.sqlite}"
        explain = Statement("plan", text, text, statement.params, frozenset())
        return [row["detail"] for row in self._tx.rows(explain, **params)]


def plan_of(state, query, *, after):
    with state.read() as tx:
        watched = Watched(tx)
        homes = [home.home_id for home in state.homes]
        page = listing.page(watched, homes, query, limit=1)
        if after:
            assert page.next_cursor
            listing.page(watched, homes, query, limit=1, cursor=page.next_cursor)
        return watched.plan()


def touches_threads(step):
    return step.startswith(("SEARCH threads", "SCAN threads", "SEARCH t ", "SCAN t "))


@pytest.mark.parametrize("after", [False, True], ids=["first", "later"])
@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize("sort", list(Sort))
@pytest.mark.parametrize("name", FILTERS)
def test_a_list_with_one_filter_is_one_range_of_its_own_index(rich, name, sort, direction, after):
    plan = plan_of(rich, Query(sort=sort, direction=direction, **FILTERS[name]), after=after)

    index = f"threads_by_{sort}" if name == "nothing" else f"threads_by_{name}_{sort}"
    branch, *rest = [step for step in plan if touches_threads(step)]
    assert branch.startswith(f"SEARCH threads USING INDEX {index} (home_id=? AND archived=?")
    if name != "nothing":
        assert f"{'source_kind' if name == 'source' else name}_id=?" in branch
    assert rest == ["SEARCH t USING INTEGER PRIMARY KEY (rowid=?)"]
    # The branches are put together, and the page is put in order: a few rows each, never the range.
    assert [step for step in plan if step.startswith("SCAN") and step not in ("SCAN branch", "SCAN page")] == []
    before_branch_ends = plan[: plan.index(branch) + 1]
    assert not any("TEMP B-TREE" in step for step in before_branch_ends)
    assert f"{sort}_ms{'<' if direction == 'desc' else '>'}?" in branch or not after


def explained(tx, statement, params):
    text = f"EXPLAIN QUERY PLAN {statement.sqlite}"
    plan = Statement("plan", text, text, statement.params, frozenset())
    return [row["detail"] for row in tx.rows(plan, **params)]


@pytest.mark.parametrize("kind", ["parent", "ancestor"])
@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize("sort", list(Sort))
def test_a_family_is_read_through_its_parents_and_nothing_else_is(rich, sort, direction, kind):
    parent = bytes.fromhex(rich.threads.resolve("the parent").id.replace("-", ""))
    query = Query(sort=sort, direction=direction, **{kind: parent})
    with rich.read() as tx:
        watched = Watched(tx)
        listing.page(watched, [home.home_id for home in rich.homes], query, limit=1)
        plans = [explained(tx, statement, params) for statement, params in watched.asked]

    *family, page = plans
    assert len(family) == {"parent": 1, "ancestor": 2}[kind]  # one for each generation, and the one that is empty
    for plan in family:
        steps = [step for step in plan if touches_threads(step) or " e " in step]
        assert steps[0] == "SEARCH e USING INDEX thread_edges_by_parent (parent_id=?)"
        assert "SEARCH t USING INDEX threads_by_parent (parent_thread_id=?)" in steps
        assert not any(step.startswith(("SCAN t ", "SCAN e ", "SCAN threads")) for step in plan)
    assert [step for step in page if touches_threads(step)] == [
        "SEARCH threads USING INTEGER PRIMARY KEY (rowid=?)",
        "SEARCH t USING INTEGER PRIMARY KEY (rowid=?)",
    ]


def test_what_was_deleted_is_read_from_an_index_of_its_own(rich):
    query = Query(deleted=True)
    with rich.read() as tx:
        watched = Watched(tx)
        listing.page(watched, [home.home_id for home in rich.homes], query, limit=1)
        plans = [explained(tx, statement, params) for statement, params in watched.asked]
    assert any("SEARCH threads USING INDEX threads_deleted (home_id=?)" in plan for plan in plans)
    assert not any(step.startswith(("SCAN threads", "SCAN t ")) for plan in plans for step in plan)


def test_what_was_said_is_read_from_the_index_of_it(rich):
    from holdfast.threads import store

    with rich.read() as tx:
        plan = explained(tx, store.SAID, {})
    assert any("threads_said" in step for step in plan)


def test_each_value_of_a_filter_and_each_kind_of_archive_is_a_branch_of_its_own(rich):
    query = Query(archived=None, cwds=("/home/dev/0", "/home/dev/1"))

    plan = plan_of(rich, query, after=False)

    branches = [step for step in plan if step.startswith("SEARCH threads USING INDEX threads_by_cwd_updated")]
    assert len(branches) == 4


def test_a_second_filter_is_checked_on_the_rows_of_the_first(rich):
    query = Query(cwds=("/home/dev/0",), providers=("mock",), sources=("cli", "exec"), search="words")

    plan = plan_of(rich, query, after=False)

    (branch,) = [step for step in plan if touches_threads(step) and "rowid" not in step]
    assert branch.startswith("SEARCH threads USING INDEX threads_by_cwd_updated (home_id=? AND archived=? AND cwd_id=?")


@pytest.mark.parametrize("sort, direction", list(itertools.product(Sort, Direction)))
def test_the_branch_stops_after_a_page(rich, sort, direction):
    with rich.read() as tx:
        watched = Watched(tx)
        listing.page(watched, [home.home_id for home in rich.homes], Query(sort=sort, direction=direction), limit=3)
        statement, params = watched.asked[-1]
    assert params["limit"] == 4
    assert f"ORDER BY {sort}_ms {direction}, n {direction} LIMIT :limit" in statement.sqlite


@pytest.mark.parametrize("statement", ["_BY_ID", "_BY_ID_RANGE"])
def test_a_thread_is_found_by_its_id_in_one_range(rich, statement):
    from holdfast.threads import store

    found = getattr(store, statement)
    params = {"homes": "[1]", "thread_id": b"\0" * 16, "low": b"\0" * 16, "high": b"\1" * 16, "limit": 2}
    text = f"EXPLAIN QUERY PLAN {found.sqlite}"
    with rich.read() as tx:
        plan = [
            row["detail"]
            for row in tx.rows(
                Statement("plan", text, text, found.params, frozenset()),
                **{name: value for name, value in params.items() if name in found.params},
            )
        ]
    assert any("threads" in step and "(home_id=? AND thread_id" in step for step in plan)
    assert not any(step.startswith("SCAN t") for step in plan)
