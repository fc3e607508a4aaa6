"""What a closed segment says at its end spares a reader the rest; without it, and damaged, nothing else changes."""

from __future__ import annotations

import random
import subprocess
import sys

import msgspec
import pytest
from log_segments import T0, Segment, record, some_records

from holdfast.logs import Caps, SegmentWriter, format, frames
from holdfast.logs.matching import LogQuery
from holdfast.logs.query import query
from holdfast.logs.reading import SegmentFile, listing
from holdfast.logs.stats import stats
from holdfast.logs.tail import tail

SEED = 20261126


def written_by_ours(directory, count=3_000, **more):
    """Write a closed segment with a few frames; return its path and its records."""
    writer = SegmentWriter(directory, Caps(free_bytes=0))
    rng = random.Random(SEED)
    said = []
    for _ in range(0, count, 100):
        batch = [record(f"{rng.getrandbits(300):x}", thread_id=f"t-{rng.randrange(50)}") for _ in range(100)]
        assert writer.append(batch).written == 100
        said += batch
    writer.close()
    [path] = directory.glob("*.zst")
    return path, said


def test_of_a_closed_segment_only_the_end_and_the_frames_wanted_are_read(tmp_path, monkeypatch):
    path, said = written_by_ours(tmp_path)
    read = []
    piece = SegmentFile.piece
    monkeypatch.setattr(
        SegmentFile, "piece", lambda self, begin, end: read.append(end - begin) or piece(self, begin, end)
    )

    assert query(tmp_path, LogQuery(newest_first=True, limit=3)) == said[:-4:-1]
    [file] = listing(str(tmp_path))
    all_frames = [stretch.end - stretch.begin for stretch in SegmentFile(file).stretches()]
    assert len(all_frames) > 1
    read.clear()
    assert query(tmp_path, LogQuery(from_us=1 << 60)) == []
    assert len(read) == 1
    assert sum(read) < path.stat().st_size


def test_the_index_says_what_the_summaries_say(tmp_path):
    path, said = written_by_ours(tmp_path)
    [segment] = listing(str(tmp_path))
    indexed = list(SegmentFile(segment).stretches())
    data = path.read_bytes()
    path.write_bytes(data[: indexed[0].end])
    [cut] = listing(str(tmp_path))

    assert list(SegmentFile(cut).stretches()) == indexed
    assert sum(stretch.summary.count for stretch in indexed) == len(said)
    assert query(tmp_path) == said


def small_segment(directory, *, indexed):
    said = some_records(random.Random(SEED), 9)
    segment = Segment(directory, "b0-7-1.jsonl.zst", frame_records=3)
    segment.write(*said)
    if indexed:
        segment.close()
    else:
        segment.kill()
    return segment.path, said


def flip_each_byte(tmp_path, indexed, flips):
    path, said = small_segment(tmp_path, indexed=indexed)
    data = path.read_bytes()
    whole = {one.id: one for one in said}
    for place in range(len(data)):
        for flip in flips(place):
            harm = bytearray(data)
            harm[place] ^= flip
            path.write_bytes(harm)
            found = query(tmp_path)

            assert all(one == whole.get(one.id) for one in found), place
            assert [one.id for one in found] == sorted({one.id for one in found})
            lost = {number // 3 for number, one in enumerate(said) if one not in found}
            assert len(lost) <= 1, (place, lost)
            if place % 8 == 0:
                assert list(tail(tmp_path, LogQuery(limit=2), follow=False)) == found[-2:]
                stats(tmp_path)
    path.write_bytes(data)
    assert query(tmp_path) == said


@pytest.mark.parametrize("indexed", [True, False], ids=["closed", "killed"])
def test_a_byte_that_flipped_costs_its_frame_at_most_and_makes_up_nothing(tmp_path, indexed):
    flip_each_byte(tmp_path, indexed, lambda place: [1 << place % 8])


@pytest.mark.torture
@pytest.mark.parametrize("indexed", [True, False], ids=["closed", "killed"])
def test_any_byte_in_the_place_of_any_byte(tmp_path, indexed):
    flip_each_byte(tmp_path, indexed, lambda place: range(1, 256))


@pytest.mark.torture
def test_damage_of_any_kind_never_makes_a_reader_raise(tmp_path):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    path, said = small_segment(tmp_path, indexed=True)
    data = path.read_bytes()
    whole = {one.id: one for one in said}
    for _ in range(50_000):
        harm = bytearray(data)
        for _ in range(rng.randint(1, 5)):
            begin = rng.randrange(len(harm))
            end = begin + rng.choice([1, 1, 4, 60])
            harm[begin:end] = rng.choice([b"", rng.randbytes(end - begin), bytes(end - begin), harm[begin:end] * 2])
        path.write_bytes(harm)
        for one in query(tmp_path):
            assert one == whole.get(one.id), seed
        stats(tmp_path)


def bomb(blocks):
    """Return a zstd frame of ``blocks`` times 128 KiB of zeros; each takes four bytes."""
    block = lambda last: (last | 1 << 1 | (128 << 10) << 3).to_bytes(3, "little") + b"\0"  # noqa: E731
    return format.FRAME_MAGIC + b"\x00\x58" + block(0) * (blocks - 1) + block(1)


def claims(data, text_bytes):
    summary = format.Summary(
        frame_bytes=len(data), text_bytes=text_bytes, count=1, first_ts=T0, last_ts=T0, first_id=1, last_id=1,
        levels={"INFO": 1}, targets=[], more_targets=True, threads=[], more_threads=True, threadless=1, dropped={},
    )  # fmt: skip
    return data + format.skippable(msgspec.json.encode(summary), format.TRAILER_MAGIC)


BOUNDED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]),) * 2)
from holdfast.logs.query import query
from holdfast.logs.stats import stats
from holdfast.logs.tail import tail
from holdfast.logs.following import Cursor
from holdfast.logs.reading import listing
log = sys.argv[1]
print([one.message for one in query(log)], [one.message for one in tail(log, follow=False)])
stats(log)
for segment in listing(log):
    cursor = Cursor()
    while cursor.is_behind(segment): cursor.advance(segment)
"""


def test_what_claims_to_be_huge_takes_no_memory(tmp_path):
    good = Segment(tmp_path, "b0-7-1.jsonl.zst")
    good.write(record("ours"))
    good.close()
    huge = bomb(16_384)  # 2 GB
    claimed_size = format.FRAME_MAGIC + b"\xe0" + (2 << 30).to_bytes(8, "little") + huge[6:]
    window = format.FRAME_MAGIC + b"\x00\xa8" + huge[6:]  # 2 GB
    skip = format.SUMMARY_MAGIC + (2 << 30).to_bytes(4, "little")
    frames_of = (huge, claims(huge, 2 << 30), claims(huge, 300), claimed_size, window, skip, bomb(200_000))
    for number, data in enumerate(frames_of):
        (tmp_path / f"b0-8-{number}.jsonl.zst").write_bytes(data)
    done = subprocess.run([sys.executable, "-c", BOUNDED, str(tmp_path), str(1 << 30)], capture_output=True, text=True)

    assert done.stdout == "['ours'] ['ours']\n", done.stderr
    assert done.returncode == 0, done.stderr
    assert len(frames.whole(bomb(100), 1 << 20)) == 0
