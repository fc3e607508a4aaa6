"""What happens to files happens to threads: the index after any change is the index made anew."""

from __future__ import annotations

import json
import os
import tempfile
from functools import cache
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import holdfast
from engines import open_engine
from holdfast.ingest.rules import RESUME_BYTES_MIN
from holdfast.rollouts import ThreadFacts
from homes import NOON_MS, MadeHome, iso, line, seen, thread_id
from rows import findings, statement

DERIVED = """
SELECT h.path AS home, f.path, f.zst, f.size, f.offset AS "offset", f.status, f.thread_id AS file_thread_id, t.*
FROM threads t JOIN files f ON f.file_id = t.file_id JOIN homes h ON h.home_id = t.home_id
ORDER BY t.thread_id
"""
OF_THE_MOMENT = ("n", "file_id", "revision", "home_id", "missing_since_ms")
"""Columns of ``threads`` that depend on when rows were made."""


def columns(kept):
    """Return every column of every thread, labels as texts: what two indexes must agree on."""
    with open_engine(kept) as store, store.read() as tx:
        labels = {row["label_id"]: row["label"] for row in tx.rows(statement("SELECT * FROM labels"))}
        found = []
        for row in tx.rows(statement(DERIVED)):
            values = {name: value for name, value in row.items() if name not in OF_THE_MOMENT}
            values |= {name: labels.get(values[name]) for name in values if name.endswith("_id") and name in LABELS}
            values["missing"] = row["missing_since_ms"] is not None
            found.append(values)
        return found


LABELS = {
    *("source_kind_id", "thread_source_id", "provider_id", "model_id", "effort_id", "cwd_id", "cli_version_id"),
    *("originator_id", "sandbox_policy_id", "approval_mode_id", "memory_mode_id", "history_mode_id"),
    *("agent_role_id", "agent_path_id", "git_branch_id", "git_origin_url_id"),
}


def afresh(home):
    """Return the columns of an index of ``home`` made this moment, in a state of its own."""
    with tempfile.TemporaryDirectory() as folder:
        holdfast.open(home, state_dir=folder, search=False).close()
        return columns(f"{folder}/state.db")


def facts_of(kept):
    """Return what is kept of each long file, to go on from."""
    with open_engine(kept) as store, store.read() as tx:
        kept = tx.rows(statement("SELECT path, facts FROM files ORDER BY path"))
    return {row["path"]: row["facts"] and msgspec.msgpack.decode(row["facts"], type=ThreadFacts) for row in kept}


def facts_of_new(home):
    with tempfile.TemporaryDirectory() as folder:
        holdfast.open(home, state_dir=folder, search=False).close()
        return facts_of(f"{folder}/state.db")


def files_on_disk(folder):
    return {path.name: path.read_bytes() for path in sorted(Path(folder).glob("state.db*"))}


@pytest.fixture
def one(make_home, open_state):
    home: MadeHome = make_home()
    home.id = home.thread("first words")
    return home, open_state(home)


# --- growing ---------------------------------------------------------------------------


def test_a_file_that_grew_is_read_again_and_its_thread_moves_up(one, kept):
    home, state = one
    home.append(home.id, "later words", ms=NOON_MS + 77_000)

    (report,) = state.index()

    assert (report.indexed, report.unchanged, report.threads) == (1, 0, 1)
    assert state.threads.get(home.id).updated_at_ms == NOON_MS + 77_000
    assert state.threads.get(home.id).title == "first words"
    assert columns(kept) == afresh(home)


def test_a_long_file_that_grew_is_read_from_where_it_ended(one, kept):
    home, state = one
    home.append(home.id, "long words " * (RESUME_BYTES_MIN // 10))
    (long_read,) = state.index()
    assert long_read.indexed == 1
    # What was read is not read again, so damage to it goes unseen until somebody asks for a full index.
    file = home.file(home.id)
    whole = file.read_bytes()
    times = file.stat()
    home.write(file, whole.replace(b"first words", b"other words"))
    assert file.stat().st_ino == times.st_ino
    home.append(home.id, "and more", ms=NOON_MS + 88_000)

    state.index()

    thread = state.threads.get(home.id)
    assert (thread.title, thread.updated_at_ms) == ("first words", NOON_MS + 88_000)
    state.index(full=True)
    assert state.threads.get(home.id).title == "other words"
    assert columns(kept) == afresh(home)


@pytest.mark.parametrize("size", [0, RESUME_BYTES_MIN], ids=["short", "long"])
def test_a_last_line_without_its_newline_counts_once_whatever_follows(one, kept, size):
    home, state = one
    home.append(home.id, "x" * size)
    state.index()
    turn = json.dumps({"timestamp": iso(NOON_MS + 10_000), "type": "event_msg", "payload": {"type": "task_started"}})
    home.change(lambda: _append(home.file(home.id), turn))
    state.index()
    assert state.threads.get(home.id).updated_at_ms == NOON_MS + 10_000
    assert columns(kept) == afresh(home)
    home.change(lambda: _append(home.file(home.id), "\n" + line(NOON_MS + 20_000, "the next")))
    state.index()
    assert state.threads.get(home.id).updated_at_ms == NOON_MS + 20_000
    assert columns(kept) == afresh(home)
    assert facts_of(kept) == facts_of_new(home)


def test_half_a_line_is_waited_for(one, kept):
    home, state = one
    whole = line(NOON_MS + 30_000, "in two pieces")
    home.change(lambda: _append(home.file(home.id), whole[:40]))
    (report,) = state.index()
    assert [problem.code for problem in report.problems] == ["tail-torn"]
    assert state.threads.get(home.id).updated_at_ms == NOON_MS + 1_000
    home.change(lambda: _append(home.file(home.id), whole[40:]))
    (report,) = state.index()
    assert report.problems == ()
    assert state.threads.get(home.id).updated_at_ms == NOON_MS + 30_000
    assert columns(kept) == afresh(home)


def test_a_file_that_was_cut_shorter_is_read_whole(one, kept):
    home, state = one
    short = home.file(home.id).read_bytes()
    home.append(home.id, "long words " * (RESUME_BYTES_MIN // 10))
    state.index()
    home.write(home.file(home.id), short)

    state.index()

    assert state.threads.get(home.id).updated_at_ms == NOON_MS + 1_000
    assert columns(kept) == afresh(home)


@cache
def recorded(version):
    with tempfile.TemporaryDirectory() as folder:
        home = MadeHome.recorded(version, Path(folder))
        files = sorted(home.files(), key=lambda file: file.stat().st_size)
        return [(str(file.relative_to(home.path)), file.read_bytes()) for file in (files[-1], files[len(files) // 2])]


@pytest.mark.parametrize("which", [0, 1], ids=["long", "short"])
@pytest.mark.parametrize("version", ["0.141", "0.169"])
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_live_incremental_and_full_agree_wherever_a_rollout_was_cut(version, which, data):
    path, content = recorded(version)[which]
    cuts = data.draw(st.lists(st.integers(1, len(content) - 1), min_size=1, max_size=4).map(sorted))
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        file = home / path
        file.parent.mkdir(parents=True)
        with holdfast.open(_existing(home), state_dir=f"{folder}/live", search=False) as state:
            for begin, end in zip([0, *cuts], [*cuts, len(content)], strict=True):
                _append(file, content[begin:end])
                state.index()
        live, facts = columns(f"{folder}/live/state.db"), facts_of(f"{folder}/live/state.db")
        with holdfast.open(home, state_dir=f"{folder}/live", search=False) as state:
            state.index(full=True)

        assert live == columns(f"{folder}/live/state.db") == afresh(home)
        assert facts == facts_of(f"{folder}/live/state.db")
        assert len(live) == 1


# --- nothing new --------------------------------------------------------------------------


def test_with_nothing_new_nothing_is_written(home, open_state, state_dir):
    state = open_state(home)
    before, transactions = files_on_disk(state_dir), state.engine.status().transactions

    for _ in range(3):
        (report,) = state.index()
        with open_state(home):
            pass

    assert (report.indexed, report.unchanged) == (0, len(home.files()))
    assert report.threads == len(home.files())
    assert files_on_disk(state_dir) == before
    assert state.engine.status().transactions == transactions


def test_reading_writes_nothing(home, open_state, state_dir):
    state = open_state(home)
    before, transactions = files_on_disk(state_dir), state.engine.status().transactions

    for thread in state.threads.list(limit=1000, archived=None):
        assert state.threads.get(thread.id) == thread
        assert state.threads.resolve(thread.id) == thread
        assert state.threads.find(thread.id).repair is None
        assert state.threads.read(thread.id).thread == thread
    state.status()

    assert files_on_disk(state_dir) == before
    assert state.engine.status().transactions == transactions


def test_a_touched_file_is_read_again_and_tells_the_same(one, state_dir):
    home, state = one
    before = state.threads.get(home.id)
    home.change(lambda: os.utime(home.file(home.id)))

    (report,) = state.index()

    assert report.indexed == 1
    assert state.threads.get(home.id) == before


# --- coming and going ------------------------------------------------------------------


def test_a_deleted_file_hides_its_thread_and_brings_it_back_when_it_returns(one, kept, tmp_path):
    home, state = one
    state.threads.rename(home.id, "a name")
    place, aside = home.file(home.id), tmp_path / "aside"
    home.change(lambda: place.rename(aside))

    (report,) = state.index()

    assert report.vanished == 1
    assert len(state.threads.list()) == 0
    (hidden,) = state.threads.list(missing=True)
    assert hidden.missing_since_ms is not None
    assert state.threads.get(home.id) == hidden
    (report,) = state.index()
    assert report.vanished == 0  # it is gone, not going
    home.change(lambda: aside.rename(place))
    state.index()
    (back,) = state.threads.list()
    assert (back.missing_since_ms, back.name) == (None, "a name")
    assert columns(kept) == [{**row, "name_said": "a name"} for row in afresh(home)]


def test_a_file_replaced_by_another_thread_gives_both_their_due(make_home, open_state, kept):
    home = make_home()
    ann, bob = home.thread("ann's words"), home.thread("bob's words")
    state = open_state(home)
    state.threads.rename(ann, "ann")
    carol = home.thread("carol's words")
    home.write(home.file(ann), home.file(carol).read_bytes())
    home.delete(carol)

    state.index()

    assert {thread.id for thread in state.threads.list()} == {bob, carol}
    assert state.threads.get(ann).missing_since_ms is not None
    assert state.threads.get(carol).rollout_path == str(home.file(ann))
    assert [row for row in columns(kept) if not row["missing"]] == afresh(home)


def test_a_file_that_could_not_be_read_and_then_holds_another_thread_is_no_longer_the_firsts(
    make_home, open_state, state_dir
):
    home = make_home()
    ann, bob = home.thread("ann's words"), home.thread("bob's words")
    home.pack(ann)
    state = open_state(home)
    packed = home.file(ann)
    home.write(packed, packed.read_bytes()[:20])  # torn: what was known of it stays
    state.index()
    assert state.threads.get(ann).missing_since_ms is None
    content = home.file(bob).read_bytes()
    home.delete(bob)
    home.change(packed.unlink)
    home.write(Path(str(packed).removesuffix(".zst")), content)

    state.index()

    assert [thread.id for thread in state.threads.list()] == [bob]
    assert state.threads.get(ann).missing_since_ms is not None


def test_archived_by_the_agent_and_back(one, kept):
    home, state = one
    home.move(home.id, "archived_sessions")
    mtime_ms = home.file(home.id).stat().st_mtime_ns // 1_000_000
    state.index()
    assert state.threads.list().threads == ()
    (archived,) = state.threads.list(archived=True)
    assert (archived.archived, archived.archived_at_ms) == (True, mtime_ms)
    assert archived.rollout_path == str(home.file(home.id))
    assert columns(kept) == afresh(home)
    home.move(home.id, "sessions/2026/11/21")
    state.index()
    assert not state.threads.get(home.id).archived
    assert columns(kept) == afresh(home)


def test_packed_and_unpacked_it_is_the_same_thread(one, kept):
    home, state = one
    before = state.threads.get(home.id)
    home.pack(home.id)
    (report,) = state.index()
    assert (report.indexed, report.vanished) == (1, 0)
    assert state.threads.get(home.id) == before
    assert columns(kept) == afresh(home)
    home.unpack(home.id)
    state.index()
    assert state.threads.get(home.id) == before
    assert columns(kept) == afresh(home)


def test_forks_of_forks_have_the_words_of_the_first_in_whatever_order_they_come(make_home, open_state, kept):
    home = make_home()
    origin = home.thread("how it all began", paginated=True)
    fork = home.thread("another way", paginated=True, base=(origin, 3))
    of_fork = home.thread("a third way", paginated=True, base=(fork, 6))
    aside = home.path.parent / "aside"
    place = home.file(origin)
    home.change(lambda: place.rename(aside))
    state = open_state(home)
    assert {state.threads.get(id).preview for id in (fork, of_fork)} == {"another way"}

    home.change(lambda: aside.rename(place))
    state.index()

    assert {state.threads.get(id).preview for id in (origin, fork, of_fork)} == {"how it all began"}
    assert state.threads.get(of_fork).title == "a third way"
    assert columns(kept) == afresh(home)


def test_forks_that_go_in_a_circle_end(make_home, open_state):
    home = make_home()
    ids = [thread_id(number) for number in (1, 2, 3)]
    for number, id in enumerate(ids):
        home.thread(f"words {number}", id=id, paginated=True, base=(ids[number - 1], 9 - 3 * number))
    state = open_state(home)
    for _ in range(2):
        state.index(full=True)
    assert len(state.threads.list()) == 3
    assert len(holdfast.peek(home, state_dir=home.path.parent / "none").threads.list()) == 3


# --- copies --------------------------------------------------------------------------------


def test_of_two_copies_the_active_one_speaks_and_when_it_goes_the_other(one, kept):
    home, state = one
    original = home.file(home.id)
    copy = home.copy(home.id, "archived_sessions", also=line(NOON_MS + 99_000, "written into the copy"))

    (report,) = state.index()

    assert (report.duplicates, report.threads) == (1, 1)
    assert state.threads.get(home.id).rollout_path == str(original)
    home.change(original.unlink)
    state.index()
    thread = state.threads.get(home.id)
    assert (thread.rollout_path, thread.archived) == (str(copy), True)
    assert thread.updated_at_ms == NOON_MS + 99_000
    assert columns(kept) == afresh(home)
    home.copy(home.id, "sessions/2026/11/21")
    state.index()
    assert state.threads.get(home.id).rollout_path == str(original)
    assert not state.threads.get(home.id).archived


def test_a_copy_that_is_written_to_takes_over(one, kept):
    home, state = one
    copy = home.copy(home.id, "sessions/2026/11/20")
    state.index()
    assert state.threads.get(home.id).rollout_path != str(copy)
    home.change(lambda: _append(copy, line(NOON_MS + 50_000, "here it goes on")))

    state.index()

    assert state.threads.get(home.id).rollout_path == str(copy)
    assert columns(kept) == afresh(home)


def test_when_the_active_one_is_archived_an_active_copy_takes_over(one, kept):
    home, state = one
    original = home.file(home.id)
    copy = home.copy(home.id, "sessions/2026/11/20")
    state.index()
    assert state.threads.get(home.id).rollout_path == str(original)
    to = home.path / "archived_sessions" / original.name
    home.change(lambda: (to.parent.mkdir(), original.rename(to)))

    state.index()

    assert state.threads.get(home.id).rollout_path == str(copy)
    assert columns(kept) == afresh(home)


def test_when_the_speaker_is_set_back_a_later_copy_takes_over(one, kept):
    home, state = one
    original = home.file(home.id)
    old = original.read_bytes()
    copy = home.copy(home.id, "sessions/2026/11/20", also=line(NOON_MS + 5_000, "kept here"))
    home.change(lambda: _append(original, line(NOON_MS + 9_000, "newest")))
    state.index()
    assert state.threads.get(home.id).rollout_path == str(original)
    home.write(original, old)

    state.index()

    assert state.threads.get(home.id).rollout_path == str(copy)
    assert columns(kept) == afresh(home)


STEPS = st.lists(
    st.tuples(st.sampled_from(["append", "delete", "move", "copy", "swap", "pack", "empty"]), st.integers(0, 7)),
    max_size=6,
)
FOLDERS = ("sessions/2026/11/21", "archived_sessions", "sessions/odd")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS, every=st.integers(1, 3))
def test_whatever_happens_to_the_files_the_index_becomes_what_a_new_one_would_be(steps, every):
    follow(steps, every)


@pytest.mark.torture
@settings(max_examples=3_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS, every=st.integers(1, 3))
def test_whatever_happens_to_the_files_for_long_the_index_becomes_what_a_new_one_would_be(steps, every):
    follow(steps, every)


def follow(steps, every):
    with tempfile.TemporaryDirectory() as folder:
        home = MadeHome(Path(folder) / "home")
        origin = home.thread("the origin", paginated=True)
        fork = home.thread("a fork of it", paginated=True, base=(origin, 3))
        home.thread("a fork of the fork", paginated=True, base=(fork, 6))
        with holdfast.open(home, state_dir=f"{folder}/state", search=False) as state:
            for number, (what, which) in enumerate(steps):
                _happen(home, what, which, number)
                if number % every == 0:
                    state.index()
                    with state.read() as tx:
                        assert findings(tx) == []
            state.index()
        there = [row for row in columns(f"{folder}/state/state.db") if not row["missing"]]
        new = afresh(home)
        base_of = {row["thread_id"]: row["base_thread_id"] for row in new}
        for row in (*there, *new):
            base = row["base_thread_id"]
            while base in base_of:
                base = base_of[base]
            if base is not None:  # what a fork has from a thread that is gone it keeps; a new index cannot know it
                del row["preview"], row["first_user_ordinal"]
        assert there == new


def _happen(home, what, which, number):
    files = home.files()
    if not files:
        return
    file = files[which % len(files)]
    to = home.path / FOLDERS[which % 3] / file.name
    match what:
        case "append" if file.suffix == ".jsonl":
            _append(file, line(NOON_MS + 10_000 + 1_000 * (which % 3), f"words {number}"))
        case "delete":
            file.unlink()
        case "move" if not to.exists():
            to.parent.mkdir(parents=True, exist_ok=True)
            file.rename(to)
        case "copy" if not to.exists():
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(file.read_bytes())
        case "swap" if file.suffix == ".jsonl":
            other = files[(which + 1) % len(files)]
            if other.suffix == ".jsonl":
                file.write_bytes(other.read_bytes())
        case "pack" if file.suffix == ".jsonl":
            from backports import zstd

            Path(f"{file}.zst").write_bytes(zstd.compress(file.read_bytes()))
            file.unlink()
        case "empty":
            file.write_bytes(b"")


# --- names ------------------------------------------------------------------------------------


def test_names_follow_the_names_file_and_only_the_last_one_counts(make_home, open_state, kept):
    home = make_home()
    ann, bob = home.thread("ann's words"), home.thread("bob's words")
    home.name(ann, "first")
    state = open_state(home)
    assert (state.threads.get(ann).name, state.threads.get(bob).name) == ("first", None)
    home.name(ann, "second")
    home.name(bob, "  spaces around  ")
    (report,) = state.index()
    assert report.indexed == 0  # no rollout was read for it
    assert (state.threads.get(ann).name, state.threads.get(bob).name) == ("second", "spaces around")
    home.name(ann, "")
    state.index()
    assert state.threads.get(ann).name is None
    assert columns(kept) == afresh(home)
    home.change((home.path / "session_index.jsonl").unlink)
    state.index()
    assert state.threads.get(bob).name is None
    assert columns(kept) == afresh(home)


def test_a_thread_named_before_its_file_was_there_has_its_name_at_once(one):
    home, state = one
    home.name(later := "01a1fdfa-4600-7000-8000-0000000000ff", "named early")
    state.index()
    home.thread("late words", id=later)
    state.index()
    assert state.threads.get(later).name == "named early"


# --- all over again ------------------------------------------------------------------------------


def test_a_full_index_folds_every_file_and_changes_nothing(home, open_state, kept):
    state = open_state(home)
    before = columns(kept)
    homes_before = seen(home.path)

    (report,) = state.index(full=True)

    assert (report.indexed, report.unchanged) == (len(home.files()), 0)
    assert columns(kept) == before == afresh(home)
    assert seen(home.path) == homes_before


def test_an_empty_home_is_complete_now_and_full_when_threads_come(make_home, open_state):
    home = make_home()
    state = open_state(home)
    assert (state.threads.list().threads, state.reports[0].complete) == ((), True)
    home.thread("restored from a backup")
    state.index()
    assert len(state.threads.list()) == 1


def _append(file, content):
    with open(file, "ab") as out:
        out.write(content if isinstance(content, bytes) else content.encode())


def _existing(home):
    home.mkdir(exist_ok=True)
    return home
