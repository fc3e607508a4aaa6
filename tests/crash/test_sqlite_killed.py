"""Writers killed by SIGKILL in the middle of group commits: what was acknowledged is there."""

import os
import random
import select
import signal

import apsw
import pytest

from holdfast.sqlite import Store
from processes import python

# Each thread writes its number and says so only when the write has returned. os.write
# of a short line to a pipe is whole or not at all (pipe(7), PIPE_BUF).
WRITER = """
import threading
from holdfast.clock import wall_ms
from holdfast.sql import Statement
from holdfast.sqlite import Store
names = frozenset(("writer", "number", "text"))
insert = Statement("insert", *["INSERT INTO marks VALUES (:writer, :number, :text)"] * 2, names, frozenset())
store = Store.open(sys.argv[1], clock=wall_ms)
with store.write() as tx:
    tx.script("CREATE TABLE IF NOT EXISTS marks (writer, number, text, PRIMARY KEY (writer, number))")
def work(name):
    number = 0
    while True:
        number += 1
        with store.write(wait_ms=60_000) as tx:
            tx.run(insert, writer=name, number=number, text="x" * (number % 700))
        say(name, number)
for thread in range(4):
    threading.Thread(target=work, args=(f"{os.getpid()}-{thread}",), daemon=True).start()
threading.Event().wait()
"""


def acknowledged(path, kill_after):
    """Run two writers, kill each once it has said so many lines; return every whole line they said."""
    children = [python(WRITER, path) for _ in kill_after]
    said = dict.fromkeys(children, b"")
    limits = dict(zip(children, kill_after, strict=True))
    open_ones = list(children)
    while open_ones:
        ready, _, _ = select.select([child.stdout for child in open_ones], [], [], 30)
        assert ready, "the writers say nothing any more"
        for child in [child for child in open_ones if child.stdout in ready]:
            chunk = os.read(child.stdout.fileno(), 4096)
            said[child] += chunk
            if not chunk:
                open_ones.remove(child)
            elif child.poll() is None and said[child].count(b"\n") >= limits[child]:
                os.kill(child.pid, signal.SIGKILL)
    for child in children:
        child.wait(30)
        child.stdin.close()
        child.stdout.close()
    return {tuple(line.split()) for text in said.values() for line in text.decode().split("\n")[:-1]}


def rounds(path, seed, count):
    chosen = random.Random(seed)
    marks = set()
    for _ in range(count):
        marks |= acknowledged(path, [chosen.randrange(1, 150), chosen.randrange(1, 150)])
        with Store.open(path, clock=lambda: 1) as store:
            connection = store._core.writer
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            rows = {(writer, str(n)) for writer, n in connection.execute("SELECT writer, number FROM marks")}
        assert marks <= rows
        # At most one write of each thread was in when its process died unheard: four a process.
        assert len(rows - marks) <= 8 * count
    assert isinstance(connection, apsw.Connection)


def test_what_a_killed_writer_acknowledged_is_there(tmp_path):
    rounds(str(tmp_path / "state.db"), seed=7, count=3)


@pytest.mark.torture
def test_what_a_killed_writer_acknowledged_is_there_many_times(tmp_path):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rounds(str(tmp_path / "state.db"), seed=seed, count=200)
