"""What a log may take, by which rule it goes, and that both are told exactly: for all its writers together."""

from __future__ import annotations

import os
import random
import shutil

import msgspec
import pytest

from holdfast.errors import Refused
from holdfast.logs import Caps, LogQuery, Record, SegmentWriter, retention
from holdfast.logs.query import query
from holdfast.logs.room import prune
from holdfast.logs.stats import stats
from processes import children

MIB = 1 << 20
SMALL = Caps(bytes=8 * MIB, free_bytes=0)

WRITE = """
import random
from holdfast.logs import Record, SegmentWriter
noise = random.Random(os.getpid())
writer = SegmentWriter(sys.argv[1])
say("ready")
written = dropped = 0
for turn in range(int(hear())):
    said = {"id": 0, "ts": 1, "level": "INFO", "target": "t", "thread_id": sys.argv[2] or None}
    kept = writer.append([Record(**said, message=noise.randbytes(500).hex()) for _ in range(64)])
    written += kept.written
    dropped += kept.dropped
writer.close()
say(written, dropped)
"""


@pytest.fixture
def start():
    with children("") as start:
        yield start


@pytest.fixture
def noise():
    return random.Random(1)


def record(message, **more):
    return Record(id=0, message=message, **{"ts": 1, "level": "INFO", "target": "t", **more})


def some(noise, count=64, **more):
    return [record(noise.randbytes(500).hex(), **more) for _ in range(count)]


def messages(directory, **asked):
    return [each.message for each in query(str(directory), LogQuery(**asked))]


def went(directory):
    """Return how many records went, by rule."""
    return {rule: gone.records for rule, gone in stats(directory).pruned.items()}


def bytes_of(directory, thread, scratch):
    """Return what the segments take that hold the records of this thread and no others."""
    taken = 0
    for path in directory.glob("*.jsonl*"):
        shutil.copy(path, scratch)
        if {each.thread_id for each in query(scratch)} == {thread}:
            taken += path.stat().st_blocks * 512
        os.unlink(scratch / path.name)
    return taken


# --- one thread's share ------------------------------------------------------------------


def test_a_thread_that_says_too_much_takes_half_at_most_and_nothing_of_the_others_goes(
    tmp_path, tmp_path_factory, noise
):
    log = tmp_path / "log"
    writer = SegmentWriter(log, SMALL)
    written = 0
    quiet = [f"quiet {n}" for n in range(200)]
    assert writer.append([record(text, thread_id="quiet") for text in quiet]).dropped == 0
    for turn in range(700):
        batch = some(noise, thread_id="loud")
        written += writer.append(batch).written
        if turn % 50 == 0:
            quiet.append(f"meanwhile {turn}")
            assert writer.append([record(quiet[-1], thread_id="quiet")]).written == 1
    writer.close()

    assert messages(log, thread_ids=["quiet"]) == quiet
    loud = messages(log, thread_ids=["loud"])
    assert loud[-64:] == [each.message for each in batch], "the newest stay"
    assert 3 * MIB < bytes_of(log, "loud", tmp_path_factory.mktemp("one")) <= 4 * MIB
    assert went(log) == {"thread_share": written - len(loud)}, "what went is told exactly"


def test_without_a_share_the_oldest_go_whosever_they_are(tmp_path, noise):
    writer = SegmentWriter(tmp_path, Caps(bytes=4 * MIB, free_bytes=0, thread_share=None))
    writer.append([record("quiet", thread_id="quiet")])
    for _ in range(200):
        writer.append(some(noise, thread_id="loud"))
    writer.close()
    assert messages(tmp_path, thread_ids=["quiet"]) == []
    assert went(tmp_path).keys() == {"bytes"}


def test_the_share_holds_for_processes_that_come_and_go(tmp_path, start, noise):
    log = tmp_path / "log"
    retention(log, bytes=8 * MIB, keep_free=0)
    writer = SegmentWriter(log)
    writer.append([record("quiet", thread_id="quiet")])
    writer.close()
    for _ in range(3):
        for each in [start(WRITE, log, "loud") for _ in range(4)]:
            assert each.line() == "ready"
            each.tell("30")
            assert each.line() == f"{30 * 64} 0"
    assert messages(log, thread_ids=["quiet"]) == ["quiet"]
    assert stats(log).apart == "loud"
    assert went(log).keys() == {"thread_share"}


def test_records_of_no_thread_have_no_share(tmp_path, noise):
    writer = SegmentWriter(tmp_path, Caps(bytes=4 * MIB, free_bytes=0))
    for _ in range(200):
        writer.append(some(noise))
    writer.close()
    assert stats(tmp_path).apart is None
    assert went(tmp_path).keys() == {"bytes"}


def test_a_thread_that_fell_silent_is_among_the_others_again(tmp_path, noise):
    writer = SegmentWriter(tmp_path, SMALL)
    for thread, turns in (("loud", 80), (None, 160)):
        for _ in range(turns):
            writer.append(some(noise, thread_id=thread))
        assert stats(tmp_path).apart == thread
    writer.append(some(noise, thread_id="loud"))
    writer.close()
    assert len(messages(tmp_path)) == 241 * 64 - sum(went(tmp_path).values())


def test_a_list_is_left_in_the_order_of_writing_when_a_thread_is_set_apart(tmp_path, noise):
    writer = SegmentWriter(tmp_path, SMALL)
    for _ in range(80):
        writer.append(some(noise, thread_id="loud"))
    batch = [record("1", thread_id="loud"), record("2"), record("3", thread_id="loud"), record("4")]
    assert writer.append(batch).written == 4
    assert [each.message for each in batch] == ["2", "4", "1", "3"]
    assert messages(tmp_path)[-4:] == ["1", "2", "3", "4"], "and is read in the order in which it was said"
    writer.close()


def test_many_threads_cost_no_memory(tmp_path):
    writer = SegmentWriter(tmp_path, SMALL)
    for turn in range(40):
        writer.append([record("x", thread_id=f"{turn} {n} {'y' * 300}") for n in range(500)])
        assert len(writer._pending.said) <= 500 + 128
    writer.close()
    assert os.path.getsize(tmp_path / "account.json") < 64 * 1024


# --- limits for all ------------------------------------------------------------------------


def test_limits_are_read_as_people_write_them_and_stay(tmp_path):
    log = tmp_path / "log"
    assert retention(log) == Caps()
    assert not log.exists()
    set_ = retention(log, bytes="50MB", records=10_000, age="10d")
    assert (set_.bytes, set_.records, set_.age_s) == (50_000_000, 10_000, 864_000)
    assert retention(log, records=None, bytes_per_day="1GiB").records is None
    assert retention(log) == Caps(bytes=50_000_000, bytes_per_day=1 << 30)
    assert retention(log, bytes=None).bytes == Caps().bytes
    assert stats(log).limits == retention(log)


@pytest.mark.parametrize(
    "wrong",
    [
        {"bytes": "50 parsecs"}, {"bytes": -1}, {"age": "soon"}, {"records": -1}, {"thread_share": 0.3},
        {"thread_share": 2}, {"bytes_per_day": ""}, {"keep_free": True},
    ],
)  # fmt: skip
def test_a_limit_that_cannot_be_meant_is_refused_before_anything_is_made(tmp_path, wrong):
    with pytest.raises(Refused):
        retention(tmp_path / "log", **wrong)
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize("broken", [b"", b"{", b'{"bytes":-5}', b'{"bytes":"many"}', b"\xff"])
def test_a_list_of_limits_that_is_damaged_sets_none(tmp_path, broken):
    retention(tmp_path, bytes="1MB")
    (tmp_path / "caps.json").write_bytes(broken)
    assert retention(tmp_path) == Caps()


def test_a_writer_that_is_running_keeps_to_limits_that_are_set_meanwhile(tmp_path, start, noise):
    retention(tmp_path, keep_free=0)
    writer = SegmentWriter(tmp_path)
    for _ in range(200):
        writer.append(some(noise))
    retention(tmp_path, bytes="2MiB")
    for _ in range(200):
        assert writer.append(some(noise)).written == 64
    assert stats(tmp_path).taken_bytes <= 2 * MIB
    child = start(WRITE, tmp_path, "")
    assert child.line() == "ready"
    child.tell("100")
    assert child.line() == f"{100 * 64} 0"
    assert stats(tmp_path).taken_bytes <= 2 * MIB
    writer.close()


def test_of_two_limits_the_stricter_holds(tmp_path):
    retention(tmp_path, bytes="1GiB", records=100)
    writer = SegmentWriter(tmp_path, Caps(bytes=2 * MIB, free_bytes=0))
    writer.append([record("x") for _ in range(500)])
    writer.close()
    assert stats(tmp_path).records <= 100
    assert writer._common.caps.bytes == 2 * MIB


@pytest.mark.parametrize("limit", [1, 100, 10_000])
def test_never_more_records_than_the_limit(tmp_path, limit):
    retention(tmp_path, records=limit, keep_free=0)
    writer = SegmentWriter(tmp_path)
    written = 0
    turns, count = {1: (3, 2), 100: (4, 256), 10_000: (60, 256)}[limit]
    for turn in range(turns):
        written += writer.append([record(f"{turn} {n}") for n in range(count)]).written
        assert stats(tmp_path).records <= limit
    assert messages(tmp_path)[-1] == f"{turns - 1} {count - 1}"
    writer.close()
    assert went(tmp_path) == {"records": written - stats(tmp_path).records}


def test_records_that_other_writers_have_room_for_count(tmp_path):
    retention(tmp_path, records=1_600, keep_free=0)
    writers = [SegmentWriter(tmp_path) for _ in range(4)]
    for each in writers:
        each.append([record("x")])
    for _ in range(20):
        writers[0].append([record("x") for _ in range(100)])
    for each in writers[1:]:
        each.append([record("x") for _ in range(99)])
    assert 1_200 < stats(tmp_path).records <= 1_600
    for each in writers:
        each.close()


@pytest.mark.parametrize(("first", "others"), [(1, 1), (60, 10)])
def test_eighty_writers_that_had_something_to_say_leave_room_for_an_error_of_each(tmp_path, first, others):
    writers = []
    for number in range(80):  # a dozen say 3 MB, the others half a one, and all keep their segment open
        writers.append(SegmentWriter(tmp_path, Caps(free_bytes=0), compress=False))
        for _ in range(first if number < 12 else others):
            assert writers[-1].append([record("x" * 10_000) for _ in range(5)]).written == 5
    for number, writer in enumerate(writers):
        assert writer.append([record(f"error {number}", level="ERROR")]).written == 1
    assert stats(tmp_path).taken_bytes <= 64 * MIB
    assert len(messages(tmp_path, levels=("ERROR",))) == 80
    for writer in writers:
        writer.close()


def test_what_is_old_goes_though_its_writer_goes_on(tmp_path):
    writer = SegmentWriter(tmp_path, Caps(age_s=0, free_bytes=0))
    for turn in range(4):
        assert writer.append([record(str(turn))]).written == 1
    assert messages(tmp_path) == ["3"]
    writer.close()
    assert went(tmp_path) == {"age": 3}


def test_pruning_takes_the_limits_in_force_and_shows_first_what_goes(tmp_path, noise):
    writer = SegmentWriter(tmp_path, SMALL)
    for _ in range(60):
        writer.append(some(noise))
    writer.close()
    retention(tmp_path, bytes="1MB", keep_free=0)
    before = len(messages(tmp_path))
    shown = prune(str(tmp_path), retention(tmp_path), dry_run=True)
    assert len(messages(tmp_path)) == before
    assert went(tmp_path) == {}
    assert prune(str(tmp_path), retention(tmp_path)) == shown
    assert before - len(messages(tmp_path)) == sum(each.records for each in shown) == went(tmp_path)["bytes"] > 0


# --- what is told ---------------------------------------------------------------------------


def test_every_record_is_there_or_told_as_gone_whoever_wrote_it(tmp_path, start):
    retention(tmp_path, bytes="4MiB", keep_free=0, thread_share=None)
    writers = [start(WRITE, tmp_path, f"thread {n}") for n in range(4)]
    for each in writers:
        assert each.line() == "ready"
        each.tell("60")
    told = [tuple(map(int, each.line().split())) for each in writers]
    found = stats(tmp_path)
    assert sum(gone.records for gone in found.pruned.values()) + found.records == sum(written for written, _ in told)
    assert sum(found.refused.values()) == sum(dropped for _, dropped in told)
    assert found.taken_bytes <= 4 * MIB


def test_what_a_killed_writer_wrote_is_told_when_it_goes(tmp_path, start, noise):
    retention(tmp_path, bytes="2MiB", keep_free=0)
    child = start(WRITE.replace("writer.close()", 'say("now"); hear()'), tmp_path, "")
    assert child.line() == "ready"
    child.tell("5")
    assert child.line() == "now"
    child.kill()
    writer = SegmentWriter(tmp_path)
    written = 5 * 64 + sum(writer.append(some(noise)).written for _ in range(100))
    writer.close()
    assert stats(tmp_path).records + went(tmp_path)["bytes"] == written


def test_what_is_refused_is_counted_by_its_rule_and_the_reason_is_kept(tmp_path, noise):
    writer = SegmentWriter(tmp_path, Caps(bytes=16 * MIB, free_bytes=0, bytes_per_day=MIB))
    dropped = 0
    while not dropped:
        dropped = writer.append(some(noise)).dropped
    dropped += writer.append(some(noise)).dropped
    writer.close()
    found = stats(tmp_path)
    assert found.refused == {"bytes_per_day": dropped}
    assert "today" in found.last_error
    assert found.last_error_us > 0


def test_the_bytes_of_a_day_are_those_that_were_written(tmp_path, noise):
    for _ in range(20):
        writer = SegmentWriter(tmp_path, SMALL)
        writer.append(some(noise, 3))
        writer.close()
    assert (
        stats(tmp_path).bytes_24h
        == stats(tmp_path).bytes
        == sum(path.stat().st_size for path in tmp_path.glob("*.zst"))
    )


def test_an_account_that_is_damaged_or_cannot_be_kept_stops_nobody(tmp_path, noise):
    (tmp_path / "account.json").write_bytes(b"{")
    writer = SegmentWriter(tmp_path, SMALL)
    assert writer.append(some(noise)).written == 64
    writer.close()
    (tmp_path / "account.json").unlink()
    (tmp_path / "account.json").mkdir()
    assert writer.append(some(noise)).written == 64
    writer.close()
    assert len(messages(tmp_path)) == 128
    strict = SegmentWriter(tmp_path, msgspec.structs.replace(SMALL, bytes_per_day=MIB))
    assert strict.append([record("x")]).dropped == 1, "who cannot count cannot keep to a limit"
