"""A path is told by names alone: what it is, which databases it has, and where they lie."""

from __future__ import annotations

import os
import sys

import apsw
import pytest

import hermes_roots
import holdfast
from holdfast.doctor.homes.recognising import OLD, recognise, usual_places


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Nobody's own homes: HOME is a folder of this test."""
    (tmp_path / "user").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("HOLDFAST_STATE", str(tmp_path / "user" / "state"))
    for name in ("CODEX_HOME", "CODEX_SQLITE_HOME", "HERMES_HOME"):
        monkeypatch.delenv(name, raising=False)


def codex_home(path, *names):
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(b"")
    return path


def databases(target):
    return {os.path.basename(each.path): (each.role, each.generation, each.known) for each in target.databases}


def test_every_generation_of_codex_is_known_by_its_name_and_newer_ones_as_unknown(tmp_path):
    home = codex_home(
        tmp_path / "home", "state.sqlite", "state_3.sqlite", "state_4.sqlite", "state_5.sqlite", "state_6.sqlite",
        "logs_1.sqlite", "logs_2.sqlite", "goals_1.sqlite", "memories_1.sqlite", "memories_v2_1.sqlite",
        "queue_1.sqlite", "thread_history_1.sqlite", "timers_1.sqlite", "state_5.sqlite-wal", "state_4x.sqlite",
        "notes.sqlite", "state_5.sqlite_backup",
    )  # fmt: skip

    target = recognise(home)

    assert target is not None
    assert target.kind == "codex"
    assert databases(target) == {
        "state.sqlite": ("state", None, True),
        "state_3.sqlite": ("state", 3, True),
        "state_4.sqlite": ("state", 4, True),
        "state_5.sqlite": ("state", 5, True),
        "state_6.sqlite": ("state", 6, False),
        "logs_1.sqlite": ("logs", 1, True),
        "logs_2.sqlite": ("logs", 2, True),
        "goals_1.sqlite": ("goals", 1, True),
        "memories_1.sqlite": ("memories", 1, True),
        "memories_v2_1.sqlite": ("memories", 1, True),
        "queue_1.sqlite": ("queue", 1, True),
        "thread_history_1.sqlite": ("history", 1, True),
        "timers_1.sqlite": ("other", 1, False),
    }


@pytest.mark.parametrize(
    "names", [("sessions/2026/11/20/x",), ("sessions/x", "session_index.jsonl"), ("config.toml", "auth.json")]
)
def test_a_home_of_codex_that_lost_its_databases_is_one(tmp_path, names):
    assert recognise(codex_home(tmp_path / "home", *names)).kind == "codex"


@pytest.mark.parametrize("names", [(), ("config.toml",), ("sessions/x",), ("notes_1.sqlite",), ("logs/a.txt",)])
def test_a_folder_of_anything_is_nothing_we_know(tmp_path, names):
    (tmp_path / "home").mkdir()
    assert recognise(codex_home(tmp_path / "home", *names)) is None


@pytest.mark.parametrize("said", ["config", "environment"])
def test_databases_are_where_codex_is_told_to_have_them_and_those_at_home_are_old(tmp_path, monkeypatch, said):
    home = codex_home(tmp_path / "home", "state_5.sqlite", "logs_2.sqlite", "sessions/2026/x")
    codex_home(tmp_path / "fast", "state_5.sqlite")
    if said == "config":
        (home / "config.toml").write_text(f'sqlite_home = "{tmp_path}/fast"\n')
        monkeypatch.setenv("CODEX_SQLITE_HOME", str(tmp_path / "nowhere"))
    else:
        monkeypatch.setenv("CODEX_SQLITE_HOME", str(tmp_path / "fast"))

    target = recognise(home)

    assert [(each.role, os.path.dirname(each.path)) for each in target.databases] == [
        ("state", str(tmp_path / "fast")),
        (OLD, str(home)),
        (OLD, str(home)),
    ]
    assert any(str(tmp_path / "fast") in note for note in target.notes)


def test_a_relative_sqlite_home_is_told_to_be_one_for_each_directory(tmp_path, monkeypatch):
    home = codex_home(tmp_path / "home", "config.toml", "auth.json")
    codex_home(tmp_path / "here" / "db", "state_5.sqlite")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("CODEX_SQLITE_HOME", "db")

    target = recognise(home)

    assert [each.path for each in target.databases] == [str(tmp_path / "here" / "db" / "state_5.sqlite")]
    assert any("relative" in note for note in target.notes)


def test_a_config_that_cannot_be_read_is_noted_and_hides_nothing(tmp_path):
    home = codex_home(tmp_path / "home", "state_5.sqlite")
    (home / "config.toml").write_bytes(b'sqlite_home = "\xff')

    target = recognise(home)

    assert len(target.databases) == 1
    assert "config.toml" in target.notes[0]


def test_a_state_directory_and_a_root_of_hermes_are_told_by_what_is_in_them(tmp_path):
    with holdfast.open([], state_dir=tmp_path / "mine", search=False):
        pass
    root = hermes_roots.recorded("0.19.0", tmp_path / "hermes")

    mine, hermes = recognise(tmp_path / "mine"), recognise(root)

    assert mine.kind == "holdfast"
    assert databases(mine)["state.db"] == ("state", None, True)
    assert hermes.kind == "hermes"
    assert {each.role for each in hermes.databases} >= {"board"}


@pytest.mark.parametrize("end", ["", "-wal", "-shm", "-journal"])
def test_a_file_of_a_database_stands_for_it(tmp_path, end):
    codex_home(tmp_path, "logs_2.sqlite", "logs_2.sqlite-wal", "logs_2.sqlite-shm", "logs_2.sqlite-journal")

    target = recognise(tmp_path / f"logs_2.sqlite{end}")

    assert (target.kind, target.path) == ("sqlite", str(tmp_path / "logs_2.sqlite"))
    assert databases(target) == {"logs_2.sqlite": ("logs", 2, True)}


def test_a_log_whose_database_is_gone_still_stands_for_it(tmp_path):
    codex_home(tmp_path, "lost.db-wal")

    assert recognise(tmp_path / "lost.db-wal").path == str(tmp_path / "lost.db")
    assert recognise(tmp_path / "nothing.db") is None


def test_the_usual_places_are_those_that_are_there_each_once(tmp_path, monkeypatch):
    assert usual_places() == []
    codex_home(tmp_path / "user" / ".codex", "state_5.sqlite")
    codex_home(tmp_path / "user" / ".hermes", "kanban.db")
    assert [target.kind for target in usual_places()] == ["codex", "hermes"]

    monkeypatch.setenv("CODEX_HOME", str(codex_home(tmp_path / "other", "logs_2.sqlite")))
    monkeypatch.setenv("HERMES_HOME", str(tmp_path / "none"))
    assert [target.path for target in usual_places()] == [str(tmp_path / "other")]


def test_nothing_is_opened_that_could_be_a_database(tmp_path, monkeypatch):
    home = codex_home(tmp_path / "home", "state_5.sqlite", "config.toml")
    connection = apsw.Connection(str(home / "state_5.sqlite"))
    connection.execute("CREATE TABLE t (a)")
    connection.close()
    opened = []

    def hook(event, args):
        if event in ("open", "sqlite3.connect") and hook.on:
            opened.append(os.path.basename(os.fspath(args[0])))

    hook.on = True
    sys.addaudithook(hook)
    try:
        recognise(home)
        recognise(home / "state_5.sqlite")
    finally:
        hook.on = False
    assert opened == ["config.toml"]
