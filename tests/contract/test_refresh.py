"""One thread brought up to date by what was written since: as if its rollout had been read whole."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import holdfast
from holdfast.ingest import rules
from homes import NOON_MS, iso, thread_id

GIT = {"commit_hash": "aaaa", "branch": "main"}


def written(number, ms, kind, payload):
    return json.dumps({"timestamp": iso(ms), "ordinal": number, "type": kind, "payload": payload}) + "\n"


EVENTS = st.sampled_from(
    [
        ("event_msg", {"type": "user_message", "message": "first words"}),
        ("event_msg", {"type": "user_message", "message": "", "images": ["x"]}),
        ("event_msg", {"type": "task_started", "turn_id": "t"}),
        ("event_msg", {"type": "token_count", "info": {"total_token_usage": {"total_tokens": 7}}}),
        ("event_msg", {"type": "thread_name_updated", "thread_name": "named inside"}),
        ("event_msg", {"type": "thread_goal_updated", "goal": {"objective": "a goal"}}),
        ("turn_context", {"cwd": "/srv/x", "model": "m", "effort": "high", "approval_policy": "never"}),
        ("session_meta", {"id": "MINE", "git": GIT, "memory_mode": "polluted"}),
        ("session_meta", {"id": "MINE", "dynamic_tools": [{"name": "late"}]}),
        ("session_meta", {"id": thread_id(999), "git": {"branch": "of another"}}),
        ("response_item", {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "ü"}]}),
        ("of_the_future", {}),
        ("event_msg", "no object"),
    ]
)


@pytest.fixture
def made(make_home, open_state, monkeypatch):
    monkeypatch.setattr(rules, "RESUME_BYTES_MIN", 1)  # as if every file were long: each goes on where it was
    home = make_home()
    home.thread("another thread")
    return home, open_state(home)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(EVENTS, max_size=12), data=st.data())
def test_live_incremental_and_full_reading_agree_wherever_the_file_was_cut(made, tmp_path, events, data):
    home, state = made
    id = home.thread(id=thread_id(100 + home.numbers), more={"cwd": None})
    file = home.file(id)
    text = (
        file.read_bytes()
        + "".join(
            written(n, NOON_MS + n * 1_000, kind, {**payload, "id": id} if "MINE" in str(payload) else payload)
            if isinstance(payload, dict)
            else written(n, NOON_MS, kind, payload)
            for n, (kind, payload) in enumerate(events, start=1)
        ).encode()
    )
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=4))
    with holdfast.peek(home, state_dir=tmp_path / "none") as files:
        for end in [*sorted(cuts), len(text)]:
            # Appended, as a writer does: the file keeps its inode.
            home.change(lambda end=end: _grow(file, text[:end]))
            assert state.threads.refresh(id) == files.threads.get(id)
    tools = state.threads.tools(id)
    state.index(full=True)
    assert (state.threads.get(id), state.threads.tools(id)) == (files.threads.get(id), tools)


def _grow(file, content):
    had = file.read_bytes()
    with file.open("r+b") as out:
        if not content.startswith(had):
            out.truncate(0)
            had = b""
        out.seek(len(had))
        out.write(content[len(had) :])
    os.utime(file, ns=(file.stat().st_mtime_ns + 1_000_000,) * 2)


def test_nothing_new_writes_nothing(made):
    home, state = made
    id = home.thread("words")
    state.index()
    before = state.engine.status().transactions

    assert state.threads.refresh("words").id == id

    assert state.engine.status().transactions == before


def test_only_what_was_appended_is_read(made, monkeypatch):
    from holdfast.ingest import reading

    home, state = made
    id = home.thread("words " * 1_000)
    state.index()
    asked = []
    scan_many = reading.scan_many
    monkeypatch.setattr(reading, "scan_many", lambda requests, **more: scan_many(_noted(requests, asked), **more))
    size = home.file(id).stat().st_size
    home.append(id, "more")

    assert state.threads.refresh(id).updated_at_ms == NOON_MS + 60_000

    assert [request.offset for request in asked] == [size]


def _noted(requests, asked):
    for request in requests:
        asked.append(request)
        yield request


def test_a_refresh_finds_a_thread_that_moved_or_is_new_and_says_of_what_is_gone_what_is_known(made):
    home, state = made
    id = home.thread("new")
    assert state.threads.refresh(id).title == "new"
    home.move(id, "archived_sessions")
    assert state.threads.refresh(id).archived
    home.delete(id)
    assert state.threads.refresh(id).title == "new"
    assert state.threads.refresh("no such thread") is None
    state.chores.close()
    assert state.threads.get(id).missing_since_ms is not None


def test_inside_a_transaction_a_refresh_is_refused(made):
    _, state = made
    with state.write() as tx, pytest.raises(holdfast.Refused, match="transactions of its own"):
        state.threads.within(tx).refresh("another thread")


# --- how far an index is ----------------------------------------------------------------------


def test_a_backfill_is_pending_running_and_complete(make_home, open_state, where, tmp_path):
    home = make_home()
    for number in range(70):
        home.thread(f"words {number}")
    with holdfast.peek(home, **where) as peeked:
        (seen,) = peeked.backfill()
        assert (seen.status, seen.files_done, seen.files, seen.last_completed_ms, seen.by) == (
            "pending",
            0,
            None,
            None,
            None,
        )
    during = []

    def look(progress):
        with holdfast.peek(home, **where) as other:
            during.extend(other.backfill())

    state = open_state(home, on_progress=look)

    assert {each.status for each in during} == {"running"}
    assert all(each.by for each in during)
    (after,) = state.backfill()
    assert (after.status, after.files_done, after.files, after.by) == ("complete", 70, 70, None)
    assert after.last_completed_ms is not None


@pytest.mark.parametrize("note", ["", "x", "41", "41 %", "41 %, 820 of 2000 files", "9999 %"])
def test_whatever_a_hold_says_it_says_how_far_an_index_is(note):
    noted = rules.progress_of(note)
    assert (noted.percent, noted.files_done, noted.files) == {
        "41 %": (41, 0, 0),
        "41 %, 820 of 2000 files": (41, 820, 2000),
    }.get(note, (0, 0, 0))
