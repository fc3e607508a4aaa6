from __future__ import annotations

import json
import os
import shutil
import uuid
from pathlib import Path

import pytest

from holdfast import ids
from holdfast.rollouts import paths
from holdfast.rollouts.find import Walk, find_by_id, walk
from holdfast.rollouts.names import names_stamp, read_names

ID = "01a1fa08-1a40-7dd2-ac5c-7d4be4ce5348"
OTHER = "01a1fa08-1b0f-7521-bbfc-b63efb3a9c41"
DAY = "sessions/2026/11/20"  # of both ids, in UTC
NAME = f"rollout-2026-11-20T17-36-14-{ID}.jsonl"


def put(home: Path, path: str, thread: str = ID) -> Path:
    file = home / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"type": "session_meta", "payload": {"id": thread}}) + "\n")
    return file


def found(home: Path) -> list[str]:
    return sorted(entry.path for entry in walk(str(home)))


# Names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (NAME, ID),
        (f"{NAME}.zst", ID),
        (f"rollout-{ID}.jsonl", ID),
        (f"rollout-2026-11-20T17-36-14-{ID.upper()}.jsonl", ID),
        ("rollout-copy.jsonl", None),
        (f"rollout-x{ID}.jsonl", None),
    ],
)
def test_the_id_in_a_name_is_what_it_ends_in(name, expected):
    assert paths.name_id(name) == (ids.parse(expected) if expected else None)


def test_the_likely_folders_are_the_day_in_the_id_and_its_neighbours():
    new_year = ids.new(1767225600000)  # 2026-01-01 in UTC, and still 2025 in California

    assert paths.likely_folders(new_year) == [
        "sessions/2026/01/01",
        "sessions/2025/12/31",
        "sessions/2026/01/02",
    ]
    assert paths.likely_folders(uuid.uuid4().bytes) == []


# Walking


def test_every_rollout_is_found_wherever_it_lies(tmp_path):
    for path in (f"{DAY}/{NAME}", f"sessions/{NAME}", f"sessions/old/{NAME}", f"archived_sessions/{NAME}"):
        put(tmp_path, path)
    put(tmp_path, f"{DAY}/notes.jsonl")
    put(tmp_path, f"{DAY}/rollout-compress-1.tmp")
    put(tmp_path, f"elsewhere/{NAME}")

    folders = ("archived_sessions", DAY, "sessions/old", "sessions")
    assert found(tmp_path) == [f"{folder}/{NAME}" for folder in folders]
    assert {entry.path for entry in walk(str(tmp_path)) if entry.archived} == {f"archived_sessions/{NAME}"}


def test_the_plain_file_counts_when_there_are_both(tmp_path):
    put(tmp_path, f"{DAY}/{NAME}")
    put(tmp_path, f"{DAY}/{NAME}.zst")
    put(tmp_path, f"archived_sessions/{NAME}.zst")

    assert sorted((entry.path, entry.zst) for entry in walk(str(tmp_path))) == [
        (f"archived_sessions/{NAME}", True),
        (f"{DAY}/{NAME}", False),
    ]


def test_what_is_named_like_a_rollout_and_is_none_is_named(tmp_path):
    put(tmp_path, f"{DAY}/{NAME}/inside.txt")
    os.mkfifo(tmp_path / DAY / "rollout-fifo.jsonl")
    (tmp_path / DAY / "rollout-zero.jsonl").symlink_to("/dev/zero")
    (tmp_path / DAY / "rollout-nowhere.jsonl").symlink_to("/nowhere")

    seen = walk(str(tmp_path))

    assert list(seen) == []
    assert sorted(seen.odd) == [
        (f"{DAY}/{NAME}", "a folder"),
        (f"{DAY}/rollout-fifo.jsonl", "a FIFO"),
        (f"{DAY}/rollout-zero.jsonl", "a device"),
    ]


def test_a_folder_that_cannot_be_listed_is_named_and_the_rest_is_found(tmp_path):
    put(tmp_path, f"{DAY}/{NAME}")
    deep = tmp_path / "sessions" / "deep"
    deep.symlink_to(deep)  # listing it gives an error, also for root
    (tmp_path / "archived_sessions").write_text("a file where a folder should be")

    seen = walk(str(tmp_path))

    assert [entry.path for entry in seen] == [f"{DAY}/{NAME}"]
    assert [folder for folder, _ in seen.unreadable] == ["archived_sessions"]


def test_links_lead_neither_out_of_the_home_nor_in_circles(tmp_path):
    home, outside = tmp_path / "home", tmp_path / "outside"
    put(home, f"{DAY}/{NAME}")
    put(outside, f"rollout-x-{OTHER}.jsonl", OTHER)
    (home / "sessions" / "out").symlink_to(outside)
    (home / "sessions" / "up").symlink_to(home)
    (home / "sessions" / "round").symlink_to(home / "sessions")
    (home / DAY / "again").symlink_to(home / "sessions" / "2026")

    seen = walk(str(home))

    assert [entry.path for entry in seen] == [f"{DAY}/{NAME}"]
    assert seen.odd == [("sessions/out", "a link out of the home")]


def test_a_link_to_another_folder_of_the_home_is_followed_once(tmp_path):
    put(tmp_path, f"cold/{NAME}")
    (tmp_path / "cold" / "round").symlink_to(tmp_path / "cold")
    (tmp_path / "sessions").mkdir()
    (tmp_path / "sessions" / "cold").symlink_to(tmp_path / "cold")

    assert found(tmp_path) == [f"sessions/cold/{NAME}"]


def test_sessions_may_lie_on_another_disk(tmp_path):
    put(tmp_path / "disk", f"2026/11/20/{NAME}")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "sessions").symlink_to(tmp_path / "disk")

    assert found(tmp_path / "home") == [f"{DAY}/{NAME}"]


def test_a_home_that_vanishes_on_the_way_ends_the_walk(tmp_path):
    home = tmp_path / "home"
    for n in range(5):
        put(home, f"sessions/2026/11/{n:02}/{NAME}")
    seen = walk(str(home))

    entries = iter(seen)
    next(entries)
    shutil.rmtree(home)

    assert list(entries) == []
    assert seen.gone


def test_no_home_is_gone_and_an_empty_one_is_not(tmp_path):
    nowhere, empty = walk(str(tmp_path / "nowhere")), walk(str(tmp_path))

    assert (list(nowhere), nowhere.gone) == ([], True)
    assert (list(empty), empty.gone, empty.unreadable) == ([], False, [])


# One thread


def test_a_thread_is_found_in_the_folder_of_its_day(tmp_path):
    file = put(tmp_path, f"{DAY}/{NAME}")

    hit = find_by_id(str(tmp_path), ids.parse(ID))

    assert hit is not None
    assert (hit.path, hit.file, hit.archived) == (f"{DAY}/{NAME}", str(file), False)


@pytest.mark.parametrize(
    "path",
    [
        "sessions/2026/11/21/" + NAME,
        "sessions/1999/01/01/" + NAME,
        "sessions/" + NAME,
        f"{DAY}/rollout-copy.jsonl",
    ],
)
def test_a_thread_is_found_where_it_should_not_be(tmp_path, path):
    put(tmp_path, path)

    hit = find_by_id(str(tmp_path), ids.parse(ID))

    assert hit is not None
    assert hit.path == path


def test_a_name_is_not_believed(tmp_path):
    put(tmp_path, f"{DAY}/{NAME}", thread=OTHER)
    assert find_by_id(str(tmp_path), ids.parse(ID)) is None

    put(tmp_path, f"sessions/moved/{NAME}")
    hit = find_by_id(str(tmp_path), ids.parse(ID))

    assert hit is not None
    assert hit.path == f"sessions/moved/{NAME}"


def test_archived_threads_are_found_when_they_are_asked_for(tmp_path):
    put(tmp_path, f"archived_sessions/{NAME}")

    assert find_by_id(str(tmp_path), ids.parse(ID), archived=False) is None
    for archived in (True, None):
        hit = find_by_id(str(tmp_path), ids.parse(ID), archived=archived)
        assert hit is not None
        assert hit.archived


def test_a_thread_whose_id_holds_no_time_is_found(tmp_path):
    odd = str(uuid.UUID(int=7))
    put(tmp_path, f"{DAY}/rollout-2026-11-20T17-36-14-{odd}.jsonl", odd)

    assert find_by_id(str(tmp_path), ids.parse(odd)) is not None
    assert find_by_id(str(tmp_path), uuid.uuid4().bytes) is None


def test_the_day_is_looked_at_before_everything_else(tmp_path):
    put(tmp_path, f"{DAY}/{NAME}")

    assert [entry.path for entry in Walk(str(tmp_path), (paths.likely_folders(ids.parse(ID))[0],))] == [f"{DAY}/{NAME}"]


# Names people gave


def names(tmp_path: Path, content: bytes) -> dict[str, str]:
    (tmp_path / "session_index.jsonl").write_bytes(content)
    return {ids.text(id16): name for id16, name in read_names(str(tmp_path)).items()}


def named(thread: str, name: str, at: str = "2026") -> bytes:
    return json.dumps({"id": thread, "thread_name": name, "updated_at": at}).encode() + b"\n"


def test_the_last_name_counts_whatever_its_time(tmp_path):
    assert names(tmp_path, named(ID, "new", "2030") + named(OTHER, "b") + named(ID, "old", "2020")) == {
        ID: "old",
        OTHER: "b",
    }


def test_an_empty_name_takes_the_name_away(tmp_path):
    assert names(tmp_path, named(ID, "a") + named(ID, "")) == {}


def test_rubbish_between_names_and_a_missing_newline_do_no_harm(tmp_path):
    rubbish = b"\xff\xfe\n{}\n[]\nnull\n" + b'{"id":"x","thread_name":"y"}\n' + b"[" * 99_999 + b"\n" + b"x" * 3_000_000
    content = named(ID, "a") + rubbish + b"\n" + named(OTHER, "b")[:-1]

    assert names(tmp_path, content) == {ID: "a", OTHER: "b"}


def test_no_names_file_means_no_names(tmp_path):
    assert (read_names(str(tmp_path)), names_stamp(str(tmp_path))) == ({}, "")
    os.mkfifo(tmp_path / "session_index.jsonl")
    assert read_names(str(tmp_path)) == {}


def test_the_stamp_changes_with_the_file(tmp_path):
    names(tmp_path, named(ID, "a"))
    before = names_stamp(str(tmp_path))
    names(tmp_path, named(ID, "a") + named(ID, "b"))

    assert names_stamp(str(tmp_path)) != before
