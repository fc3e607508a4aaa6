"""A tail tells every record once, whoever writes it, whatever becomes of the segments and the processes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest
from log_segments import Segment, record

from holdfast.errors import Refused
from holdfast.logs import Caps, SegmentWriter, reading
from holdfast.logs.following import Cursor
from holdfast.logs.matching import LogQuery
from holdfast.logs.query import query
from holdfast.logs.tail import Gap, tail


class Told:
    """A tail that runs in a thread; ``wait_for`` waits until it has told so many records."""

    def __init__(self, directory, asked=None):
        self.records = []
        self.stop = threading.Event()
        self._more = threading.Condition()
        self._thread = threading.Thread(target=self._run, args=(tail(directory, asked, stop=self.stop),), daemon=True)
        self._thread.start()

    def _run(self, records):
        for one in records:
            with self._more:
                self.records.append(one)
                self._more.notify()

    def wait_for(self, count):
        with self._more:
            assert self._more.wait_for(lambda: len(self.records) >= count, timeout=30), len(self.records)

    def end(self):
        self.stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()
        return [one.message for one in self.records]


def test_a_tail_begins_with_the_last_records_and_goes_on_with_each_that_comes(tmp_path):
    segment = Segment(tmp_path, "b0-7-1.jsonl.zst", frame_records=4)
    segment.write(*(record(str(number)) for number in range(10)))
    told = Told(tmp_path, LogQuery(limit=3))
    told.wait_for(3)
    for number in range(10, 31):
        segment.write(record(str(number)))
        told.wait_for(number - 6)
    segment.close()

    assert told.end() == [str(number) for number in range(7, 31)]


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.zst"])
def test_what_is_flushed_late_is_told_late_and_not_passed_over(tmp_path, ending):
    early = [record(f"early {number}") for number in range(3)]
    segment = Segment(tmp_path, f"b0-7-1.{ending}")
    told = Told(tmp_path)
    segment.write(record("young"))
    told.wait_for(1)
    other = Segment(tmp_path, f"b0-8-1.{ending}")
    other.write(*early)
    told.wait_for(4)
    segment.kill()
    other.kill()

    assert told.end() == ["young", "early 0", "early 1", "early 2"]


def test_the_log_may_come_into_being_later(tmp_path):
    told = Told(tmp_path / "logs")
    segment = Segment(tmp_path / "logs", "b0-7-1.jsonl.zst")
    segment.write(record("first"))
    told.wait_for(1)
    segment.close()

    assert told.end() == ["first"]


def test_a_line_that_never_ends_takes_no_memory_and_the_next_is_told(tmp_path):
    path = tmp_path / "b0-7-1.jsonl"
    line = msgspec.json.encode(record("inside")) + b"\n"
    path.write_bytes(b"x" * (5 << 20) + line + msgspec.json.encode(record("next")) + b"\n" + b"y" * (3 << 20))
    (segment,) = reading.listing(str(tmp_path))
    cursor, found, most = Cursor(), [], 0
    while cursor.is_behind(segment):
        found += reading.records(cursor.advance(segment))
        most = max(most, len(cursor._rest))
    assert [each.message for each in found] == ["next"]
    assert most <= (1 << 20) + (64 << 10)


def test_half_a_line_is_told_when_it_is_whole(tmp_path):
    path = tmp_path / "b0-7-1.jsonl"
    path.write_bytes(b"")
    first, second = record("first"), record("second")
    line = msgspec.json.encode(first) + b"\n"
    told = Told(tmp_path)
    with open(path, "ab", buffering=0) as file:
        file.write(line[:20])
        other = Segment(tmp_path, "b0-8-1.jsonl")
        other.write(second)
        told.wait_for(1)
        file.write(line[20:])
        told.wait_for(2)
    other.close()

    assert told.end() == ["second", "first"]


def test_a_segment_that_is_cut_and_deleted_ends_and_the_others_go_on(tmp_path):
    gone = Segment(tmp_path, "b0-7-1.jsonl.zst")
    stays = Segment(tmp_path, "b0-8-1.jsonl.zst")
    gone.write(record("gone"))
    told = Told(tmp_path)
    told.wait_for(1)
    os.truncate(gone.path, 0)
    gone.path.unlink()
    stays.write(record("stays"))
    told.wait_for(2)
    again = Segment(tmp_path, "b0-7-2.jsonl.zst")
    again.write(record("new"))
    told.wait_for(3)
    for segment in (gone, stays, again):
        segment.kill()

    assert told.end() == ["gone", "stays", "new"]


def test_only_what_is_asked_for_is_told(tmp_path):
    segment = Segment(tmp_path, "b0-7-1.jsonl.zst")
    told = Told(tmp_path, LogQuery(min_level="WARN", thread_ids=["t"]))
    segment.write(record("no", level="WARN"), record("nor", thread_id="t"), record("yes", level="ERROR", thread_id="t"))
    told.wait_for(1)
    segment.close()

    assert told.end() == ["yes"]


def test_a_damaged_frame_costs_itself_and_the_next_one_is_told(tmp_path):
    segment = Segment(tmp_path, "b0-7-1.jsonl.zst", frame_records=5)
    segment.write(*(record(f"{number}" * 50) for number in range(5)))
    at = segment.path.stat().st_size
    told = Told(tmp_path)
    told.wait_for(5)
    with open(segment.path, "ab") as file:
        file.write(b"\x28\xb5\x2f\xfd" + os.urandom(300))
    segment.write(*(record(f"{number}" * 50) for number in range(5, 10)))
    told.wait_for(10)
    segment.close()

    assert at < segment.path.stat().st_size
    assert len(told.end()) == 10


def test_without_follow_it_ends_where_the_log_does(tmp_path):
    segment = Segment(tmp_path, "b0-7-1.jsonl.zst")
    segment.write(*(record(str(number)) for number in range(5)))
    segment.kill()

    assert [one.message for one in tail(tmp_path, LogQuery(limit=2), follow=False)] == ["3", "4"]


def test_the_newest_cannot_be_first(tmp_path):
    with pytest.raises(Refused):
        tail(tmp_path, LogQuery(newest_first=True))


WRITER = """
import os, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from log_segments import record
from holdfast.logs import Caps, SegmentWriter, reading
directory, who, count = Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
print("ready", flush=True)
sys.stdin.readline()
writer = SegmentWriter(directory, Caps(free_bytes=0))
for number in range(count):
    if number % 90 == 0: writer.seal()  # rotation
    kept = writer.append([record(f"{who}:{number}")])
    while not kept.written: kept = writer.append([record(f"{who}:{number}")])  # another makes room
    if sys.argv[5] == "told": print(number, flush=True)
writer.close()
"""


def writer(directory, who, count, told=""):
    arguments = [sys.executable, "-c", WRITER, str(Path(__file__).parent), str(directory), str(who), str(count), told]
    child = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n"
    return child


def test_processes_that_write_and_rotate_and_are_killed_lose_nothing_that_was_flushed(tmp_path):
    whole = [writer(tmp_path, who, 500) for who in range(3)]
    killed = writer(tmp_path, 9, 1_000_000, "told")
    told = Told(tmp_path)
    for child in (*whole, killed):
        child.stdin.write("go\n")
        child.stdin.flush()
    flushed = -1
    while flushed < 400:
        flushed = int(killed.stdout.readline())
    killed.send_signal(signal.SIGKILL)
    flushed = max([flushed, *(int(line) for line in killed.communicate()[0].splitlines() if line.isdigit())])
    for child in whole:
        child.communicate()
        assert child.returncode == 0
    said = told.end()

    assert len(said) == len(set(said))
    for who in range(3):
        assert [one for one in said if one.startswith(f"{who}:")] == [f"{who}:{number}" for number in range(500)]
    last = [int(one[2:]) for one in said if one.startswith("9:")]
    assert last == list(range(len(last)))
    assert len(last) >= flushed  # the last number may have been cut in the pipe


STOPPED = """
import os, sys
from holdfast.logs.tail import tail
for number, one in enumerate(tail(sys.argv[1])):
    print(one.message, flush=True)
"""


def test_a_reader_that_is_stopped_holds_nothing_and_catches_up(tmp_path):
    segment = Segment(tmp_path, "b0-7-1.jsonl.zst")
    segment.write(record("first"))
    reader = subprocess.Popen([sys.executable, "-c", STOPPED, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert reader.stdout.readline() == "first\n"
    reader.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, reader.pid, os.WSTOPPED | os.WNOWAIT)
    open_there = [os.readlink(f"/proc/{reader.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{reader.pid}/fd")]
    for number in range(200):
        segment.write(record(str(number)))
    segment.close()
    old = Segment(tmp_path, "b0-7-2.jsonl.zst")
    old.write(record("last"))
    old.close()
    reader.send_signal(signal.SIGCONT)
    said = [reader.stdout.readline().strip() for _ in range(201)]
    reader.kill()
    reader.communicate()

    assert not any(str(tmp_path) in path for path in open_there)
    assert said == [*map(str, range(200)), "last"]


SMALL = Caps(bytes=1 << 20, free_bytes=0)


def noise(count):
    return [record(f"{random.getrandbits(2_000):x}") for _ in range(count)]


def test_what_a_limit_let_go_of_before_it_was_read_is_told(tmp_path):
    segment = SegmentWriter(tmp_path, SMALL)
    segment.append(noise(50))
    tailing = tail(tmp_path, LogQuery(limit=1, min_level="ERROR"), stop=(stop := threading.Event()))
    segment.append([record("first", level="ERROR")])
    assert next(tailing).message == "first"
    written = 0
    for _ in range(60):  # some three times what the limit is; the tail is not asked meanwhile
        written += segment.append(noise(100)).written
    segment.append([record("last", level="ERROR")])
    gap, last = next(tailing), next(tailing)
    left = len(query(tmp_path))
    segment.close()
    stop.set()

    assert isinstance(gap, Gap)
    assert (gap.level, gap.target, gap.id) == ("WARN", "holdfast.logs", 0)
    assert gap.lost == written + 1 - left
    assert gap.segments > 1
    assert f"{gap.lost} records in {gap.segments} segments" in gap.message
    assert last.message == "last"
    assert list(tailing) == []


def test_a_segment_that_was_read_to_its_end_goes_without_a_word(tmp_path):
    segment = SegmentWriter(tmp_path, SMALL)
    tailing = tail(tmp_path, stop=(stop := threading.Event()))
    told = 0
    for _ in range(60):
        written = segment.append(noise(100)).written
        told += sum(not isinstance(next(tailing), Gap) for _ in range(written))
    segment.close()
    stop.set()

    assert told == 6_000
    assert list(tailing) == []
    assert len(query(tmp_path)) < 3_000


def test_what_was_read_of_a_segment_that_goes_is_told_all_the_same(tmp_path):
    segment = SegmentWriter(tmp_path, SMALL)
    tailing = tail(tmp_path, stop=(stop := threading.Event()))
    segment.append([record("first")])
    assert next(tailing).message == "first"
    segment.append([record(str(number)) for number in range(2_000)])
    told = [next(tailing).message]  # of five hundred, and more are in memory
    for _ in range(60):
        segment.append(noise(100))
    segment.close()
    stop.set()
    rest = list(tailing)
    gaps = [one for one in rest if isinstance(one, Gap)]
    told += [one.message for one in rest if one.message.isdigit() and len(one.message) < 5]

    assert told == [str(number) for number in range(2_000)]
    assert sum(one.lost for one in gaps) + len(rest) - len(gaps) + 1 == 2_000 + 6_000


def test_a_tail_takes_five_hundred_lines_of_a_segment_at_a_time(tmp_path, monkeypatch):
    segment = Segment(tmp_path, "b0-7-1.jsonl.zst", frame_records=700)
    sizes = []
    advance = Cursor.advance
    monkeypatch.setattr(
        Cursor, "advance", lambda self, seen: (text := advance(self, seen), sizes.append(text.count(b"\n")))[0]
    )
    told = Told(tmp_path)
    segment.write(*(record(str(number)) for number in range(3_000)))
    told.wait_for(3_000)
    segment.kill()

    assert told.end() == [str(number) for number in range(3_000)]
    assert max(sizes) <= 500


def test_the_exact_directory_is_read_and_nothing_is_made_beside_it_or_in_it(tmp_path):
    segment = Segment(tmp_path / "logs", "b0-7-1.jsonl.zst")
    segment.write(record("first"))
    seen = lambda: {  # noqa: E731
        path: (path.stat().st_ino, path.stat().st_size, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")
    }
    reader = subprocess.Popen(
        [sys.executable, "-c", STOPPED, str(tmp_path / "logs")], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert reader.stdout.readline() == "first\n"
    before = seen()
    with open(f"/proc/{reader.pid}/io") as file:
        written = next(line for line in file if line.startswith("write_bytes"))
    reader.send_signal(signal.SIGINT)
    reader.communicate()
    segment.kill()

    assert seen() == before
    assert written == "write_bytes: 0\n"
