from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

import msgspec
import pytest

from holdfast import ids
from holdfast.rollouts.facts import ThreadFacts
from holdfast.rollouts.reading import scan, verify

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ID = "01a1fa08-1a40-7dd2-ac5c-7d4be4ce5348"
OTHER = "01a1fa08-1b0f-7521-bbfc-b63efb3a9c41"
V4 = "5c94dcb7-cb17-4d15-a8d1-e4c31d98ef9a"
STAMP = "2026-11-20T17:36:14.869Z"


def line(kind: str, payload: object) -> bytes:
    return json.dumps({"timestamp": STAMP, "type": kind, "payload": payload}).encode() + b"\n"


META = line("session_meta", {"id": ID, "timestamp": STAMP, "cwd": "/home/dev"})
HELLO = line("event_msg", {"type": "user_message", "message": "hello"})
AGAIN = line("event_msg", {"type": "user_message", "message": "again"})
TURN = line("event_msg", {"type": "task_started", "turn_id": "t"})


def compressed(content: bytes) -> bytes:
    packed: bytes = zstd.compress(content)
    return packed


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / f"rollout-2026-11-20T17-36-14-{ID}.jsonl"


def codes(path: Path, **how) -> list[str]:
    return [problem.code for problem in scan(str(path), **how).problems]


def test_a_healthy_file_has_no_problems(file):
    file.write_bytes(META + HELLO)

    found = scan(str(file))

    assert (found.status, found.problems, found.tail_bytes) == ("ok", [], 0)
    assert (found.offset, found.size, found.inode) == (
        len(META + HELLO),
        len(META + HELLO),
        file.stat().st_ino,
    )
    assert found.mtime_ns == file.stat().st_mtime_ns
    assert found.facts is not None
    assert found.facts.title == "hello"


# The end of a file


def test_a_torn_last_line_is_named_and_not_folded(file):
    file.write_bytes(META + HELLO + AGAIN[:30])

    found = scan(str(file))

    assert [(p.code, p.first_offset) for p in found.problems] == [("tail-torn", len(META + HELLO))]
    assert (found.status, found.offset, found.tail_bytes) == ("ok", len(META + HELLO), 30)
    assert found.facts is not None
    assert (found.facts.lines, found.facts.lines_unread) == (2, 0)


def test_a_torn_line_that_was_ended_later_costs_only_itself(file):
    file.write_bytes(META + HELLO[:30])
    first = scan(str(file))
    file.write_bytes(META + HELLO[:30] + b"\n" + AGAIN)

    found = scan(str(file), facts=first.facts, offset=first.offset)

    assert [(p.code, p.count, p.first_offset) for p in found.problems] == [("line-unread", 1, len(META))]
    assert found.facts is not None
    assert found.facts.title == "again"


def test_a_tail_of_nul_bytes_is_named(file):
    file.write_bytes(META + b"\0" * 4096)

    assert codes(file) == ["tail-nul"]
    assert scan(str(file)).offset == len(META)


def test_a_last_line_that_only_lacks_its_newline_counts(file):
    file.write_bytes(META + HELLO[:-1])

    found = scan(str(file))

    assert [problem.code for problem in found.problems] == ["tail-unterminated"]
    assert found.offset == len(META)
    assert found.facts is not None
    assert found.facts.title == "hello"


def test_a_line_folded_without_its_newline_is_not_folded_twice(file):
    file.write_bytes(META + TURN[:-1])
    first = scan(str(file))
    file.write_bytes(META + TURN + HELLO)

    found = scan(str(file), facts=first.facts, offset=first.offset)

    assert found.facts == scan(str(file)).facts
    assert found.facts is not None
    assert found.facts.turns == 1


def test_a_meta_alone_and_unended_is_a_thread(file):
    file.write_bytes(META[:-1])

    assert scan(str(file)).status == "ok"
    assert verify(str(file)) == ids.parse(ID)


# Going on where the last scan ended


def test_going_on_gives_what_reading_all_of_it_gives(file):
    file.write_bytes(META + HELLO)
    first = scan(str(file))
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(first.facts), type=ThreadFacts)
    file.write_bytes(META + HELLO + TURN + b"torn\n" + AGAIN)

    found = scan(str(file), facts=kept, offset=first.offset)

    assert found.facts == scan(str(file)).facts
    assert found.problems == scan(str(file)).problems


def test_a_file_that_was_written_anew_is_read_from_its_beginning(file):
    file.write_bytes(META + HELLO)
    first = scan(str(file))
    file.write_bytes(META.replace(b"/home/dev", b"/other/directory") + AGAIN * 3)

    found = scan(str(file), facts=first.facts, offset=first.offset)

    assert found.facts == scan(str(file)).facts


def test_a_file_that_became_shorter_is_read_from_its_beginning(file):
    file.write_bytes(META + HELLO + AGAIN)
    first = scan(str(file))
    file.write_bytes(META)

    found = scan(str(file), facts=first.facts, offset=first.offset)

    assert found.facts == scan(str(file)).facts


# The middle of a file


@pytest.mark.parametrize(
    ("bad", "code", "lost"),
    [
        (b"not json\n", "line-unread", 1),
        (HELLO[:40] + b"\n", "line-unread", 1),
        (b"\0" * 99 + b"\n", "line-unread", 1),
        (b"[" * 100_000 + b"\n", "line-unread", 1),
        (HELLO.replace(b"hello", b"he\xffllo"), "line-repaired", 0),
        (b"\0" * 99 + HELLO, "line-repaired", 0),
    ],
    ids=["no json", "torn", "nul", "deep", "bad byte", "hole"],
)
def test_one_bad_line_costs_that_line_and_is_named_with_its_place(file, bad, code, lost):
    file.write_bytes(META + TURN + bad + AGAIN)

    found = scan(str(file))

    assert found.status == "ok"
    assert [(p.code, p.count, p.first_offset) for p in found.problems] == [(code, 1, len(META + TURN))]
    assert found.facts is not None
    assert found.facts.lines == 4 - lost


def test_carriage_returns_and_blank_lines_are_no_problem(file):
    file.write_bytes((META + b"\n" + HELLO + b"  \n").replace(b"\n", b"\r\n"))

    found = scan(str(file))

    assert (found.status, found.problems) == ("ok", [])
    assert found.facts is not None
    assert found.facts.lines == 2


def test_a_line_without_end_is_passed_over_and_the_rest_is_read(file):
    file.write_bytes(META + b"x" * 3_000_000 + b"\n" + HELLO)

    found = scan(str(file), line_bytes_max=1_000_000)

    assert [(p.code, p.first_offset, p.detail) for p in found.problems] == [
        ("line-too-long", len(META), "a line of 3000000 bytes")
    ]
    assert found.facts is not None
    assert found.facts.title == "hello"


def test_a_meta_that_does_not_come_first_is_found_and_named(file):
    file.write_bytes(TURN + b"bad\n" + META + HELLO)

    assert codes(file) == ["line-unread", "meta-late"]
    assert scan(str(file)).status == "ok"
    assert verify(str(file)) == ids.parse(ID)


def test_a_fork_that_copied_its_origin_is_healthy_and_its_own(file):
    file.write_bytes(META + META.replace(ID.encode(), OTHER.encode()) + HELLO)

    found = scan(str(file))

    assert (found.status, found.problems) == ("ok", [])
    assert found.facts is not None
    assert found.facts.thread_id == ids.parse(ID)
    assert verify(str(file)) == ids.parse(ID)


# What is no thread, or no file


@pytest.mark.parametrize("content", [b"", b"\n\n", b"  \r\n"])
def test_a_file_without_lines_is_empty(file, content):
    file.write_bytes(content)

    assert (scan(str(file)).status, verify(str(file))) == ("empty", None)


@pytest.mark.parametrize(
    "content", [HELLO, b"\xff\xfe\x00rubbish\n" * 9, META[:50], b"\0" * 1000, b"[" * 1_000_000], ids=range(5)
)
def test_a_file_without_a_meta_says_so_and_keeps_the_rest(file, content):
    file.write_bytes(content)

    found = scan(str(file))

    assert (found.status, verify(str(file))) == ("no-meta", None)
    assert found.facts is not None
    assert found.facts.title == ("hello" if content == HELLO else "")


def test_the_file_name_dates_a_thread_that_nothing_else_does(file):
    file.write_bytes(line("session_meta", {"id": V4}) + HELLO)

    facts = scan(str(file)).facts

    assert facts is not None
    assert facts.created_ms == facts.recency_ms == 1795196174000


def test_what_is_no_file_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "fifo.jsonl")
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "zero.jsonl").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "socket.jsonl"))

        for name in ("fifo", "folder", "zero", "socket"):
            assert scan(str(tmp_path / f"{name}.jsonl")).status == "not-regular"
            assert verify(str(tmp_path / f"{name}.jsonl")) is None


def test_what_is_not_there_is_gone(tmp_path):
    assert scan(str(tmp_path / "x.jsonl")).status == "gone"
    assert scan("sessions/x.jsonl", home=str(tmp_path / "no home")).status == "gone"
    assert verify(str(tmp_path / "x.jsonl")) is None


def test_what_the_system_will_not_give_is_unreadable_and_says_why(tmp_path):
    path = tmp_path / "loop.jsonl"
    path.symlink_to(path)

    found = scan(str(path))

    assert found.status == "unreadable"
    assert "symbolic links" in found.detail


def test_reading_leaves_no_trace(file):
    file.write_bytes(META + HELLO)
    os.utime(file, ns=(1, 1))
    before = file.stat()

    scan(str(file))
    verify(str(file))

    assert file.stat().st_atime_ns == before.st_atime_ns
    assert file.stat() == before


# Compressed files


def test_a_compressed_file_gives_what_the_plain_one_gave(file):
    file.write_bytes(META + HELLO * 500 + TURN)
    plain = scan(str(file))
    packed = Path(f"{file}.zst")
    packed.write_bytes(compressed(file.read_bytes()))
    file.unlink()

    found = scan(str(file))

    assert (found.status, found.zst, found.path) == ("ok", True, str(file))
    assert (found.facts, found.offset, found.problems) == (plain.facts, plain.offset, [])
    assert found.size == packed.stat().st_size
    assert verify(str(file)) == verify(str(packed)) == ids.parse(ID)


def test_a_file_that_was_made_plain_again_meanwhile_is_found(file):
    file.write_bytes(META)

    found = scan(str(file), zst=True)

    assert (found.status, found.zst) == ("ok", False)


def test_frames_one_behind_the_other_are_one_text(file):
    Path(f"{file}.zst").write_bytes(compressed(META) + compressed(HELLO[:20]) + compressed(HELLO[20:]))

    found = scan(str(file))

    assert found.facts is not None
    assert (found.status, found.facts.title, found.problems) == ("ok", "hello", [])


def test_a_truncated_compressed_file_gives_what_can_be_decoded(file):
    lines = b"".join(line("event_msg", {"type": "agent_message", "message": os.urandom(99).hex()}) for _ in range(9000))
    whole = compressed(META + HELLO + lines)
    Path(f"{file}.zst").write_bytes(whole[: len(whole) // 2])

    found = scan(str(file))

    assert (found.status, "zst-truncated" in [p.code for p in found.problems]) == ("ok", True)
    assert found.facts is not None
    assert found.facts.lines > 1000


def test_a_corrupt_compressed_file_is_named(file):
    whole = bytearray(compressed(META + HELLO) + compressed(AGAIN))
    whole[-10:] = b"\xff" * 10
    Path(f"{file}.zst").write_bytes(whole)

    found = scan(str(file))

    assert found.status == "ok"
    assert found.problems[-1].code in {"zst-corrupt", "zst-truncated"}


def test_a_file_that_only_claims_to_be_compressed_is_named(file):
    Path(f"{file}.zst").write_bytes(META)

    found = scan(str(file))

    assert (found.status, [p.code for p in found.problems]) == ("unreadable", ["zst-corrupt"])
    assert found.detail
