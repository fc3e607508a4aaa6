"""The statements every search runs read indexes, not tables."""

from __future__ import annotations

import json

import pytest

from holdfast.search import trigrams
from holdfast.search.store import BEHIND, SQL
from holdfast.sql import Statement


def plan(tx, statement, **params):
    explained = Statement("explain", f"EXPLAIN QUERY PLAN {statement.sqlite}", "", statement.params, frozenset())
    return [row["detail"] for row in tx.rows(explained, **params)]


@pytest.fixture
def found(make_home, searched):
    home = make_home()
    for n in range(20):
        home.thread(f"needle {n}")
    made = searched(home)
    made.follow()
    return made


def test_what_is_behind_is_read_from_the_index_of_revisions(found):
    with found.engine.read() as tx:
        for asked, more in (
            (SQL["is_behind"], {"home_id": 1}),
            (SQL["count_behind"], {"home_id": 1}),
            (BEHIND, {"home_id": 1, "upto": 9, "limit": 9}),
        ):
            steps = plan(tx, asked, revision=1, n=1, **more)
            assert any("USING INDEX threads_by_revision" in step for step in steps), steps
            assert not any(step.startswith("SCAN t") for step in steps), steps


def test_what_a_title_search_adds_is_read_from_the_index_of_revisions_alone(found):
    with found.engine.read() as tx:
        steps = plan(tx, SQL["changed"], revision=1, n=1, limit=9)
    searches = [step for step in steps if "threads" in step]
    index = "SEARCH threads USING COVERING INDEX threads_by_revision"
    assert searches == [f"{index} (revision=? AND rowid>?)", f"{index} (revision>?)"]


def test_titles_are_found_by_their_trigrams(found):
    with found.index.read() as tx:
        steps = plan(tx, SQL["titles_with"], match=trigrams.match("needle"), limit=9)
        short = plan(tx, SQL["titles_with_short"], low="n", high="n\U0010ffff\U0010ffff", limit=9)
    assert "SCAN titles VIRTUAL TABLE INDEX 0:M1" in steps
    assert f"SCAN trigrams VIRTUAL TABLE INDEX {0x0603}:" in short  # from the first term on, up to the last


@pytest.mark.parametrize("filters", [(), ("cwds",), ("providers",), ("sources",), ("cwds", "sources", "providers")])
def test_few_threads_are_found_in_an_index(found, filters):
    params = {"homes": json.dumps([1]), "archived": "[0]"} | dict.fromkeys(filters, "[1]")
    with found.engine.read() as tx:
        text = " ".join(SQL[f"only_{name}"].sqlite for name in filters)
        steps = plan(tx, SQL["few"].fill(filters=text), limit=9, **params)
    assert any("SEARCH threads USING" in step and "home_id=? AND archived=?" in step for step in steps), steps


def test_newest_first_needs_no_sorting(found):
    with found.index.read() as tx:
        steps = plan(tx, SQL["find"], match='"needle"', before=1 << 62, limit=9)
    assert not any("TEMP B-TREE" in step for step in steps), steps
    assert any("SEARCH m USING INTEGER PRIMARY KEY" in step for step in steps), steps
