"""`state.compress`: the own home made small, the index right in the same call, threads being written left alone."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from contract_helpers import only_sqlite

import holdfast
from holdfast import Refused

CWD = "/src/widget"


@pytest.fixture
def own(open_state, tmp_path):
    def open_own(*homes, **options):
        return open_state(*homes, own=tmp_path / "own", **options)

    return open_own


def said(state, text, *, cold=True):
    with state.threads.create(cwd=CWD, sync="never") as live, live.turn(model="gpt-5") as turn:
        live.append(turn.user_message(text))
        for number in range(50):
            live.append(turn.assistant_message(f"{number} of the same words again and again"))
    if cold:
        os.utime(live.path, (1, 1))
    return live


def spellings(folder):
    return sorted(path.name.partition(".")[2] for path in Path(folder).rglob("rollout-*"))


@only_sqlite("words are searched in a directory")
def test_the_index_knows_at_once_and_every_answer_is_as_before(own):
    state = own(search=True)
    threads = [said(state, f"needle{number}") for number in range(3)]
    state.index()
    state.wait_for_search()
    before = state.threads.list().threads
    revision = state.engine.status().groups
    seen = []

    (report,) = state.compress(on_progress=seen.append)

    assert (report.outcomes, report.notes) == ({"compressed": 3}, ())
    assert [(each.files_done, each.files, each.file.outcome) for each in seen] == [
        (at, 3, "compressed") for at in (1, 2, 3)
    ]
    assert report.bytes_after < report.bytes_before / 2
    assert state.engine.status().groups - revision == 1, "one write for all of them"
    assert spellings(state.own_home.path) == ["jsonl.zst"] * 3
    assert state.index()[0].indexed == 0
    assert state.threads.list().threads == before
    assert [hit.thread.id for hit in state.threads.search("needle1").hits] == [threads[1].id]
    state.index(full=True)
    assert state.threads.list().threads == before
    with state.threads.resume(threads[0].id) as again:
        assert again.next_ordinal == threads[0].next_ordinal


def test_a_thread_that_is_being_written_is_left_out_and_named(own):
    state = own()
    said(state, "over")
    live = state.threads.create(cwd=CWD)
    live.persist()
    os.utime(live.path, (1, 1))
    (dry,) = state.compress(dry_run=True)
    assert sorted(dry.outcomes) == ["busy", "cold"]
    (report,) = state.compress()
    (busy,) = [each for each in report.files if each.outcome == "busy"]
    assert live.id in busy.path
    assert "this process" in busy.detail
    live.append({"type": "event_msg", "payload": {"type": "thread_name_updated", "thread_name": "still written"}})
    assert state.threads.get(live.id).name == "still written"


def test_what_was_written_since_it_was_folded_is_folded_in_the_same_call(own):
    state = own()
    live = said(state, "first words")
    with open(live.path, "ab") as file:  # by an old agent, say
        file.write(b'{"timestamp":"2026-11-21T12:00:00.000Z","ordinal":105,"type":"event_msg",'
                   b'"payload":{"type":"thread_name_updated","thread_name":"by another"}}\n')  # fmt: skip
    os.utime(live.path, (1, 1))
    (report,) = state.compress()
    assert report.outcomes == {"compressed": 1}
    assert state.threads.get(live.id).name == "by another"
    assert state.index()[0].indexed == 0


def test_other_homes_only_when_asked_and_it_can_be_stopped(own, make_home, open_state, where):
    home = make_home()
    home.id = home.thread("their words")
    state = own(home)
    said(state, "own words")
    (file,) = Path(home.path).rglob("rollout-*")
    home.change(lambda: os.utime(file, (1, 1)))
    assert [report.home for report in state.compress(older_than_s=60, dry_run=True)] == [state.own_home.path]
    assert {report.home for report in state.compress(in_home=True, dry_run=True)} == {str(home), state.own_home.path}
    stop = threading.Event()
    stop.set()
    (report,) = state.compress(in_home=True, stop=stop)
    assert (report.stopped, report.outcomes) == (True, {})

    theirs = open_state(home)
    with pytest.raises(Refused, match="no home of its own"):
        theirs.compress()
    with pytest.raises(Refused, match="seconds"):
        state.compress(older_than_s=-1)
    with holdfast.peek(home, **where) as peeked, pytest.raises(Refused, match="peek"):
        peeked.compress(in_home=True)
