"""In which order cards are written, and what Markdown makes of what people wrote."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.board.exchange import markdown
from holdfast.board.exchange.format import Line, decode, encode, problems
from holdfast.board.exchange.model import (
    BoardFacts,
    Card,
    CardComment,
    CardFile,
    CardParent,
    CardRequest,
    CardRun,
)
from holdfast.board.exchange.rules import parents_first
from holdfast.board.hermes import rules as hermes
from holdfast.board.hermes.values import Odd
from holdfast.board.model import BlockKind, Outcome, Status

KEYS = st.integers(0, 12)


def card(**words):
    return Card(**{"id": 1, "title": "one", "status": "ready", "created_ms": 1, "changed_ms": 1, "ready_ms": 1} | words)


@given(st.lists(KEYS, unique=True), st.lists(st.tuples(KEYS, KEYS), max_size=40))
def test_every_card_comes_once_and_after_each_parent_whose_link_stays(keys, links):
    order = parents_first(keys, links)

    assert sorted(order.keys) == sorted(keys)
    place = {key: at for at, key in enumerate(order.keys)}
    left_out = {*order.dangling, *order.cyclic}
    for parent, child in links:
        if (parent, child) not in left_out:
            assert place[parent] < place[child]
    assert all(parent not in place or child not in place for parent, child in order.dangling)
    assert all(parent in place and child in place for parent, child in order.cyclic)
    assert set(order.cyclic) <= _on_circles(keys, links)


def _on_circles(keys, links):
    """Links whose parent can be reached from their child: only such a one may be left out."""
    below = {key: {child for parent, child in links if parent == key and child in keys} for key in keys}
    reached = {}
    for key in keys:
        found, todo = set(), [key]
        while todo:
            for child in below[todo.pop()] - found:
                found.add(child)
                todo.append(child)
        reached[key] = found
    return {(parent, child) for parent, child in links
            if parent in reached and child in reached and (parent == child or parent in reached[child])}  # fmt: skip


def test_cards_without_links_stay_in_their_order_and_of_a_circle_the_first_comes_first():
    assert parents_first([3, 1, 2], []).keys == [3, 1, 2]
    order = parents_first(["a", "b", "c"], [("a", "b"), ("b", "c"), ("c", "a")])
    assert (order.keys, order.cyclic) == (["a", "b", "c"], [("c", "a")])


def test_a_long_chain_and_a_wide_fan_are_put_in_order_without_a_stack():
    chain = list(range(20_000))
    order = parents_first(chain[::-1], pairwise(chain))
    assert order.keys == chain


def test_every_word_of_hermes_means_one_of_ours():
    assert set(hermes.STATUSES.values()) <= set(Status)
    assert set(hermes.OUTCOMES.values()) <= set(Outcome)
    assert set(hermes.BLOCK_KINDS.values()) <= set(BlockKind)
    assert hermes.event_kind("something new") == "hermes_something new"


@given(st.one_of(st.none(), st.integers(), st.floats(), st.text(), st.binary()))
def test_whatever_a_row_holds_is_read_or_told_and_kept(value):
    for read in (Odd.text, Odd.number, Odd.time, Odd.json):
        odd = Odd("x")
        found = read(odd, {"a": value}, "a")
        if read is Odd.time and isinstance(value, int) and 0 <= value < 253_402_300_799:
            assert found == value * 1000
        assert len(odd.kept) <= len(odd.findings) <= 2
        encode(Line(task=card(metadata={"odd": odd.kept, "found": found})))


def test_a_line_is_read_as_it_was_written():
    line = Line(
        task=card(
            parents=[CardParent(id=2, gate="passed")],
            runs=[CardRun(id=1, attempt=1, started_ms=5)],
            comments=[CardComment(id=1, body="\u2028", created_ms=1)],
            requests=[CardRequest(request="k", scope="any")],
            metadata={"a": [1.5, None]},
        )
    )
    assert decode(encode(line)) == line
    assert b"\n" not in encode(line)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"status": "gone"}, "status is 'gone'"),
        ({"status": "archived"}, "archived_from is None"),
        ({"archived_from": "done"}, "archived_from is 'done' while its status is ready"),
        ({"block_kind": "mood"}, "block_kind is 'mood'"),
        ({"title": " "}, "it has no title"),
        ({"priority": 1 << 63}, "beyond what a database holds"),
        ({"failures": -1}, "failures is below 0"),
        ({"runs": [CardRun(id=1, attempt=1, started_ms=5, outcome="bang")]}, "outcome is 'bang'"),
        ({"requests": [CardRequest(request="k", scope="some")]}, "scope is 'some'"),
    ],
)
def test_what_no_board_could_hold_is_named(words, told):
    assert told in next(problems(card(**words)))
    assert list(problems(card())) == []


def test_markdown_shows_a_task_and_keeps_what_people_wrote_from_being_markup():
    made = card(
        title="Fix `x` | [now]",
        body="# not a heading\n```\nnot a fence",
        status="blocked",
        block_kind="needs_input",
        block_reason="which *colour*?",
        comments=[CardComment(id=1, author="ann", body="one\ntwo", created_ms=0)],
        runs=[
            CardRun(id=1, attempt=1, assignee="bob", started_ms=0, ended_ms=61_000, outcome="crashed", failure="a | b")
        ],
        attachments=[CardFile(id=7, name="plan.pdf", size_bytes=5, sha256="ab" * 32, created_ms=0)],
        parents=[CardParent(id=2, gate="passed")],
        metadata={"fence": "````"},
    )

    text = "".join(markdown.task(made, 1, {2: "Parent"}, "../attachments"))

    assert text.startswith("# 1 · Fix \\`x\\` \\| \\[now\\]\n")
    assert "- status: blocked, needs_input\n- blocked for: which \\*colour\\*?\n" in text
    assert "- after 2 (passed): Parent\n" in text
    assert "> # not a heading\n> ```\n> not a fence\n" in text
    assert "**ann**, 1970-01-01 00:00 UTC:\n\n> one\n> two\n" in text
    assert "| 1 | bob | 1970-01-01 00:00 UTC | 61 s | crashed | a \\| b |\n" in text
    assert "[plan.pdf](../attachments/7.pdf), 5 bytes" in text
    assert "`````json\n" in text


def test_the_head_counts_by_status_in_the_order_people_look():
    briefs = [markdown.Brief(n, "t", status, 0, "", 0) for n, status in enumerate(("done", "ready", "ready"))]
    text = "".join(markdown.head(BoardFacts(slug="x", name="X", description="what\nfor"), briefs, 0))
    assert text == "# X\n\n> what\n> for\n\nBoard `x`, 1970-01-01 00:00 UTC: 2 ready, 1 done.\n"
