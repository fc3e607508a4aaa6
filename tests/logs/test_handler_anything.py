"""Whatever is logged: nothing is raised, and every record is stored, counted as repeated or counted as dropped."""

from __future__ import annotations

import datetime
import logging
import math

from hypothesis import given, settings
from hypothesis import strategies as st
from log_writers import Lines

from holdfast.logs import LogHandler


class Hostile:
    """An object whose every text is trouble of one kind."""

    def __init__(self, trouble):
        self.trouble = trouble

    def __str__(self):
        if self.trouble == "no text":
            return 7
        if self.trouble == "logs":
            logging.getLogger("elsewhere").debug("inside")
            return "said"
        raise {"raises": ValueError("no"), "memory": MemoryError(), "stack": RecursionError()}[self.trouble]

    __repr__ = __str__
    __hash__ = object.__hash__

    def __format__(self, spec):
        return self.__str__()

    def __eq__(self, other):
        raise ValueError("not to be compared")

    def __bool__(self):
        raise ValueError("neither")

    def __reduce__(self):
        raise ValueError("not to be copied")


def cyclic():
    loop: dict = {}
    loop["self"] = loop
    return loop


def nested():
    deep: dict = {}
    for _ in range(10_000):
        deep = {"in": deep}
    return deep


hostile = st.sampled_from(["no text", "logs", "raises", "memory", "stack"]).map(Hostile)
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(codec=None), max_size=20),  # lone surrogates and NUL among them
    st.binary(max_size=20),
    st.sampled_from([math.nan, math.inf, 10**5_000, "\ud800", "\0", "x" * 100_000, datetime.datetime.max, object]),
    st.builds(cyclic),
    st.builds(nested),
    hostile,
)
messages = st.one_of(st.sampled_from(["same", "%s", "%d", "%s %s", "%(a)s", "%", "%n"]), values)
calls = st.tuples(
    st.sampled_from([1, 5, 10, 20, 30, 40, 50, 99]),
    messages,
    st.lists(values, max_size=3),
    st.none() | st.dictionaries(st.sampled_from(["a", "thread_id", "trace_id", "fields", "id", "\ud800"]), values),
    st.sampled_from([None, False, True, ValueError("an error"), (None, None, None)]),
    st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(calls, max_size=20))
def test_whatever_is_logged_is_stored_or_counted_exactly_once(given_calls):
    lines = Lines()
    handler = LogHandler(lambda: lines, level=1)
    logger = logging.Logger("anything", level=1)
    logger.addHandler(handler)
    for level, message, args, extra, exc_info, stack_info in given_calls:
        # Without the arguments: a LogRecord itself asks a single one whether it is true, before any handler.
        record = logger.makeRecord("anything", level, __file__, 1, message, (), None, extra=extra)
        record.args = tuple(args)
        record.exc_info = exc_info
        record.stack_info = "a stack" if stack_info else None
        logger.handle(record)
    handler.close()

    stats = handler.stats()
    dropped = sum(n for levels in stats.dropped.values() for n in levels.values())
    assert stats.given == len(given_calls) == stats.written + stats.repeats + dropped
    assert len(lines.host) == stats.written
