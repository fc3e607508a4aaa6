"""Whatever others have put into the log's directory: it is in nobody's way, and what is not ours is not harmed."""

from __future__ import annotations

import os
import threading

from incident_helpers import CAP, Host, taken

from holdfast.logs import Caps, LogQuery, Record, SegmentWriter
from holdfast.logs.query import query
from holdfast.logs.room import prune
from holdfast.logs.stats import stats as stats_of
from holdfast.logs.tail import tail

MIB = 1 << 20


def sparse(path):
    with open(path, "wb") as file:
        file.truncate(30 << 30)


def crowd(directory):
    """30 GB of files of others, and what is called like a segment and is none."""
    directory.mkdir()
    sparse(directory / "core.dump")
    sparse(directory / "b00t-1-1.jsonl.zst")
    sparse(directory / "b00t-1-2.jsonl")
    (directory / "b00t-1-3.jsonl.zst").mkdir()
    os.mkfifo(directory / "b00t-1-4.jsonl.zst")
    (directory / "b00t-1-5.jsonl.zst").write_bytes(os.urandom(70_000))
    (directory / "b00t-1-6.jsonl.zst").symlink_to(directory / "core.dump")
    (directory / "b00t-1-7.jsonl.zst").symlink_to("/dev/zero")
    (directory / "b00t-1-8.jsonl").write_bytes(b"no json\n" * 1_000)


def test_files_of_others_are_in_nobodys_way(start, tmp_path):
    directory = tmp_path / "logs"
    crowd(directory)
    host = Host(start, directory)
    for _ in range(20):  # more than the cap: segments go
        assert host.does("lines")["dropped"] == 0
        assert taken(directory) <= CAP
    end = host.does("end")

    assert end["written"] == 10_000
    found = query(directory, LogQuery(newest_first=True, limit=1_000))
    assert [int(record.message.split()[1]) for record in found] == list(range(10_000, 9_000, -1))
    assert stats_of(directory).records > 1_000
    assert os.stat(directory / "core.dump").st_size == 30 << 30


def test_who_reads_passes_over_what_is_no_segment(tmp_path):
    directory = tmp_path / "logs"
    crowd(directory)
    writer = SegmentWriter(directory, Caps(bytes=1024 * MIB, free_bytes=0))
    writer.append([Record(id=0, ts=n, level="INFO", target="t", message=f"{n}") for n in range(100)])
    for path in directory.glob("b00t-1-[12]*"):
        assert os.stat(path).st_size == 30 << 30
    over = threading.Event()
    over.set()

    assert len(query(directory, LogQuery(newest_first=True))) == stats_of(directory).records == 100
    assert len(list(tail(directory, LogQuery(limit=10), stop=over))) == 10
    writer.close()


def test_what_has_another_name_elsewhere_is_not_cut_there(start, tmp_path):
    """A backup made of hard links keeps what it has when the segment goes."""
    directory, backup = tmp_path / "logs", tmp_path / "backup"
    host = Host(start, directory)
    host.does("lines")
    host.does("end")
    backup.mkdir()
    for path in directory.glob("*.zst"):
        os.link(path, backup / path.name)
    assert prune(str(directory), Caps(bytes=1, free_bytes=0))
    assert not list(directory.glob("*.zst"))

    assert len(query(backup, LogQuery())) == 500
