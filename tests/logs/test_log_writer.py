"""The log is written in segments: everything kept can be read, the limits hold for all writers together, and nothing
that happens to the disk reaches the caller."""

from __future__ import annotations

import os
import random

import pytest

from holdfast.logs import room
from holdfast.logs.caps import Caps
from holdfast.logs.matching import LogQuery
from holdfast.logs.model import Record
from holdfast.logs.query import query
from holdfast.logs.segments import SegmentWriter
from holdfast.logs.stats import stats
from processes import children

MIB = 1 << 20
ROOMY = Caps(free_bytes=0)

PRELUDE = """
import os, random, time
from holdfast.logs.caps import Caps
from holdfast.logs.model import Record
from holdfast.logs.segments import SegmentWriter
noise = random.Random(os.getpid())
def records(count, size=200):
    said = {"id": 0, "ts": time.time_ns() // 1000, "level": "INFO", "target": "t"}
    return [Record(**said, message=noise.randbytes(size).hex()) for _ in range(count)]
"""

WRITE = """
caps = Caps(bytes=int(sys.argv[2]), free_bytes=0)
writer = SegmentWriter(sys.argv[1], caps)
written = dropped = 0
say("ready")
hear()
for turn in range(int(sys.argv[3])):
    kept = writer.append(records(64))
    written += kept.written
    dropped += kept.dropped
    say(written, dropped)
writer.close()
say("end", written, dropped)
"""


@pytest.fixture
def start():
    with children(PRELUDE) as start:
        yield start


def record(message, ts=1, **more):
    return Record(id=0, ts=ts, level="INFO", target="t", message=message, **more)


def messages(directory, **asked):
    return [each.message for each in query(str(directory), LogQuery(**asked))]


def taken(directory, *, but=()):
    """Return the bytes on the disk, those of files included that the processes ``but`` have open without a name."""
    total = 0
    for path in [*map(str, directory.iterdir()), *(f"/proc/{pid}/fd/{fd}" for pid in but for fd in descriptors(pid))]:
        try:
            stat = os.stat(path)
            if not path.startswith("/proc/") or (stat.st_nlink == 0 and str(directory) in os.readlink(path)):
                total += stat.st_blocks * 512
        except OSError:
            continue  # gone since it was listed
    return total


def descriptors(pid):
    try:
        return os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return []


@pytest.mark.parametrize("compress", [True, False])
def test_what_was_kept_is_read_live_and_sealed(tmp_path, compress):
    writer = SegmentWriter(tmp_path, ROOMY, compress=compress)
    for turn in range(20):
        assert writer.append([record(f"{turn} {n}") for n in range(17)]).written == 17
        assert len(messages(tmp_path)) == 17 * (turn + 1), "a batch is flushed when it is kept"
    writer.close()
    assert messages(tmp_path) == [f"{turn} {n}" for turn in range(20) for n in range(17)]


def test_idle_writes_nothing(tmp_path):
    SegmentWriter(tmp_path / "log", ROOMY).close()
    assert not (tmp_path / "log").exists()


def test_ids_are_unique_and_ascend(tmp_path, start):
    writers = [start(WRITE, tmp_path, 64 * MIB, 20) for _ in range(4)]
    for each in writers:
        assert each.line() == "ready"
        each.tell()
    told = [each.lines()[-1].split() for each in writers]
    found = query(str(tmp_path), LogQuery())
    assert len({each.id for each in found}) == len(found) == sum(int(written) for _, written, _ in told)
    assert sum(int(written) + int(dropped) for _, written, dropped in told) == 4 * 20 * 64
    assert [each.id for each in found] == sorted(each.id for each in found)


def test_any_zstd_reads_it(tmp_path):
    writer = SegmentWriter(tmp_path, ROOMY)
    for turn in range(40):
        writer.append([record(f"{turn} {'x' * 300} {n}") for n in range(64)])
    writer.close()
    from holdfast.logs.frames import zstd

    text = b""
    [path] = tmp_path.glob("*.zst")
    data = path.read_bytes()
    new, _ = zstd()
    while data:
        if data[:4] == b"\x5b\x2a\x4d\x18":  # a skippable frame: a streaming reader passes over it
            data = data[8 + int.from_bytes(data[4:8], "little") :]
            continue
        frame = new()
        text += frame.decompress(data)
        assert frame.eof
        data = frame.unused_data
    assert text.count(b"\n") == 40 * 64


READ = """
import glob
files = []
for path in glob.glob(sys.argv[1] + "/*.zst"):
    try:
        files.append(open(path, "rb"))
    except FileNotFoundError:
        pass
say("open")
hear()
"""


def test_six_writers_two_of_them_stopped_keep_below_the_cap(tmp_path, start):
    cap = 16 * MIB
    endless = [start(WRITE, tmp_path, cap, 1_000_000) for _ in range(2)]
    others = [start(WRITE, tmp_path, cap, 150) for _ in range(4)]
    for each in [*endless, *others]:
        assert each.line() == "ready"
        each.tell()
    for each in endless:
        assert each.line()
        each.stop()
    reader = start(READ, tmp_path)
    assert reader.line() == "open"
    reader.stop()
    highest = 0
    for each in others:
        while not (line := each.line()).startswith("end"):
            assert line
            highest = max(highest, taken(tmp_path, but=[reader.pid]))
    assert highest <= cap
    for each in endless:
        each.kill()
    reader.kill()
    writer = SegmentWriter(tmp_path, Caps(bytes=cap, free_bytes=0))
    assert writer.append([record("what the dead had reserved is free again")]).written == 1
    writer.close()
    assert taken(tmp_path) <= cap
    assert stats(str(tmp_path)).records > 1_000


def test_a_forked_child_writes_a_segment_of_its_own(tmp_path):
    writer = SegmentWriter(tmp_path, ROOMY)
    writer.append([record("before")])
    pid = os.fork()
    if pid == 0:
        writer.abandon_in_child()
        writer.append([record("child")])
        writer.close()
        os._exit(0)
    os.waitpid(pid, 0)
    writer.append([record("parent")])
    writer.close()
    assert sorted(messages(tmp_path)) == ["before", "child", "parent"]
    assert len({each.id for each in query(str(tmp_path), LogQuery())}) == 3
    assert len(list(tmp_path.glob("*.zst"))) == 2


def test_deleting_hides_and_counts_exactly_and_takes_whole_segments(tmp_path):
    writer = SegmentWriter(tmp_path, ROOMY)
    writer.append([record("old", ts=ts) for ts in range(10)])
    writer.seal()
    writer.append([record("old", ts=10), record("new", ts=20)])
    assert room.delete_before(str(tmp_path), 15) == 11
    assert messages(tmp_path) == ["new"]
    assert room.delete_before(str(tmp_path), 15) == 0
    writer.append([record("told late", ts=5)])
    writer.close()
    assert sorted(messages(tmp_path)) == ["new", "told late"]
    assert len(list(tmp_path.glob("*.zst"))) == 1


def test_the_day_has_an_end(tmp_path):
    writer = SegmentWriter(tmp_path, Caps(bytes=64 * MIB, free_bytes=0, bytes_per_day=2 * MIB))
    noise = random.Random(1)
    kept = writer.append([record("x")])
    while kept.written:
        kept = writer.append([record(noise.randbytes(500).hex()) for _ in range(64)])
    assert "today" in kept.why
    assert taken(tmp_path) <= 3 * MIB
