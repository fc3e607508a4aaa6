"""What tests of the dispatcher do to a board, what their workers say of a task, and a dispatcher of its own process."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from holdfast import board
from holdfast.errors import Busy
from processes import SRC
from rows import statement

HERE = Path(__file__).parent


def says(word):
    """The command of a worker that says ``word`` of its task."""
    return f"PYTHONPATH={shlex.quote(SRC)} {shlex.quote(sys.executable)} {HERE / 'worker_says.py'} {word}"


CHILD = f"""
import ast
sys.path[:0] = [{str(HERE.parent)!r}]
from engines import open_engine
from holdfast.board.dispatching import Dispatcher, How, leading
database, folder, command, how = sys.argv[1:]
how = ast.literal_eval(how)
leading.LEASE_MS = how.pop("leader_ms", leading.LEASE_MS)
exec(how.pop("first", ""))
with open_engine(database) as engine:
    dispatcher = Dispatcher(engine, command, folder=folder, named=database, how=How(**how), tell=say)
    try:
        report = dispatcher.run()
    except BaseException as error:
        say("raised", type(error).__name__, error)
        raise
    say("report", report.started, report.adopted, dict(report.ended))
"""


def create(engine, title="a task", **words):
    with engine.write() as tx:
        return board.create(tx, title, **words).task.task_id


def get(engine, task_id):
    with engine.read() as tx:
        return board.get(tx, task_id)


def runs(engine, task_id):
    with engine.read() as tx:
        return board.runs(tx, task_id)


def outcomes(engine, task_id):
    return [str(run.outcome) for run in runs(engine, task_id)]


def kinds(engine, task_id):
    with engine.read() as tx:
        return [event.kind for event in board.events(tx, task=task_id)]


def do(engine, verb, *args, **words):
    with engine.write() as tx:
        return getattr(board, verb)(tx, *args, **words)


def stop(child, engine):
    """Stop a child, but not in the middle of a write: nobody else could write, or change its rows, then."""
    while True:
        child.stop()
        try:
            with engine.write(wait_ms=200) as tx:
                for table in ("holds", "tasks"):
                    tx.run(statement(f"UPDATE {table} SET note = note"))
            return
        except Busy:
            child.go_on()


def until(child, beginning):
    """Return the next line of a child that begins so."""
    while line := child.line():
        if line.startswith(beginning):
            return line
    raise AssertionError(f"it ended, and never said {beginning!r}")
