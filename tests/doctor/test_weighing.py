"""The picture of the bytes: what is on the disk, each byte once, and nothing beyond what was named."""

from __future__ import annotations

import os

from holdfast.doctor.model import Database, Target
from holdfast.doctor.weighing import weigh


def weighed(path, *databases):
    found = tuple(Database(role="other", path=str(each)) for each in databases)
    return {part.name: part.bytes for part in weigh(Target(kind="codex", path=str(path), databases=found))}


def file(path, size):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    return path


def test_each_file_of_a_database_and_each_thing_in_the_folder_is_a_part(tmp_path):
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    there = file(elsewhere / "state_5.sqlite", 20_000)
    board = file(home / "boards" / "a" / "kanban.db", 8_192)
    file(home / "boards" / "a" / "kanban.db-wal", 40_960)
    for number in range(3):
        file(home / "sessions" / "2026" / str(number) / "rollout.jsonl", 12_288)
    found = weighed(home, there, board)

    assert list(found)[:3] == ["state_5.sqlite", "boards/a/kanban.db", "boards/a/kanban.db-wal"]
    assert (found["boards/a/kanban.db"], found["boards/a/kanban.db-wal"]) == (8_192, 40_960)
    assert found["sessions/"] >= 3 * 12_288
    assert found.get("boards/", 0) < 40_960  # its databases were told already


def test_a_sparse_file_counts_what_it_has_and_a_link_what_it_is(tmp_path):
    home = tmp_path / "home"
    file(home / "large.sqlite", 4_096)
    os.truncate(home / "large.sqlite", 30 << 30)
    file(tmp_path / "outside" / "huge", 1 << 20)
    (home / "link").symlink_to(tmp_path / "outside")
    os.link(home / "large.sqlite", home / "same")
    found = weighed(home, home / "large.sqlite")

    assert found["large.sqlite"] <= 65_536
    assert sum(found.values()) < 1 << 20
    assert "same" not in found


def test_what_is_not_there_or_may_not_be_read_is_no_part(tmp_path):
    assert weighed(tmp_path / "gone") == {}
    assert weighed(tmp_path / "gone", tmp_path / "gone.db") == {}
