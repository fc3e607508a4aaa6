"""The log on a disk that is small, full, crowded or taken away: an answer each time, and not a byte too many."""

from __future__ import annotations

import errno
import os
import random
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from holdfast.logs import Caps, LogQuery, Record, SegmentWriter, retention
from holdfast.logs.query import query
from holdfast.logs.stats import stats
from processes import Child

KIB, MIB = 1 << 10, 1 << 20
ROOMY = Caps(free_bytes=0)


@pytest.fixture
def noise():
    return random.Random(1)


@pytest.fixture
def mounted(tmp_path):
    """Mount a disk of its own (tmpfs(5)); where none may be mounted the tests that need one end at once."""
    made = []

    def mount(options):
        path = tmp_path / f"disk{len(made)}"
        path.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], capture_output=True)
        if done.returncode:
            pytest.skip("no disk may be mounted here")
        made.append(path)
        return path

    yield mount
    for path in made:
        subprocess.run(["umount", "-l", path], check=True)


def record(message, **more):
    return Record(id=0, message=message, **{"ts": 1, "level": "INFO", "target": "t", **more})


def some(noise, count=64):
    return [record(noise.randbytes(500).hex()) for _ in range(count)]


def messages(directory):
    return [each.message for each in query(str(directory), LogQuery())]


def again(writer):
    """Let a writer ask the disk at once, as it does a quarter of a second after trouble."""
    writer._retry_ns = 0
    return writer


# --- journald's two rules, and files -----------------------------------------------------


def test_a_tenth_of_a_small_disk_is_all_it_takes(mounted, noise):
    disk = mounted("size=20m")
    writer = SegmentWriter(disk / "log")
    for _ in range(200):
        assert writer.append(some(noise)).written == 64
    assert 1 * MIB < stats(disk / "log").taken_bytes <= 2 * MIB
    writer.close()


def test_what_is_to_stay_free_stays_free_and_it_goes_on_when_there_is_room_again(mounted, noise):
    disk = mounted("size=20m")
    log = disk / "log"
    writer = SegmentWriter(log)
    assert writer.append([record("first")]).written == 1
    foreign = disk / "core"
    foreign.write_bytes(bytes(17 * MIB))
    for _ in range(10):
        kept = again(writer).append(some(noise))
    assert "stay free" in kept.why
    taken, size = stats(log).taken_bytes, stats(log).bytes
    for _ in range(5):
        assert again(writer).append(some(noise)).written == 0
    assert (stats(log).taken_bytes, stats(log).bytes) == (taken, size), "not one byte"
    foreign.unlink()
    assert again(writer).append([record("room again")]).written == 1
    writer.close()
    assert messages(log)[-1] == "room again"
    assert stats(log).refused["free"] >= 6 * 64


def test_a_disk_with_little_room_for_files_gets_none(mounted):
    disk = mounted("size=20m,nr_inodes=100")
    for number in range(92):
        (disk / f"foreign{number}").touch()
    writer = SegmentWriter(disk / "log")
    kept = writer.append([record("x")])
    assert kept.written == 0
    assert "more files" in kept.why
    for number in range(20):
        (disk / f"foreign{number}").unlink()
    assert again(writer).append([record("x")]).written == 1
    writer.close()


def test_on_a_disk_with_less_room_than_the_limit_the_oldest_go_and_nothing_is_dropped(mounted, noise):
    disk = mounted("size=8m")
    (disk / "foreign").write_bytes(bytes(7 * MIB + 512 * KIB))
    writer = SegmentWriter(disk / "log", ROOMY)
    for _ in range(300):
        assert writer.append(some(noise)).dropped == 0
    writer.close()
    assert stats(disk / "log").pruned["free"].segments > 0


def test_a_segment_that_gets_no_room_leaves_no_file_behind(tmp_path, monkeypatch):
    def over_quota(fd, offset, length):
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    writer = SegmentWriter(tmp_path, ROOMY)
    with monkeypatch.context() as patched:
        patched.setattr("holdfast.logs.stream._allocate", over_quota)
        for _ in range(5):
            assert "quota" in again(writer).append([record("x")]).why
    assert list(tmp_path.glob("*.jsonl*")) == []
    assert again(writer).append([record("x")]).written == 1
    writer.close()


def test_a_disk_that_is_read_only_is_an_answer(mounted):
    disk = mounted("size=8m")
    writer = SegmentWriter(disk / "log", ROOMY)
    assert writer.append([record("before")]).written == 1
    writer.close()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    kept = writer.append([record("lost")])
    assert kept.dropped == 1
    assert "Read-only" in kept.why
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    assert again(writer).append([record("after")]).written == 1
    writer.close()
    assert messages(disk / "log") == ["before", "after"]
    assert stats(disk / "log").refused == {"error": 1}


# --- places that change under a live writer ------------------------------------------------


def test_a_segment_that_was_exchanged_gets_no_further_byte(tmp_path):
    writer = SegmentWriter(tmp_path, ROOMY)
    writer.append([record("before")])
    [path] = tmp_path.glob("*.zst")
    moved = tmp_path / "moved"
    path.rename(moved)
    path.write_bytes(b"of somebody else")
    size = moved.stat().st_size
    assert writer.append([record("after")]).written == 1
    writer.close()
    assert moved.stat().st_size == size
    assert path.read_bytes() == b"of somebody else"
    path.unlink()
    assert messages(tmp_path) == ["after"]


def test_a_directory_that_became_a_file_is_an_answer_and_the_file_stays(tmp_path):
    log = tmp_path / "log"
    writer = SegmentWriter(log, ROOMY)
    writer.append([record("before")])
    shutil.rmtree(log)
    log.write_text("of somebody else")
    for _ in range(3):
        assert again(writer).append([record("lost")]).dropped == 1
    writer.close()
    assert log.read_text() == "of somebody else"


LOCK = """
import fcntl
file = open(sys.argv[1], "rb")
fcntl.flock(file, fcntl.LOCK_EX)
say("locked")
hear()
"""


def test_the_lock_of_a_stopped_process_keeps_nobody_from_room_it_has(tmp_path, noise):
    writer = SegmentWriter(tmp_path, ROOMY)
    writer.append(some(noise, 4))
    stopped = Child(LOCK, tmp_path / "lock")
    try:
        assert stopped.line() == "locked"
        stopped.stop()
        for _ in range(35):  # more than half of what is reserved at first: it asks, and does not wait
            assert writer.append(some(noise, 4)).written == 4
        other = SegmentWriter(tmp_path, ROOMY)
        kept = other.append([record("lost")])
        assert kept.dropped == 1
        assert "lock is locked by" in kept.why
    finally:
        stopped.kill()
        stopped.end()
    writer.close()
    other.close()
    assert len(messages(tmp_path)) == 36 * 4
    assert stats(tmp_path).refused == {"busy": 1}


# --- what it leaves behind -----------------------------------------------------------------


def test_nobody_else_may_read_it_whatever_the_mask(tmp_path, noise):
    log = tmp_path / "above" / "log"
    before = os.umask(0)
    try:
        retention(log, bytes="8MiB", keep_free=0)
        writer = SegmentWriter(log)
        for _ in range(120):
            writer.append([*some(noise, 63), record("x", thread_id="t")])
        writer.close()
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in log.iterdir()}
    assert {"lock", "slots", "caps.json", "account.json"} <= modes.keys()
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(log.stat().st_mode) == stat.S_IMODE(log.parent.stat().st_mode) == 0o700


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def open_and_close(directory, times):
    before = descriptors()
    for _ in range(times):
        writer = SegmentWriter(directory, ROOMY)
        writer.append([record("x")])
        assert descriptors() <= before + 4
        writer.close()
    assert descriptors() == before


def test_opening_and_closing_leaves_no_descriptor(tmp_path):
    open_and_close(tmp_path, 200)
    assert stats(tmp_path).records == 200


@pytest.mark.torture
def test_opening_and_closing_ten_thousand_times_leaves_no_descriptor(tmp_path):
    retention(tmp_path, records=1_000)
    open_and_close(tmp_path, 10_000)


def test_with_two_streams_there_are_four_descriptors_at_most(tmp_path, noise):
    before = descriptors()
    writer = SegmentWriter(tmp_path, Caps(bytes=4 * MIB, free_bytes=0))
    for _ in range(60):
        writer.append([record(each.message, thread_id="loud") for each in some(noise)])
        writer.append([record("x")])
        assert descriptors() <= before + 4
    assert stats(tmp_path).apart == "loud"
    writer.close()
    assert descriptors() == before


# --- bytes -----------------------------------------------------------------------------------


def handed_over():
    """Return the bytes this process passed to write(2) so far (proc(5), wchar)."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar"))


def written_for(writer, batches):
    before = handed_over()
    for batch in batches:
        assert writer.append(batch).written == len(batch)
    return (handed_over() - before) / sum(len(each.message) for batch in batches for each in batch)


def test_at_the_cap_a_record_costs_no_more_bytes_than_in_an_empty_log(tmp_path, noise):
    writer = SegmentWriter(tmp_path, Caps(bytes=2 * MIB, free_bytes=0))
    batches = [some(noise) for _ in range(60)]
    empty = written_for(writer, batches)
    for batch in batches:
        writer.append(batch)
    assert stats(tmp_path).pruned["bytes"].segments > 3
    full = written_for(writer, batches)
    writer.close()
    assert full <= 1.05 * empty  # what went is told in two small files
    assert full <= 0.6


@pytest.mark.parametrize("size", [1, 16, 256])
def test_random_text_costs_less_than_it_says_in_batches_of_any_size(tmp_path, noise, size):
    said = [record(noise.randbytes(100).hex(), ts=1_764_000_000_000_000 + n * 997) for n in range(2_048)]
    writer = SegmentWriter(tmp_path, ROOMY)
    assert written_for(writer, [said[at : at + size] for at in range(0, len(said), size)]) <= 0.8
    writer.close()
