"""Files that no agent wrote whole, among a thousand that it did: each is named, none costs more than itself."""

from __future__ import annotations

import os
import random

import pytest

import holdfast
from holdfast import ids
from index_helpers import (
    Homes,
    conversation,
    event,
    expected_labels,
    index_of,
    indexed_alone,
    labels,
    make_home,
    meta,
    path_of,
    put,
    text,
    thread_id,
)

WHOLE = text(conversation(2_000))
MIB = 1 << 20


def open_home(home, state_dir, **options):
    return holdfast.open(home, state_dir=state_dir, search=False, **options)


def unchanged(state_dir):
    """Return what grows with every write: the bytes of the database, and those of its log."""
    return [(name, os.stat(state_dir / name).st_size, (state_dir / name).read_bytes()) for name in ("state.db",)]


def random_bytes(path, seed):
    path.write_bytes(random.Random(seed).randbytes(4_000))


def deep(path, seed):
    path.write_bytes(b"[" * 100_000 + b"\n" * (seed % 2))


def long_line(path, seed):
    path.write_bytes(b"x" * (1_000 + seed) + b"\n")


def empty(path, _seed):
    path.write_bytes(b"")


def half_a_meta(path, seed):
    path.write_bytes(WHOLE[: 20 + seed])


def only_nuls(path, seed):
    path.write_bytes(b"\0" * (100 + seed))


def folder(path, _seed):
    path.mkdir()


def fifo(path, _seed):
    os.mkfifo(path)


def endless(path, _seed):
    path.symlink_to("/dev/zero")


def nowhere(path, _seed):
    path.symlink_to("/nonexistent/rollout")


def into_itself(path, _seed):
    path.symlink_to(path.name)


READ = (random_bytes, deep, long_line, empty, half_a_meta, only_nuls)  # and found to hold no thread
SEEN = (folder, fifo, endless, into_itself)  # and not even opened
KINDS = (*READ, *SEEN)


@pytest.fixture(scope="module")
def littered(tmp_path_factory):
    """950 threads and 50 pieces of litter that are named like rollouts, of ten kinds."""
    home = make_home(tmp_path_factory.mktemp("littered") / "home", 949)
    put(home, "sessions/rollout-of\nmany-lines.jsonl", text(conversation(949)))
    litter = {}
    for n in range(50):
        kind = KINDS[n % len(KINDS)]
        path = f"sessions/2025/10/09/rollout-2025-10-09T12-00-{n:02}-{kind.__name__}.jsonl"
        kind(home / path, n)
        litter[path] = kind
    fifty_mb = next(path for path, kind in litter.items() if kind is long_line)
    with open(home / fifty_mb, "wb") as file:
        file.writelines([b"x" * MIB] * 50)
    homes = Homes(home.parent)
    homes.watch(home)
    yield home, litter
    homes.check()


def test_fifty_pieces_of_litter_among_950_threads_cost_nothing_but_themselves(littered, state_dir):
    home, litter = littered

    with open_home(home, state_dir) as state:
        (report,) = state.reports
        # The last label comes from a file whose name has two lines.
        assert labels(state) == ["fix the parser of module 949", *expected_labels(949)]
    assert (report.complete, report.threads, report.indexed) == (True, 950, 950)
    named = {problem.path: problem.code for problem in report.problems}
    assert set(named) == set(litter)
    assert report.failed == sum(kind in READ for kind in litter.values())
    for path, kind in litter.items():
        assert named[path] != "" and (named[path] == "not-regular") is (kind in SEEN)


def test_litter_is_read_once_and_named_every_time(littered, state_dir):
    home, litter = littered
    with open_home(home, state_dir) as state:
        (first,) = state.reports
    before = unchanged(state_dir)

    with open_home(home, state_dir) as state:
        (second,) = state.reports

    assert (second.bytes_read, second.indexed, second.unchanged) == (0, 0, 950)
    assert second.failed == first.failed
    assert {problem.path for problem in second.problems} == set(litter)
    assert unchanged(state_dir) == before


def test_without_an_index_the_same_threads_are_listed_from_the_files(littered, tmp_path):
    home, _ = littered

    with holdfast.peek(home, state_dir=tmp_path / "none") as state:
        assert labels(state) == ["fix the parser of module 949", *expected_labels(949)]
    assert not (tmp_path / "none").exists()


def test_litter_that_becomes_a_thread_is_one(homes, state_dir):
    home = homes.make(5)
    file = put(home, path_of(7), b"")
    with open_home(home, state_dir) as state:
        assert state.threads.get(thread_id(7)) is None
        file.write_bytes(text(conversation(7)))
        homes.watch(home)
        state.index()
        assert state.threads.get(thread_id(7)).title == "fix the parser of module 7"


def test_a_name_that_is_no_utf_8_is_counted_and_stops_nothing(homes, state_dir):
    home = homes.make(5)
    with open(os.fsencode(home) + b"/sessions/rollout-\xff\xfe.jsonl", "wb") as file:
        file.write(text(conversation(6)))
    homes.watch(home)

    for _ in range(2):
        with open_home(home, state_dir) as state:
            (report,) = state.reports
            assert [(problem.code, problem.count) for problem in report.problems] == [("name-not-utf8", 1)]
            assert report.threads == 5


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        (b"", None),
        (b"\0" * 4096, "tail-nul"),
        (b'{"timestamp":"2026-', "tail-torn"),
        (text([event(1, 9, type="agent_message", message="x")])[:-1], "tail-unterminated"),
        (b"\xff\xfe\xfd", "tail-torn"),
    ],
)
@pytest.mark.parametrize("begin", [text([meta(1)]), text(conversation(1))], ids=["meta only", "a conversation"])
def test_a_thread_with_a_bad_end_is_listed_and_the_end_is_named(begin, ending, code, homes, state_dir):
    home = homes.empty()
    put(home, path_of(1), begin + ending)
    homes.watch(home)

    with open_home(home, state_dir) as state:
        (report,) = state.reports
        (thread,) = state.threads.list()
        assert thread.id == thread_id(1)
        assert thread.created_at_ms == 1_760_000_060_000
        assert [problem.code for problem in report.problems] == ([code] if code else [])
        assert report.failed == 0
        assert state.threads.read(thread.id).thread == thread


def test_one_byte_that_is_no_utf_8_hides_no_more_than_itself(homes, state_dir):
    home = homes.empty()
    data = text(conversation(1)).replace(b"is mended", b"is \xffmended")
    put(home, path_of(1), data)
    homes.watch(home)

    with open_home(home, state_dir) as state:
        (report,) = state.reports
        assert [(problem.path, problem.code) for problem in report.problems] == [(path_of(1), "line-repaired")]
        (thread,) = state.threads.list()
        assert thread.label == "fix the parser of module 1"
        assert thread.tokens_used == 101
        (turn,) = state.threads.read(thread.id).turns
        assert "module 1 is \ufffdmended" in str(turn)


def test_a_torn_last_line_that_is_completed_later_is_folded_once(homes, state_dir):
    home = homes.empty()
    whole = text([*conversation(1), event(1, 60, type="token_count", info={"total_token_usage": {"total_tokens": 9}})])
    file = put(home, path_of(1), whole[:-30])
    with open_home(home, state_dir) as state:
        assert [problem.code for problem in state.reports[0].problems] == ["tail-torn"]
        assert state.threads.get(thread_id(1)).tokens_used == 101
        with open(file, "ab") as end:
            end.write(whole[-30:])
        homes.watch(home)
        (report,) = state.index()
        assert report.problems == ()
        assert state.threads.get(thread_id(1)).tokens_used == 9
    assert index_of(state_dir) == indexed_alone(home, state_dir.with_name("alone"))


def test_a_long_torn_rollout_goes_on_where_it_was_and_comes_out_the_same(homes, state_dir):
    home = homes.empty()
    begin = text([*conversation(1), *(event(1, n, type="agent_message", message="x" * 500) for n in range(5, 600))])
    more = text([event(1, 700, type="task_started"), event(1, 701, type="user_message", message="and then?")])
    file = put(home, path_of(1), begin + more[:40])
    with open_home(home, state_dir) as state:
        for cut in (80, len(more) - 1, len(more)):
            file.write_bytes(begin + more[:cut])
            homes.watch(home)
            (report,) = state.index()
            assert report.bytes_read > 0
        assert report.problems == ()
        assert state.threads.get(thread_id(1)).recency_at_ms == 1_760_000_060_000 + 700_000
    threads, files = index_of(state_dir)
    alone = indexed_alone(home, state_dir.with_name("alone"))
    assert threads == alone[0]
    assert {path: row["offset"] for path, row in files.items()} == {
        path: row["offset"] for path, row in alone[1].items()
    }


# Two files, one thread


def test_of_two_files_with_one_id_the_active_and_latest_speaks_and_the_others_wait(homes, state_dir):
    home = homes.empty()
    put(home, path_of(1), text(conversation(1)))
    later = text([*conversation(1), event(1, 99, type="token_count", info={"total_token_usage": {"total_tokens": 7}})])
    put(home, f"sessions/copies/rollout-copy-{thread_id(1)}.jsonl", later)
    put(home, path_of(1, archived=True), later + later)
    put(home, path_of(2), text(conversation(2)))
    homes.watch(home)

    with open_home(home, state_dir) as state:
        (report,) = state.reports
        assert (report.threads, report.indexed, report.duplicates, report.failed) == (2, 4, 2, 0)
        thread = state.threads.get(thread_id(1))
        assert thread.rollout_path == f"{home}/sessions/copies/rollout-copy-{thread_id(1)}.jsonl"
        assert not thread.archived
        assert state.threads.find(thread_id(1)).file == thread.rollout_path
        with holdfast.peek(home, state_dir=state_dir.with_name("none")) as files:
            assert files.threads.list().threads == state.threads.list().threads
    with open_home(home, state_dir) as state:
        assert state.reports[0].indexed == 0


def test_when_the_file_that_speaks_for_a_thread_is_gone_a_copy_speaks_and_what_was_said_stays(homes, state_dir):
    home = homes.empty()
    paths = [path_of(1), f"sessions/copies/rollout-copy-{thread_id(1)}.jsonl", path_of(1, archived=True)]
    for n, path in enumerate(paths):
        put(home, path, text([*conversation(1), event(1, 90 - n, type="agent_message", message="x")]))
    with open_home(home, state_dir) as state:
        state.threads.rename(thread_id(1), "mine")
        for n, path in enumerate(paths):
            thread = state.threads.get(thread_id(1))
            assert (thread.rollout_path, thread.name) == (f"{home}/{path}", "mine")
            assert thread.archived is (n == 2)
            (home / path).unlink()
            homes.watch(home)
            state.index()
        assert state.threads.get(thread_id(1)).missing_since_ms is not None
        assert len(state.threads.list()) == 0


def test_hundreds_of_copies_everywhere_give_each_thread_once(homes, state_dir):
    home = make_home(state_dir.parent / "home", 300)
    for n in range(300):
        data = (home / path_of(n)).read_bytes()
        put(home, f"sessions/again/{os.path.basename(path_of(n))}", data)
        put(home, f"archived_sessions/more/{os.path.basename(path_of(n))}", data)
    homes.watch(home)

    with open_home(home, state_dir) as state:
        (report,) = state.reports
        assert (report.indexed, report.duplicates, report.threads) == (900, 600, 300)
        assert labels(state) == expected_labels(300)
        assert all(not thread.archived for thread in state.threads.list(archived=None, limit=500))


# Rows that are wrong, and rows that are lost


def test_a_row_that_points_at_another_threads_file_never_gives_that_file_and_is_mended(homes, state_dir):
    home = homes.make(6)
    with open_home(home, state_dir) as state:
        with state.write() as tx:
            mine, others = (ids.parse(thread_id(n)).hex() for n in (1, 2))
            tx.script(
                f"UPDATE threads SET file_id = (SELECT file_id FROM files WHERE thread_id = x'{others}')"
                f" WHERE thread_id = x'{mine}'"
            )
        found = state.threads.find(thread_id(1))
        assert (found.file, found.verified, found.repair) == (f"{home}/{path_of(1)}", True, "file-of-another")
        assert "module 1 is mended" in str(state.threads.read(thread_id(1)).turns)
    with open_home(home, state_dir) as state:
        found = state.threads.find(thread_id(1))
        assert (found.file, found.source, found.repair) == (f"{home}/{path_of(1)}", "index", None)
        assert state.threads.get(thread_id(2)).rollout_path == f"{home}/{path_of(2)}"
    assert index_of(state_dir) == indexed_alone(home, state_dir.with_name("alone"))


def test_a_file_that_by_now_holds_another_thread_takes_no_name_along(homes, state_dir):
    home = homes.make(6)
    with open_home(home, state_dir) as state:
        state.threads.rename(thread_id(1), "mine")
        (home / path_of(1)).write_bytes(text(conversation(77)))
        homes.watch(home)
        state.index()
        assert state.threads.get(thread_id(77)).name is None
        assert state.threads.get(thread_id(1)).missing_since_ms is not None
        assert state.threads.find(thread_id(1)) is None


def test_everything_lost_is_made_again_from_the_home(homes, state_dir):
    home = homes.make(60)

    first = indexed_alone(home, state_dir)
    again = indexed_alone(home, state_dir)

    assert again == first
    with open_home(home, state_dir) as state:
        assert labels(state) == expected_labels(60)  # the names of the home's own file, too
        assert all(state.threads.read(thread.id).turns for thread in state.threads.list(archived=None, limit=100))


def fork_of(base, n):
    """Return the items of a fork that stores only its own tail: it begins where ``base`` ended."""
    history = {"thread_id": thread_id(base), "end_ordinal_exclusive": 4, "end_byte_offset": 0}
    own = [
        meta(n, forked_from_id=thread_id(base), history_base=history, history_mode="paginated"),
        event(n, 1, type="task_started", turn_id=f"turn-{n}"),
        event(n, 2, type="user_message", message=f"and module {n}?"),
    ]
    return [{"ordinal": ordinal, **item} for ordinal, item in enumerate(own, start=4)]


@pytest.mark.parametrize("base", [1, 5], ids=["an older base", "a base that is read later"])
def test_a_fork_that_stores_only_its_own_tail_is_listed_by_its_bases_words_and_read_whole(base, homes, state_dir):
    home = homes.empty()
    own = [{"ordinal": ordinal, **item} for ordinal, item in enumerate(conversation(base))]
    put(home, path_of(base), text(own))
    put(home, path_of(3), text(fork_of(base, 3)))
    homes.watch(home)

    with open_home(home, state_dir) as state:
        fork = state.threads.get(thread_id(3))
        assert fork.preview == f"fix the parser of module {base}"
        assert fork.title == "and module 3?"
        read = state.threads.read(thread_id(3))
        assert f"fix the parser of module {base}" in str(read.turns)
        assert "and module 3?" in str(read.turns)
        assert read.problems == []
        with holdfast.peek(home, state_dir=state_dir.with_name("none")) as files:
            assert files.threads.get(thread_id(3)) == fork
