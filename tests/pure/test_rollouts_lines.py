from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from holdfast.rollouts.lines import Cutter, split

texts = st.lists(st.binary(max_size=12).map(lambda b: b.replace(b"\n", b"")), max_size=12)
cuts = st.lists(st.integers(0, 200), max_size=12)


def in_pieces(stream: bytes, at: list[int]) -> list[bytes]:
    places = sorted({0, len(stream), *(place for place in at if place < len(stream))})
    return [stream[a:b] for a, b in pairwise(places)]


def all_lines(cutter: Cutter, pieces: list[bytes]) -> list[tuple[bytes, int]]:
    found = []
    for piece in pieces:
        block = cutter.feed(piece)
        found += split(block, cutter.offset - len(block))
    return found


@given(texts, st.binary(max_size=9).map(lambda b: b.replace(b"\n", b"")), cuts)
def test_where_a_stream_is_cut_never_changes_its_lines(lines, tail, at):
    stream = b"".join(line + b"\n" for line in lines) + tail
    cutter = Cutter()

    found = all_lines(cutter, in_pieces(stream, at))

    assert [line for line, _ in found] == lines
    assert [stream[:end].rpartition(b"\n")[0].rpartition(b"\n")[2] for _, end in found] == lines
    assert cutter.tail() == tail
    assert (cutter.offset, cutter.tail_bytes) == (len(stream) - len(tail), len(tail))


@given(texts, cuts)
def test_a_line_that_is_too_long_is_passed_over_and_named_wherever_the_stream_is_cut(lines, at):
    stream = b"".join(line + b"\n" for line in lines)
    cutter = Cutter(line_bytes_max=5)

    kept = b"".join(cutter.feed(piece) for piece in in_pieces(stream, at))

    assert kept == b"".join(line + b"\n" for line in lines if len(line) <= 5)
    assert cutter.offset == len(stream)
    assert [(stream[a : a + n], stream[a + n : a + n + 1]) for a, n in cutter.too_long] == [
        (line, b"\n") for line in lines if len(line) > 5
    ]


def test_a_line_that_never_ends_takes_no_memory():
    cutter = Cutter(line_bytes_max=1000)
    for _ in range(1000):
        assert cutter.feed(b"x" * 1000) == b""

    assert cutter.tail_bytes == 1_000_000
    assert len(cutter.tail()) < 100_000


def test_half_a_line_is_never_given_out():
    cutter = Cutter()

    assert cutter.feed(b'{"a":1}\n{"b"') == b'{"a":1}\n'
    assert cutter.feed(b":2}") == b""
    assert cutter.feed(b"\n") == b'{"b":2}\n'


def test_counting_goes_on_from_an_offset():
    cutter = Cutter(offset=100)

    block = cutter.feed(b"ab\ncd\n")

    assert list(split(block, cutter.offset - len(block))) == [(b"ab", 103), (b"cd", 106)]
