"""Homes that other programs write meanwhile: what each of these programs does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from processes import Child, children


@dataclass(frozen=True)
class Healthy:
    """A home, the path by which the doctor is asked for it, and the code of who writes it meanwhile."""

    name: str
    path: Path
    writer: str = ""


@contextmanager
def written(homes: list[Healthy]) -> Iterator[dict[str, Child]]:
    """Have those that are busy written by their processes; each has begun when this is entered, and ends well."""
    with ExitStack() as stack:
        start = stack.enter_context(children(WRITES))
        busy = {home.name: start(home.writer, home.path) for home in homes if home.writer}
        for child in busy.values():
            assert child.line() == "writing"
        yield busy
        for child in busy.values():
            child.tell("enough")
        for name, child in busy.items():
            assert child.line() == "done", name
            assert child.wait() == 0, name


# Each says "writing" after its first commit, goes on until it is told "enough", and counts what it committed.
WRITES = """
import select
def enough(): return bool(select.select([0], [], [], 0)[0])
def write(commit, close):
    done = 0
    while not done or not enough():
        commit(done)
        done += 1
        if done == 1: say("writing")
    close()
    say("done")
"""
OURS = """
import holdfast
from holdfast import holds, jobs
state = holdfast.open([], state_dir=sys.argv[1], search=False)
def commit(number):
    state.jobs.enqueue("busy", str(number % 50))
    claimed = state.jobs.claim("busy", str(number % 50))
    if isinstance(claimed, jobs.Claimed): state.jobs.finish(claimed)
    task = state.board.create(f"task {number % 50}", request=str(number % 50)).task
    claim = state.board.claim(task.task_id)
    if hasattr(claim, "fence"): state.board.release(task.task_id, fence=claim.fence)
write(commit, state.close)
"""
_SQL = """
import sqlite3
c = sqlite3.connect(sys.argv[1] + FILE, isolation_level=None, timeout=30)
def commit(number):
    c.execute("BEGIN IMMEDIATE")
    STATEMENTS
    c.execute("COMMIT")
write(commit, c.close)
"""


def sql_writer(file: str, *statements: str) -> str:
    """Return the code of a program that commits these again and again, ``?`` being the number of the commit."""
    said = "; ".join(f"c.execute({text!r}, (number % 500,) * {text.count('?')})" for text in statements)
    return _SQL.replace("FILE", repr(file)).replace("STATEMENTS", said)
