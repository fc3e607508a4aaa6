"""What a question asks for, and which row a message gets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import Refused
from holdfast.search import rules
from holdfast.search.model import Filters


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("one two", '"one" AND "two"'),
        ('"one two" three', '"one two" AND "three"'),
        ("open.py", '"open py"'),
        ("need*", '"need"*'),
        ('"one tw"*', '"one tw"*'),
        ('"never closed', '"never closed"'),
        ("twice twice", '"twice"'),
        ("漢", '"漢"*'),
        ("漢字変", '"漢字 字変"'),
        ("漢字open", '"漢字 字 open"'),
        ("open漢", '"open 漢"*'),
        ('-- ; DROP "*" one', '"drop" AND "one"'),
        ("NOT one", '"not" AND "one"'),
        ('half"quoted words"end', '"half" AND "quoted words" AND "end"'),
    ],
)
def test_a_question_becomes_an_expression(asked, expected):
    assert rules.match(rules.parse(asked)) == expected


@pytest.mark.parametrize("asked", ["", "*", '"" "-"', "x " * 1_001, " ".join(f"w{n}" for n in range(33))])
def test_a_question_without_words_or_with_too_many_is_refused(asked):
    with pytest.raises(Refused):
        rules.parse(asked)


@given(st.text(max_size=200))
def test_no_question_can_end_the_quotes(asked):
    try:
        pieces = rules.parse(asked)
    except Refused:
        return
    for piece in pieces:
        for token in piece.tokens:
            assert not set(token) & set('"*() \0\ue000')


def test_row_ids_grow_with_time_and_fill_what_is_free():
    slots = rules.Slots({10: -1, 11: (11 << rules.SLOT_BITS) + 4})
    assert [slots.next(10), slots.next(10)] == [10 << rules.SLOT_BITS, (10 << rules.SLOT_BITS) + 1]
    assert slots.next(11) == (11 << rules.SLOT_BITS) + 5


def test_a_full_second_has_no_row_to_give():
    slots = rules.Slots({10: ((10 << rules.SLOT_BITS) | 65_535)})
    assert slots.next(10) is None


@pytest.mark.parametrize("ms", [-1, 0, 1 << 62])
def test_any_time_gives_a_row_id_that_fits(ms):
    at = rules.second(ms)
    row = rules.Slots({at: -1}).next(at)
    assert row is not None
    assert 0 <= row < 1 << 63


@given(st.text(max_size=50), st.lists(st.integers(0, 1 << 40), max_size=3), st.integers(0, 1 << 60), st.integers(0, 2))
def test_a_cursor_comes_back_as_it_was(asked, homes, row, stage):
    question = rules.question(asked, homes, Filters())
    cursor = rules.decode_cursor(question, rules.encode_cursor(question, row, stage))
    assert (cursor.row, cursor.stage) == (row, stage)
