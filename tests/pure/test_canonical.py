"""Rows as bytes: the same rows give the same hash in any order, other rows another one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.state.canonical import Digest, encode

VALUES = st.none() | st.integers(-(1 << 63), (1 << 63) - 1) | st.text() | st.binary()
ROWS = st.lists(st.tuples(VALUES, VALUES), max_size=6)


def hashed(rows):
    digest = Digest()
    digest.add(rows)
    return digest.hex()


@given(ROWS, st.randoms())
def test_the_order_of_rows_says_nothing(rows, random):
    mixed = random.sample(rows, len(rows))
    assert hashed(mixed) == hashed(rows)


@given(ROWS, ROWS)
def test_other_rows_have_another_hash(one, other):
    same = sorted(map(repr, one)) == sorted(map(repr, other))
    assert (hashed(one) == hashed(other)) is same


@pytest.mark.parametrize(
    ("one", "other"),
    [(("a", "bc"), ("ab", "c")), ((None,), ("",)), (("1",), (1,)), ((b"a",), ("a",)), ((b"",), (None,))],
)
def test_values_that_look_alike_are_told_apart(one, other):
    assert b"".join(map(encode, one)) != b"".join(map(encode, other))


def test_a_row_that_is_there_twice_counts_twice():
    assert hashed([("a", 1)] * 2) != hashed([("a", 1)])
