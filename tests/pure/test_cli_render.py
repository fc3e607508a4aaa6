"""Words, ages and safe text: what people and terminals are given."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.cli.render import safe, words

ANYTHING = st.text(st.characters(codec=None), max_size=80)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain words", "plain words"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]8;;http://a\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b2Jx", "x"),
        ("a\x00b\x7fc", "a\ufffdb\ufffdc"),
        ("ab\u202ecd\u202c", "abcd"),
        ("10 %\r20 %", "10 %\n20 %"),
        ("a\tb", "a   b"),
        ("👩‍💻 日本語", "👩‍💻 日本語"),
        ("\x1b]0;never ends", "0;never ends"),
    ],
)
def test_what_a_terminal_would_obey_is_taken_out(raw, shown):
    assert safe.block(raw) == shown


@given(ANYTHING)
def test_no_text_whatever_leaves_a_control_character(text):
    block = safe.block(text).replace("\n", "")

    assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 or 0xD800 <= ord(letter) < 0xE000 for letter in block)
    assert "\n" not in safe.line(text)
    assert "\t" not in safe.line(text)


@given(ANYTHING, st.booleans())
def test_safe_json_is_the_same_document(text, ascii_only):
    document = safe.json_text(json.dumps({"text": text}, ensure_ascii=False), ascii_only=ascii_only)

    assert json.loads(document)["text"] == json.loads(json.dumps({"text": text}))["text"]
    assert not any(0x7F <= ord(letter) < 0xA0 for letter in document)
    assert document.isascii() or not ascii_only


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "now"),
        (0, "now"),
        (59, "59s"),
        (60, "1m"),
        (7_199, "1h"),
        (86_400, "1d"),
        (13 * 86_400, "1w"),
        (800 * 86_400, "2y"),
    ],
)
def test_an_age_is_its_largest_whole_unit(seconds, shown):
    assert words.age(1_000_000, 1_000_000 + seconds * 1_000) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (219 << 30, "219.0 GiB"), (1 << 60, "1048576.0 TiB")],
)
def test_a_size_has_a_unit(count, shown):
    assert words.size(count) == shown


def test_the_end_of_a_path_is_what_tells_it_apart():
    assert words.tail("/srv/a", 20) == "/srv/a"
    assert words.tail("/srv/projects/holdfast/src", 16) == "…/holdfast/src"
    assert len(words.tail("/srv/" + "x" * 100, 16)) == 16


def test_a_time_nobody_can_name_is_a_question_mark():
    assert (words.utc(10**18), words.local(-(10**18))) == ("?", "?")
