"""Bytes of databases and texts of /proc, as what the doctor knows of them."""

from __future__ import annotations

import struct

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.doctor.facts import parse
from holdfast.doctor.probes.outside import users, words

SALTS = b"new_salt"
FRAME = 24 + 512


def log(frames):
    """Return a log of frames, each ``(salts, pages of the commit or 0)``, and a function that reads it."""
    head = struct.pack(">4I", 0x377F0682, 3_007_000, 512, 7) + SALTS + bytes(8)
    data = head + b"".join(struct.pack(">II", 1, commit) + salts + bytes(8 + 512) for salts, commit in frames)
    return parse.log_head(data), lambda at, size: data[at : at + size]


# --- databases -------------------------------------------------------------------


@pytest.mark.parametrize("page_bytes", [512, 4_096, 65_536])
@pytest.mark.parametrize(("vacuum", "name"), [(0, "none"), (1, "full"), (2, "incremental")])
def test_a_header_says_what_sqlite_says(tmp_path, page_bytes, vacuum, name):
    connection = apsw.Connection(str(tmp_path / "x.db"))
    connection.execute(f"PRAGMA page_size = {page_bytes}; PRAGMA auto_vacuum = {vacuum}; PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(300000)); DELETE FROM t")
    pages, free = (connection.execute(f"PRAGMA {what}").fetchall()[0][0] for what in ("page_count", "freelist_count"))
    connection.close()

    header = parse.header((tmp_path / "x.db").read_bytes()[: parse.HEADER_BYTES])

    assert (header.page_bytes, header.auto_vacuum, header.in_wal_mode) == (page_bytes, name, True)
    assert (header.pages, header.free_pages) == (pages, free)
    assert users.said(header.written_by) == apsw.sqlite_lib_version()


@given(st.binary(max_size=200))
def test_bytes_that_are_no_database_no_log_and_no_index_say_nothing(data):
    assert parse.header(data) is None
    assert parse.log_head(data) is None
    assert parse.index(data) is None


def test_a_log_says_its_generation():
    head, _ = log([])

    assert (head.page_bytes, head.checkpoints, head.salts, head.frame_bytes) == (512, 7, SALTS, FRAME)


@given(st.lists(st.booleans(), max_size=40), st.integers(0, 40))
def test_frames_count_up_to_the_last_commit_of_their_generation(commits, older):
    head, read = log([(SALTS, int(commit)) for commit in commits] + [(b"old_salt", 1)] * older)

    found = parse.live_frames(head, len(commits) + older, read)

    assert found == max((number for number, commit in enumerate(commits, start=1) if commit), default=0)


def test_the_end_of_a_long_log_is_found_by_few_reads():
    asked = []

    def read(at, size):
        asked.append(size)
        is_ours = (at - 32) // FRAME < 2_000_000
        return (struct.pack(">II", 1, 1) + (SALTS if is_ours else b"old_salt"))[(at - 32) % FRAME :][:size]

    assert parse.live_frames(log([])[0], 20_000_000, read) == 2_000_000
    assert len(asked) < 30


def test_a_transaction_too_long_to_look_back_over_is_not_guessed():
    head, _ = log([])

    assert parse.live_frames(head, 100_000, lambda at, size: (bytes(8) + SALTS)[(at - 32) % FRAME :][:size]) is None


def test_an_index_says_how_far_log_database_and_readers_are():
    head = struct.pack("=IIIBBHIIII", 3_007_000, 0, 9, 1, 0, 4_096, 120, 30, 0, 0) + SALTS + bytes(8)
    data = head + head + struct.pack("=6I", 40, 0, 80, 0xFFFFFFFF, 120, 0xFFFFFFFF) + bytes(16)

    index = parse.index(data)

    assert (index.frames, index.copied, index.pages, index.page_bytes, index.changes) == (120, 40, 30, 4_096, 9)
    assert index.marks == (0, 80, None, 120, None)
    assert index.salts == SALTS
    assert index.is_whole
    assert not parse.index(data[:8] + b"\x63" + data[9:]).is_whole


# --- /proc -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["python", "a b", "(x) y", ") S 1 2", "é"])
def test_a_process_may_be_called_anything(name):
    text = f"42 ({name}) T 7 42 42 0 -1 4194560 1 2 3 4 100 20 5 6 20 0 1 0 987654 1 2\n"

    seen = parse.stat(text)

    assert (seen.name, seen.state, seen.parent, seen.cpu_ticks, seen.began_ticks) == (name, "T", 7, 120, 987_654)


@pytest.mark.parametrize("text", ["", "42", "42 (x)", "42 (x) S 1"])
def test_of_a_process_that_went_meanwhile_nothing_is_said(text):
    assert parse.stat(text) is None


def test_limits_and_writes_are_read_by_their_names():
    limits = "Limit Soft Limit Hard Limit Units\nMax open files            1024                 4096       files\n"

    assert parse.soft_limit(limits) == 1_024
    assert parse.soft_limit(limits.replace("1024", "unlimited")) is None
    assert parse.written_bytes("wchar: 7\nwrite_bytes: 4096\ncancelled_write_bytes: 1024\n") == 3_072
    assert parse.written_bytes("") is None


def test_a_mapping_says_which_file_it_is_of():
    line = "7f00-7f01 rw-s 00000000 fe:02 2261474                    /home/me/a b.sqlite-shm (deleted)\n"

    found = parse.mapped(line)

    assert (found.device, found.inode, found.name, found.deleted) == (
        (0xFE, 2),
        2_261_474,
        "/home/me/a b.sqlite-shm",
        True,
    )
    assert parse.mapped("7f00-7f01 rw-p 00000000 00:00 0 \n") is None
    assert parse.mapped("7f00-7f01 rw-p 00000000 00:00 0    [heap]\n") is None


def test_watches_are_read_by_inode_and_the_kernels_device():
    text = (
        "pos:\t0\nflags:\t02004000\nmnt_id:\t16\nino:\t1060\n"
        "inotify wd:2 ino:28e7d7 sdev:fe00002 mask:fff ignored_mask:0 fhandle-bytes:8 fhandle-type:1 f_handle:d7e7\n"
        "inotify wd:1 ino:2 sdev:800001 mask:2 ignored_mask:0 fhandle-bytes:8 fhandle-type:1 f_handle:02\n"
    )

    found = list(parse.watches(text))

    assert [(each.device, each.inode, each.mask) for each in found] == [((0xFE, 2), 0x28E7D7, 0xFFF), ((8, 1), 2, 2)]


def test_locks_of_a_descriptor_are_read_in_the_words_of_the_table():
    text = "pos:\t0\nlock:\t1: OFDLCK ADVISORY  READ -1 fd:00:123 128 128\nflags:\t02\n"

    assert list(parse.fdinfo_locks(text)) == ["1: OFDLCK ADVISORY  READ -1 fd:00:123 128 128"]


# --- versions --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "version"),
    [
        (b"x\x003.40.1\x00y", 3_040_001),
        (b"x\x003.51.3\x00y\x003.51.3\x00", 3_051_003),
        (b"x\x003.51.3\x00y\x003.11.7\x00", None),  # which of them is it
        (b"3.40.1", None),
        (b"", None),
    ],
)
def test_a_library_says_its_version_when_it_says_one(data, version):
    assert parse.version(data) == version


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        (3_006_023, False), (3_007_000, True), (3_040_001, True), (3_044_005, True), (3_044_006, False),
        (3_045_000, True), (3_050_006, True), (3_050_007, False), (3_051_000, True), (3_051_002, True),
        (3_051_003, False), (3_052_000, False),
    ],
)  # fmt: skip
def test_versions_with_the_wal_reset_bug(version, affected):
    assert users.is_affected(version) == affected


def test_versions_and_sizes_are_said_as_people_do():
    assert users.said(3_044_006) == "3.44.6"
    assert [words.size(n) for n in (0, 1_023, 1_024, 150 << 20, 11 << 30)] == [
        "0 bytes",
        "1,023 bytes",
        "1.0 KiB",
        "150 MiB",
        "11.0 GiB",
    ]
