"""What a word is."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.search import words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Plain words", ["plain", "words"]),
        ("needle-zebra open.py snake_case", ["needle", "zebra", "open", "py", "snake", "case"]),
        ("Crème BRÛLÉE", ["creme", "brulee"]),
        ("e\u0301te\u0301", ["ete"]),
        ("STRASSE straße", ["strasse", "strasse"]),
        ("½ ² ①", ["1", "2", "2", "1"]),
        ("Foo™ bar©", ["foo", "bar"]),
        ("漢", ["漢"]),
        ("漢字", ["漢字", "字"]),
        ("漢字変", ["漢字", "字変", "変"]),
        ("漢字、変", ["漢字", "字", "変"]),
        ("a漢b", ["a", "漢", "b"]),
        ("か\u3099", ["が"]),
        ("ｶﾞ", ["ガ"]),
        ("ﷺ", ["صلى", "الله", "عليه", "وسلم"]),
        ("\ue0001\ud800x", ["1", "x"]),
    ],
)
def test_words_are_folded_and_cut(text, expected):
    assert words.tokens(text) == expected


def test_what_is_ascii_is_left_to_the_tokenizer():
    text = "As it IS, un-touched."
    assert words.prepare(text) is text


@given(st.text())
def test_prepared_text_is_letters_and_ascii(text):
    assert all(char.isalnum() or re.match(f"[{words.UNSPACED}]", char) for char in words.prepare(text) if char > "\x7f")


@given(st.text(), st.text())
def test_what_stands_beside_a_text_does_not_change_its_words(left, right):
    assert words.tokens(f"{left} {right}") == words.tokens(left) + words.tokens(right)


@given(st.text())
def test_case_makes_no_difference_in_ascii(text):
    ascii_only = text.encode("ascii", "ignore").decode()
    assert words.tokens(ascii_only.upper()) == words.tokens(ascii_only.lower())


def test_only_the_beginning_of_a_huge_text_is_searched():
    text = "a " * words.TEXT_CHARS_MAX + "needle"
    assert "needle" not in words.tokens(text)
