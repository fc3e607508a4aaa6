"""Snippets: one line, about 160 characters, with the matches where they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.search import rules, snippets


def shown(text, asked):
    snippet, matches = snippets.cut(text, snippets.found_in(text, rules.parse(asked)))
    return snippet, [snippet[begin:end] for begin, end in matches]


@pytest.mark.parametrize(
    ("text", "asked", "expected"),
    [
        ("a needle here", "needle", ["needle"]),
        ("Needle, NEEDLE", "needle", ["Needle", "NEEDLE"]),
        ("needles needle", "needle", ["needle"]),
        ("needles needle", "needle*", ["needles", "needle"]),
        ("see open.py, open py", "open.py", ["open.py", "open py"]),
        ("un café", "cafe", ["café"]),
        ("un cafe\u0301 noir", "café", ["cafe"]),
        ("die straße", "STRASSE", ["straße"]),
        ("ﬁn", "fin", ["ﬁn"]),
        ("試す漢字変換です", "漢字", ["漢字"]),
        ("試す漢字変換です", "字変換", ["字変換"]),
        ("漢open字", "open", ["open"]),
        ("one two one", "two one", ["one", "two", "one"]),
    ],
)
def test_matches_are_marked(text, asked, expected):
    assert shown(text, asked)[1] == expected


def test_white_space_and_control_characters_become_single_spaces():
    assert shown("\x1b[31mred\x1b[0m\r\n\t needle \u2028 x ", "needle") == ("[31mred [0m needle x", ["needle"])


def test_a_long_text_is_cut_between_words():
    snippet, _ = shown("alpha " * 100 + "needle " + "omega " * 100, "needle")
    assert snippet.startswith("…alpha ")
    assert snippet.endswith(" omega…")
    assert len(snippet) <= snippets.SNIPPET_CHARS + 2


@given(st.text(), st.text("ab é漢字ﬁ", min_size=1, max_size=6))
def test_matches_lie_in_the_snippet(text, asked):
    text = f"{text} {asked} {text}"
    try:
        pieces = rules.parse(asked)
    except rules.Refused:
        return
    snippet, matches = snippets.cut(text, snippets.found_in(text, pieces))
    assert snippet.isprintable() or not snippet
    assert all(0 <= begin < end <= len(snippet) for begin, end in matches)
    assert list(matches) == sorted(matches)
    assert matches
