"""Threads that a program writes itself: the file first, the row in the same step, and both say the same."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from contract_helpers import only_sqlite
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import holdfast
from holdfast import Busy, Refused
from holdfast.rollouts import scan
from homes import thread_id

CWD = "/src/widget"


@pytest.fixture
def own(open_state, tmp_path):
    """A state with a home of its own."""

    def open_own(*homes, **options):
        options.setdefault("refresh", True)
        return open_state(*homes, own=tmp_path / "own", **options)

    return open_own


def message(text="hello"):
    content = [{"type": "output_text", "text": text}]
    return {"type": "response_item", "payload": {"type": "message", "role": "assistant", "content": content}}


def say(live, text, **context):
    with live.turn(model="gpt-5", **context) as turn:
        live.append(turn.user_message(text))


def row(state, live):
    return state.threads.get(live.id)


def folded_again(state, live):
    state.index(full=True)
    return row(state, live)


@pytest.mark.parametrize("mode", ["paginated", "legacy"])
def test_a_thread_is_there_with_its_first_item_and_not_before(own, mode):
    state = own()
    live = state.threads.create(cwd=CWD, source="exec", history_mode=mode, model_provider="local")
    assert not os.path.exists(live.path)
    assert state.threads.list().threads == ()

    with live.turn(model="gpt-5", effort="high") as turn:
        live.append(turn.user_message("fix the failing test"))
        found = row(state, live)

    assert (found.rollout_path, found.title, found.preview) == (live.path, *["fix the failing test"] * 2)
    assert (found.model, found.reasoning_effort, found.source, found.cwd) == ("gpt-5", "high", "exec", CWD)
    assert [thread.id for thread in state.threads.list().threads] == [live.id]


@pytest.mark.parametrize("mode", ["paginated", "legacy"])
def test_what_is_written_is_read_again_as_a_conversation(own, mode):
    state = own()
    with state.threads.create(cwd=CWD, history_mode=mode) as live:
        with live.turn(model="gpt-5") as turn:
            live.append(turn.user_message("what is 6 x 7?"))
            live.append(turn.assistant_message("42"))
        with pytest.raises(ZeroDivisionError), live.turn(model="gpt-5") as turn:
            live.append(turn.user_message("and 6 / 0?"))
            raise ZeroDivisionError

    turns = state.threads.read(live.id).turns
    assert [turn.status for turn in turns] == ["completed", "interrupted"]
    assert [words.text for words in turns[0].entries if hasattr(words, "role")] == ["what is 6 x 7?", "42"]


def test_a_thread_that_never_said_anything_leaves_nothing(own, tmp_path):
    state = own()
    with state.threads.create(cwd=CWD) as live:
        live.flush()

    assert row(state, live) is None
    assert not any(name.endswith(".jsonl") for _, _, names in os.walk(tmp_path / "own") for name in names)
    with pytest.raises(Refused, match="closed"):
        live.append(message())


ITEMS = st.lists(
    st.one_of(
        st.just(message()),
        st.builds(lambda text: ("user", text), st.text(max_size=20)),
        st.just(("turn",)),
        st.builds(
            lambda total: {
                "type": "event_msg",
                "payload": {"type": "token_count", "info": {"total_token_usage": {"total_tokens": total}}},
            },
            st.integers(0, 1 << 40),
        ),
        st.builds(lambda cwd: ("context", f"/src/{cwd}"), st.sampled_from("abc")),
        st.just({"type": "event_msg", "payload": {"type": "thread_name_updated", "thread_name": "given"}}),
        st.just({"type": "of the future", "payload": {}}),
        st.just(("flush",)),
        st.just(("resume",)),
        st.just(("index",)),
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=ITEMS, mode=st.sampled_from(["paginated", "legacy"]))
def test_live_incremental_and_whole_agree(tmp_path_factory, steps, mode):
    folder = tmp_path_factory.mktemp("live")
    with holdfast.open(own=folder / "own", state_dir=folder / "state", search=False) as state:
        live = state.threads.create(cwd=CWD, history_mode=mode, sync="never")
        live.persist()
        maker = holdfast.rollouts.Turn(live.id, history_mode=mode)
        for step in steps:
            match step:
                case dict():
                    live.append(step)
                case ("user", text):
                    live.append(maker.user_message(text))
                case ("turn",):
                    live.append(maker.started())
                case ("context", cwd):
                    live.append(maker.context(cwd=cwd, model="m", effort=cwd))
                case ("flush",):
                    live.flush()
                case ("index",):
                    state.index()
                case ("resume",):
                    live.close()
                    live = state.threads.resume(live.id, sync="never")
        live.flush()
        assert live.behind == ""
        now = row(state, live)
        assert now == folded_again(state, live)
        assert state.index()[0].indexed == 0, "the ledger knows all that was written"


def test_the_row_follows_at_once_when_people_would_see_it_and_seldom_when_not(own):
    state = own()
    live = state.threads.create(cwd=CWD, sync="never")
    say(live, "a question")
    commits = state.engine.status().groups
    for _ in range(200):
        live.append(message())
    assert state.engine.status().groups - commits <= 2

    live.append({"type": "event_msg", "payload": {"type": "thread_name_updated", "thread_name": "at once"}})
    assert row(state, live).name == "at once"
    assert row(state, live).updated_at_ms == scan(live.path).facts.updated_ms


def test_only_one_writes_a_thread(own):
    state = own()
    live = state.threads.create(cwd=CWD)
    say(live, "mine")
    with pytest.raises(Busy, match=f"pid {os.getpid()}"):
        state.threads.resume(live.id)
    live.close()
    with state.threads.resume(live.id) as again:
        assert again.next_ordinal == live.next_ordinal


def test_going_on_moves_nothing_until_there_is_an_item(own):
    state = own()
    with state.threads.create(cwd=CWD) as live:
        say(live, "first words")
    before = row(state, live)
    revision = state.engine.status().groups
    with state.threads.resume(live.id):
        pass
    assert row(state, live) == before
    assert state.engine.status().groups == revision

    with state.threads.resume(live.id) as again:
        say(again, "more words")
    after = row(state, live)
    assert after.title == "first words"
    assert after.updated_at_ms > before.updated_at_ms


def test_a_name_somebody_gave_stays(own):
    state = own()
    with state.threads.create(cwd=CWD) as live:
        say(live, "first words")
        state.threads.rename(live.id, "the name")
        say(live, "more words")
        assert row(state, live).name == "the name"


def test_names_of_the_homes_file_count_at_once(own, tmp_path):
    state = own()
    with state.threads.create(cwd=CWD) as live:
        say(live, "first words")
        (tmp_path / "own" / "session_index.jsonl").write_text(f'{{"id":"{live.id}","thread_name":"in the file"}}\n')
        say(live, "more")
        assert row(state, live).name == "in the file"


def test_a_fork_in_the_own_home_points_at_its_origin(own):
    state = own()
    with state.threads.create(cwd=CWD, model_provider="local") as live:
        say(live, "first question")
        cut = live.next_ordinal
        say(live, "second question")
    with state.threads.fork(live.id, at=cut) as fork:
        assert (row(state, fork).preview, row(state, fork).model_provider) == ("first question", "local")
        say(fork, "another second question")

    assert row(state, fork).forked_from_id == live.id
    asked = [turn.entries[0].text for turn in state.threads.read(fork.id).turns]
    assert asked == ["first question", "another second question"]
    assert os.path.getsize(fork.path) < os.path.getsize(live.path) + 1_000


@pytest.mark.parametrize("mode", ["paginated", "legacy"])
def test_a_thread_of_another_home_is_forked_by_copying(own, make_home, mode):
    other = make_home()
    other.id = other.thread("their words", paginated=mode == "paginated")
    state = own(other)
    with state.threads.fork(other.id) as fork:
        say(fork, "my words")

    found = row(state, fork)
    assert (found.title, found.forked_from_id) == ("their words", other.id)
    assert found.home == state.own_home.path
    asked = [turn.entries[0].text for turn in state.threads.read(fork.id).turns if turn.asked]
    assert asked == ["their words", "my words"]


def test_recorded_threads_of_every_kind_can_be_forked(own, home):
    state = own(home)
    threads = state.threads.list(limit=100, archived=None).threads
    for origin in threads:
        with state.threads.fork(origin.id) as fork:
            pass
        theirs, ours = state.threads.read(origin.id), state.threads.read(fork.id)
        assert [turn.asked for turn in ours.turns] == [turn.asked for turn in theirs.turns], origin.id
        assert row(state, fork).preview == origin.preview


def test_a_thread_of_another_home_is_not_gone_on_with(own, make_home):
    other = make_home()
    other.id = other.thread("their words")
    state = own(other)
    with pytest.raises(Refused, match="lies in") as refusal:
        state.threads.resume(other.id)
    assert "fork" in refusal.value.remedy
    assert state.threads.resume(thread_id(99)) is None
    assert state.threads.fork(thread_id(99)) is None


def test_without_a_home_of_its_own_nothing_is_written(open_state, make_home):
    home = make_home()
    home.thread("words")
    state = open_state(home)
    with pytest.raises(Refused, match="no home of its own") as refusal:
        state.threads.create(cwd=CWD)
    assert "own=" in refusal.value.remedy


def test_closing_the_state_closes_its_threads(own):
    state = own()
    live = state.threads.create(cwd=CWD, sync="never")
    say(live, "first words")
    for _ in range(10):
        live.append(message())
    state.close()
    assert live.closed

    state = own()
    assert state.reports[0].indexed == 0, "its row was up to date"
    with state.threads.resume(live.id) as again:
        assert again.next_ordinal == live.next_ordinal


def test_a_torn_line_is_put_aside_before_it_is_cut_off(own, state_dir):
    state = own()
    with state.threads.create(cwd=CWD) as live:
        say(live, "first words")
    whole = Path(live.path).read_bytes()
    with open(live.path, "ab") as file:
        file.write(b'{"timestamp":"2026-11-21T12:00:00.000Z","ord')
    state.index()

    with state.threads.resume(live.id) as again:
        assert again.cut_bytes == 44
        assert Path(live.path).read_bytes() == whole
        say(again, "more words")
    [kept] = (state_dir / "backups").glob("torn-*")
    assert kept.read_bytes().startswith(b'{"timestamp"')
    assert kept.stat().st_size == 44
    assert row(state, live) == folded_again(state, live)
    assert row(state, live).lines_unread == 0


def test_a_row_that_cannot_be_written_now_follows_later(own):
    state = own()
    live = state.threads.create(cwd=CWD)
    with state.write():  # a write inside a write of this thread is refused
        say(live, "first words")
        assert "write" in live.behind
        assert scan(live.path).facts.title == "first words"
        assert row(state, live) is None
    live.flush()
    assert (live.behind, row(state, live).title) == ("", "first words")


def test_an_index_that_read_the_file_earlier_gives_way(own, monkeypatch):
    """What it read is older than what the row says by the time it writes."""
    state = own()
    live = state.threads.create(cwd=CWD)
    say(live, "first words")
    from holdfast.ingest.indexing import Indexing

    flush = Indexing._flush

    def meanwhile(self, batch, known):
        live.append({"type": "event_msg", "payload": {"type": "thread_name_updated", "thread_name": "newer"}})
        flush(self, batch, known)

    monkeypatch.setattr(Indexing, "_flush", meanwhile)
    state.index(full=True)

    assert row(state, live).name == "newer"
    monkeypatch.undo()
    assert state.index()[0].indexed == 0
    assert row(state, live) == msgspec.structs.replace(folded_again(state, live))


@only_sqlite("words are searched in a directory")
def test_words_that_were_written_are_found(own):
    state = own(search=True)
    with state.threads.create(cwd=CWD) as live:
        say(live, "the needle-zebra question")
        state.chores.close()
        state.wait_for_search()
    assert [hit.thread.id for hit in state.threads.search('"needle-zebra"').hits] == [live.id]
