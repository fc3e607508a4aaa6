"""`holdfast backup` and `holdfast restore`: what they say, ask and refuse."""

from __future__ import annotations

import os

import pytest
from cli_helpers import process, terminal

import holdfast

THREAD = "01a1fa0b-589d-7420-a3a3-86c4f7ca642c"


@pytest.fixture
def indexed(cli, home):
    assert cli("index", "--no-search").code == 0
    assert cli("threads", "rename", THREAD, "before").code == 0


def test_a_backup_is_made_told_and_shown_by_status(cli, indexed, state_dir):
    made = cli("backup")
    assert (made.code, made.err) == (0, "")
    path = made.lines[0]
    assert os.path.exists(os.path.expanduser(path))
    assert "checked" in made.lines[1]

    status = cli("status", "--json").json
    assert status["newest_backup"]["path"] == os.path.realpath(os.path.expanduser(path))
    assert (status["backups"], status["backups_bytes"]) == (1, status["newest_backup"]["bytes"])
    assert "Backup  just now" in cli("status").out


def test_backup_touches_neither_home_nor_state_and_needs_no_home(indexed, untouched, tmp_path, monkeypatch):
    monkeypatch.delenv("CODEX_HOME")
    answer = process("backup", tmp_path / "copy.db", "--json")
    assert answer.json["path"] == str(tmp_path / "copy.db")


def test_where_nothing_is_kept_there_is_nothing_to_back_up(cli, state_dir):
    answer = cli("backup")
    assert (answer.code, answer.out) == (64, "")
    assert "nothing is kept" in answer.err
    assert not state_dir.exists()


def test_status_says_that_there_is_no_backup(cli, indexed):
    assert "Backup  none" in cli("status").out
    assert cli("status", "--json").json["newest_backup"] is None


def test_status_shows_the_cache(cli, indexed, home, state_dir):
    with holdfast.open(home, state_dir=state_dir, search=False) as state:
        state.cache("web").put("key", 1)
    assert "cache.db" in cli("status").out


def test_a_restore_needs_a_yes(cli, indexed, tmp_path):
    assert cli("backup", tmp_path / "copy.db").code == 0
    assert cli("threads", "rename", THREAD, "after").code == 0

    refused = process("restore", tmp_path / "copy.db")
    assert (refused.code, refused.out) == (64, "")
    assert "--yes" in refused.err
    done = process("restore", "--exact", "--yes", tmp_path / "copy.db")
    assert (done.code, done.err) == (0, "")
    assert "to undo: holdfast restore --exact" in done.out
    assert "before" in cli("threads", "find", "before", "--json").out or cli("threads", "list").out.count("before")
    undo = done.out.partition("to undo: holdfast ")[2].split()
    assert process(*undo, "--yes").code == 0
    assert "after" in cli("threads", "list").out


def test_on_a_terminal_it_asks_and_an_end_of_input_is_a_no(cli, indexed, tmp_path, state_dir):
    assert cli("backup", tmp_path / "copy.db").code == 0
    before = (state_dir / "state.db").stat().st_ino

    answer = terminal("restore", tmp_path / "copy.db", answer="n\n")

    assert "Put " in answer.out
    assert answer.code == 130
    assert (state_dir / "state.db").stat().st_ino == before
    assert terminal("restore", tmp_path / "copy.db", answer="y\n").code == 0
    assert (state_dir / "state.db").stat().st_ino != before


def test_who_has_the_state_open_is_named(cli, indexed, home, state_dir, tmp_path):
    assert cli("backup", tmp_path / "copy.db").code == 0
    with holdfast.open(home, state_dir=state_dir, search=False):
        answer = process("restore", "--yes", tmp_path / "copy.db")
    assert answer.code == 75
    assert f"pid {os.getpid()}" in answer.err
