"""`state.logs`: the log in the state directory, read by whoever has a handle, also one that only looks."""

from __future__ import annotations

import os
import threading

import pytest
from log_segments import Segment, record

import holdfast
from holdfast.errors import Refused
from holdfast.logs.matching import LogQuery


@pytest.fixture
def log(state_dir):
    segment = Segment(state_dir / "logs", "b0-7-1.jsonl.zst")
    segment.write(record("said"), record("failed", level="ERROR"))
    yield segment
    segment.close()


def test_a_state_reads_its_log_by_fields_or_by_a_query(open_state, make_home, log):
    state = open_state(make_home().path)

    assert [one.message for one in state.logs.query()] == ["said", "failed"]
    assert [one.message for one in state.logs.query(min_level="WARN")] == ["failed"]
    assert [one.message for one in state.logs.query(LogQuery(newest_first=True, limit=1))] == ["failed"]
    assert state.logs.max_id(levels=["INFO"]) == state.logs.query()[0].id
    assert state.logs.stats().levels == {"INFO": 1, "ERROR": 1}
    with pytest.raises(TypeError):
        state.logs.query(levle="WARN")
    with pytest.raises(Refused):
        state.logs.query(LogQuery(), limit=3)


def test_a_state_follows_its_log(open_state, make_home, log):
    stop = threading.Event()
    told = open_state(make_home().path).logs.tail(limit=1, stop=stop)

    assert next(told).message == "failed"
    log.write(record("more"))
    assert next(told).message == "more"
    stop.set()
    assert list(told) == []


def test_a_peek_reads_it_too_and_an_open_state_makes_none(open_state, make_home, state_dir):
    home = make_home().path
    state = open_state(home)

    assert state.logs.query() == []
    assert not os.path.exists(state_dir / "logs")
    segment = Segment(state_dir / "logs", "b0-7-1.jsonl.zst")
    segment.write(record("said"))
    segment.close()
    with holdfast.peek(home, state_dir=state_dir) as peeked:
        assert [one.message for one in peeked.logs.query()] == ["said"]
