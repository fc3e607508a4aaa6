"""Kinds, watermarks and lists of kinds that make no sense are refused when they are made, and say why."""

import pytest

from holdfast.errors import Refused
from holdfast.jobs import Kind, Watermark
from holdfast.jobs.model import kinds_of

NAN = float("nan")


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ({"name": ""}, "1 to 100 characters"),
        ({"name": "x" * 101}, "1 to 100 characters"),
        ({"name": 5}, "is a text, not 5"),
        ({"name": None}, "is a text, not None"),
        ({"name": "a\0b"}, "NUL"),
        ({"name": "a\ud800"}, "lone surrogate"),
        ({"lease_ms": 0}, "lease_ms is a whole number from 1"),
        ({"lease_ms": -5}, "not -5"),
        ({"lease_ms": NAN}, "not nan"),
        ({"lease_ms": 0.5}, "not 0.5"),
        ({"lease_ms": "60"}, "not '60'"),
        ({"lease_ms": True}, "not True"),
        ({"lease_ms": 1 << 63}, "lease_ms is a whole number"),
        ({"attempts_max": 0}, "attempts_max is a whole number from 1"),
        ({"running_max": -1}, "running_max is a whole number from 0"),
        ({"backoff_ms": -1}, "backoff_ms is a whole number from 0"),
        ({"backoff_max_ms": NAN}, "backoff_max_ms is a whole number from 0"),
        ({"on_failure": "shrug"}, "on_failure is 'retry' or 'terminal', not 'shrug'"),
    ],
)
def test_a_kind_that_makes_no_sense_is_refused_when_it_is_made(words, what):
    with pytest.raises(Refused) as refused:
        Kind(**{"name": "k", **words})
    assert what in str(refused.value)


@pytest.mark.parametrize("words", [(-1,), (NAN,), (1.5,), ("9",), (None,), (1 << 63,), (1, None), (1, "a\0b")])
def test_a_watermark_that_makes_no_sense_is_refused_when_it_is_made(words):
    with pytest.raises(Refused, match="a watermark's"):
        Watermark(*words)


@pytest.mark.parametrize("kinds", ["abc", Kind("abc"), 5, None])
def test_what_is_no_list_of_kinds_is_refused_with_the_list_it_should_be(kinds):
    with pytest.raises(Refused) as refused:
        kinds_of(kinds)
    assert repr(kinds) in refused.value.remedy


def test_no_kinds_are_refused():
    with pytest.raises(Refused, match="no kind"):
        kinds_of([])
