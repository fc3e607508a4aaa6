"""Boards are carried while others are at work, and whoever carries them may be killed."""

from __future__ import annotations

import os
import signal

import pytest

from board_made import as_seen, cards, counts, fill
from engines import open_engine
from foreign_files import seen
from hermes_roots import made
from holdfast import board, schema
from holdfast.board import exchange
from holdfast.errors import Refused

CARRY = """
from holdfast.board import exchange
def told(progress):
    if progress.step == STEP and progress.done:
        pause("at it")
STEP = ARGS[2]
with open_engine(ARGS[0]) as engine:
    say("open")
    if STEP == "tasks":
        exchange.import_json(engine, ARGS[1], board="copy", on_progress=told)
    else:
        exchange.export_json(engine, ARGS[1], on_progress=lambda progress: pause("at it"))
    say("done")
"""

OWNER = """
import sqlite3
def at_work(path):
    c = sqlite3.connect(path, isolation_level=None)
    c.execute("PRAGMA journal_mode = WAL")
    return c
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_import_that_was_stopped_left_whole_tasks_and_goes_on_where_it_was(real, database, child, tmp_path, how):
    for seed in range(2):
        fill(real, "default", seed)
    path = tmp_path / "board.jsonl"
    exchange.export_json(real, path)
    importer = child(CARRY, database, path, "tasks")
    assert importer.line() == "open"
    assert importer.line() == "at it"

    os.kill(importer.pid, how)
    importer.wait()

    whole = as_seen(real, "default", after_import=True)
    part = as_seen(real, "copy")
    assert 0 < len(part) < len(whole)
    for title, task in part.items():
        assert {**task, "attachments": []} == {**whole[title], "attachments": []}
    again = exchange.import_json(real, path, board="copy")
    assert again.known.tasks == len(part)
    assert again.new.tasks == len(whole) - len(part)
    assert as_seen(real, "copy") == whole
    assert counts(real, "copy") == counts(real, "default")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_export_that_was_stopped_left_nothing_of_that_name_and_the_next_one_tidies_up(
    real, database, child, tmp_path, how
):
    fill(real, "default", 1, steps=20)
    folder = tmp_path / "out"
    folder.mkdir()
    exporter = child(CARRY, database, folder / "board.jsonl", "export")
    assert exporter.line() == "open"
    assert exporter.line() == "at it"

    os.kill(exporter.pid, how)
    exporter.wait()

    assert not (folder / "board.jsonl").exists()
    assert len(os.listdir(folder)) == (how == signal.SIGKILL)
    exchange.export_json(real, folder / "board.jsonl")
    assert os.listdir(folder) == ["board.jsonl"]


def test_two_imports_of_the_same_export_at_once_bring_each_task_once(real, database, child, tmp_path):
    fill(real, "default", 3)
    path = tmp_path / "board.jsonl"
    exchange.export_json(real, path)
    with real.write() as tx:
        board.create_board(tx, "copy")
    importers = [child(CARRY, database, path, "tasks") for _ in range(2)]
    for each in importers:
        assert each.line() == "open"
    waiting = list(importers)
    while waiting:  # one batch each, in turn
        for each in list(waiting):
            if each.line() == "at it":
                each.tell()
            else:
                waiting.remove(each)

    assert [each.wait() for each in importers] == [0, 0]
    assert as_seen(real, "copy") == as_seen(real, "default", after_import=True)
    assert len(cards(real, "copy")) == len(cards(real, "default"))


def test_a_board_of_hermes_is_read_while_it_is_at_work_and_it_never_hears_of_it(engine, child, tmp_path):
    root = made(tmp_path / "hermes", "tables()\nfor n in range(50): task(f't_{n}', f'task {n}')\n")
    path = str(root / "kanban.db")
    owner = child(OWNER + """
c = at_work(ARGS[0])
c.execute("INSERT INTO tasks (id, title, status) VALUES ('t_live', 'in the log', 'ready')")
pause("ready")
c.execute("UPDATE tasks SET title = 'after' WHERE id = 't_live'")
say(c.execute("PRAGMA integrity_check").fetchone()[0])
hear()
""", path)  # fmt: skip
    assert owner.line() == "ready"
    before = seen(path)
    assert before[1]

    report = exchange.import_hermes(engine, root)[0]

    assert report.new.tasks == 51
    assert seen(path) == before
    owner.tell()
    assert owner.line() == "ok"


def test_a_reader_that_dies_is_told_of_and_the_next_import_goes_on(engine, tmp_path, monkeypatch):
    root = made(tmp_path / "hermes", "tables()\ntask('t_1', 'one')\n")
    (tmp_path / "bin").mkdir()
    dead = tmp_path / "bin" / "python"
    dead.write_text("#!/bin/sh\necho 'no memory' >&2\nexit 3\n")
    dead.chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setattr("sys.executable", str(dead))
        with pytest.raises(Exception, match=r"ended early \(3\): no memory"):
            exchange.import_hermes(engine, root)

    assert exchange.import_hermes(engine, root)[0].new.tasks == 1


def test_an_export_takes_no_name_that_something_has(tmp_path, clock):
    with open_engine(str(tmp_path / "state.db"), clock) as engine:
        schema.migrate(engine)
        there = tmp_path / "there.jsonl"
        there.write_text("mine")
        for write, target in ((exchange.export_json, there), (exchange.export_markdown, tmp_path)):
            with pytest.raises(Refused, match="is there already; nothing was written"):
                write(engine, target)
        assert there.read_text() == "mine"

        exchange.export_json(engine, there, replace=True)
        assert "holdfast_board" in there.read_text()
