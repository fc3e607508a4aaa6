"""A list does the same work among a hundred threads and among thousands: SQLite's own count of its steps says so."""

from __future__ import annotations

import itertools
from contextlib import contextmanager

import apsw
import pytest

from holdfast.ids import parse
from holdfast.ingest import ledger
from holdfast.ingest.model import FileRow
from holdfast.rollouts import ThreadFacts
from holdfast.threads import homes, listing, store
from holdfast.threads.model import Query, Sort
from homes import NOON_MS, thread_id

FEW, MANY = 120, 3_000
PARENT = parse(thread_id(1))
FILTERS = {
    "nothing": {},
    "archived": {"archived": True},
    "archived or not": {"archived": None},
    "source": {"sources": ("exec",)},
    "provider": {"providers": ("openai",)},
    "cwd": {"cwds": ("/home/dev/common",)},
    "cwd of ten": {"cwds": ("/home/dev/rare",)},
    "parent": {"parent": PARENT},
}


@pytest.fixture
def sizes(make_home, open_state):
    """A state that knows two homes, by rows alone: a list reads no rollout."""
    paths = [make_home(name).path for name in ("few", "many")]
    state = open_state(*paths)
    with state.write() as tx:
        few, many = (fill(tx, str(path), count) for path, count in zip(paths, (FEW, MANY), strict=True))
    return state, few, many


def fill(tx, path, count):
    home = homes.ensure(tx, path)
    first = ledger.next_file_id(tx)
    files, rows = [], []
    for at in range(count):
        facts = ThreadFacts(
            thread_id=parse(thread_id(at + 1)),
            parent_thread_id=PARENT if at % 3 == 1 and at < 60 else None,  # a family is found first, then paged
            created_ms=NOON_MS + at,
            updated_ms=NOON_MS + 2 * at,
            recency_ms=NOON_MS + at + 1,
            source=("exec", "cli")[at % 2],
            source_kind=("exec", "cli")[at % 2],
            model_provider=("openai", "mock")[at % 2],
            cwd="/home/dev/rare" if at % 2 == 0 and at < 20 else "/home/dev/common",
            title=f"title {at}",
        )
        archived = at % 4 == 3
        rows.append(store.derive(facts, archived=archived, archived_ms=0 if archived else None, name=f"name {at}"))
        rows[-1]["file_id"] = first + at
        files.append(
            FileRow(first + at, f"{at}.jsonl", 0, at, 1, 1, 1, "ok", 0, facts.thread_id, home.home_id, None, None)
        )
    ledger.put(tx, files)
    store.put(tx, home.home_id, rows, store.next_revision(tx))
    return home.home_id


@contextmanager
def steps(tx):
    """Count what SQLite does for ``tx`` meanwhile, in steps of its virtual machine."""
    counted = []
    count = "SQLITE_STMTSTATUS_VM_STEP"
    tx._connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, lambda event: counted.append(event["stmt_status"][count]))
    try:
        yield counted
    finally:
        tx._connection.trace_v2(0)


def taken(tx, do):
    with steps(tx) as counted:
        do()
    return sum(counted)


def cursor(tx, home, query, count):
    page = listing.page(tx, [home], query, limit=count // 10)
    return page.next_cursor


@pytest.mark.parametrize("sort", list(Sort))
def test_a_page_costs_the_same_however_many_threads_there_are_and_however_deep_it_is(sizes, sort):
    state, few, many = sizes
    work = {}
    with state.read() as tx:
        for (name, filters), direction in itertools.product(FILTERS.items(), ("desc", "asc")):
            if name == "parent" and sort != Sort.UPDATED:
                continue  # the children of one thread are put in order: see threads_by_parent
            query = Query(sort=sort, direction=direction, **filters)
            deep = None if name == "cwd of ten" else cursor(tx, many, query, MANY)
            asked = {"few": (few, None), "many": (many, None)} | ({"deep": (many, deep)} if deep else {})
            for which, (home, after) in asked.items():
                work[name, direction, which] = taken(
                    tx,
                    lambda home=home, after=after, query=query: listing.page(tx, [home], query, limit=10, cursor=after),
                )
    for name, direction, which in work:
        assert work[name, direction, which] <= work[name, direction, "few"] * 1.1 + 20, (name, direction, which)


@pytest.mark.parametrize("text", [thread_id(101), "name 100", "title 100"])
def test_a_thread_is_found_by_what_it_is_called_without_looking_at_the_others(sizes, text):
    state, few, many = sizes
    work = []
    with state.read() as tx:
        for home in (few, many):
            meant = store.get(tx, [home], parse(thread_id(101)))
            row = listing._row_id(tx, [home], thread_id(101))
            with steps(tx) as counted:  # `titled`: what the trigrams know
                assert store.resolve(tx, [home], text, titled=lambda _text, row=row: f"[{row}]") == meant
            work.append(sum(counted))
    assert work[1] <= work[0] * 1.1 + 20


def test_what_is_counted_for_the_status_is_counted_in_indexes(sizes):
    state, _, many = sizes
    with state.read() as tx:
        with steps(tx) as counted:
            assert store.counts(tx, many) == {"threads": MANY, "archived": MANY // 4, "missing": 0, "deleted": 0}
        assert sum(counted) < 12 * MANY
        plan = explained(tx, store._SQL["count_threads"], home_id=many)
    assert [step for step in plan if "threads" in step and "INDEX" not in step] == []


def explained(tx, statement, **params):
    connection = tx._connection
    rows = connection.execute(f"EXPLAIN QUERY PLAN {statement.sqlite}", params).fetchall()
    return [row[3] for row in rows]
