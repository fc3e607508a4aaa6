"""Act six: a gateway that ticks, beside one that connects in every tick; then workers on one board, some killed."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import holdfast
from demo.stage import Stage
from holdfast import holds
from holdfast.board import Claimed, Waiting

TICKS, EVERY = 240, 80
TASKS = 60

GATEWAY = """
import gc, json, os, sys
gc.disable()  # as good as off: in a large host it comes too rarely
kind, place, ticks, every = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])

def naive():
    "What many boards do in each tick. `with` commits; it does not close."
    with sqlite3.connect(place + ".db") as db:
        db.execute("SELECT count(*) FROM tasks WHERE status = 'ready'").fetchone()

def ours():
    state.board.sweep()
    state.board.stats()

if kind == "naive":
    import sqlite3
    first = sqlite3.connect(place + ".db")
    first.executescript("PRAGMA journal_mode = WAL; CREATE TABLE tasks (status TEXT)")
    first.close()
else:
    import holdfast
    state = holdfast.open([], state_dir=place, search=False)
tick, seen = {"naive": naive, "ours": ours}[kind], []
for number in range(ticks + 1):
    tick()
    if number % every == 0:
        seen.append(len(os.listdir("/dev/fd")))
print(json.dumps(seen), flush=True)
os._exit(0)
"""

WORKER = """
import sys, holdfast
from holdfast import holds
from holdfast.board import Claimed
with holdfast.open([], state_dir=sys.argv[1], search=False) as state, state.engine.changes() as changes:
    me = holds.me(sys.argv[2])
    while True:
        found = state.board.claim_next("work", me, lease_ms=60_000)
        if isinstance(found, Claimed):
            if sys.argv[2] == "slow":
                print(found.task.task_id, flush=True)
                sys.stdin.readline()  # killed here
            state.board.done(found.task.task_id, fence=found.fence, summary="by " + sys.argv[2])
        elif found.until_ms is None:
            break  # nothing runs, and nothing rests
        else:
            changes.wait(0.1)
"""


def play(stage: Stage) -> None:
    stage.act("A gateway ticks over a board; workers share one, and one of them is killed with a task in its hands")
    place = str(stage.folder / "board")
    gateways = [
        python(GATEWAY, kind, place if kind == "ours" else place + "-naive", TICKS, EVERY) for kind in ("naive", "ours")
    ]
    with holdfast.open([], state_dir=stage.folder / "board-state", search=False) as state:
        state.board.create_board("work")
        share(stage, state, str(stage.folder / "board-state"))
        wait_and_go_on(stage, state)
    naive, ours = (json.loads(gateway.communicate()[0]) for gateway in gateways)
    stage.say(f"{'descriptors after':<28}{'':>4}" + "".join(f"{at:>6}" for at in range(0, TICKS + 1, EVERY)) + " ticks")
    stage.say(f"{'a connection in each tick':<32}" + "".join(f"{count:>6}" for count in naive))
    stage.say(f"{'holdfast':<32}" + "".join(f"{count:>6}" for count in ours))
    stage.claim("connections that nobody closes add up, two descriptors a tick", naive[-1] >= naive[0] + TICKS, naive)
    stage.claim("ours are as many after the last tick as after the first", len(set(ours)) == 1, ours)


def share(stage: Stage, state: holdfast.State, place: str) -> None:
    """Let three workers do sixty tasks; a fourth, which claimed first, is killed with its task in its hands."""
    ids = [
        state.board.create(f"task {number}", board="work", priority=number % 3).task.task_id for number in range(TASKS)
    ]
    slow = python(WORKER, place, "slow")
    assert slow.stdout is not None
    taken = int(slow.stdout.readline())
    slow.kill()
    slow.communicate()
    swept = state.board.sweep()
    stage.claim("a worker is killed, and the next look finds out", swept.crashed == 1, swept)
    began = time.monotonic()
    for worker in [python(WORKER, place, name) for name in "abc"]:
        worker.communicate()
    took_ms = (time.monotonic() - began) * 1000
    runs = {task_id: state.board.runs(task_id) for task_id in ids}
    completed = [sum(run.outcome == "completed" for run in each) for each in runs.values()]
    stage.claim(f"{TASKS} tasks, each completed once ({took_ms:.0f} ms with a second's rest)", completed == [1] * TASKS)
    told = [(str(run.outcome), run.fence) for run in runs[taken]]
    stage.claim(
        f"the dead worker's among them, under a larger fence: {told}",
        [outcome for outcome, _ in told] == ["crashed", "completed"] and told[0][1] < told[1][1],
    )


def wait_and_go_on(stage: Stage, state: holdfast.State) -> None:
    design = state.board.create("Design the parser", board="work").task.task_id
    write = state.board.create("Write the parser", board="work", parents=[design]).task.task_id
    me = holds.me("ann")
    early, claimed = state.board.claim(write, me), state.board.claim(design, me)
    assert isinstance(claimed, Claimed), claimed
    stage.claim("a task behind another one is not given out", isinstance(early, Waiting), early)
    blocked = state.board.block(design, "tabs or spaces?", fence=claimed.fence)
    idle = state.board.claim_next("work", me)
    stage.claim("a blocked one waits for a person, and nobody works meanwhile",
                (blocked.status, isinstance(idle, Claimed)) == ("blocked", False), idle)  # fmt: skip
    stage.say(state.board.why(design))
    state.board.unblock(design, "tabs")
    again = state.board.claim(design, me)
    assert isinstance(again, Claimed), again
    late = "nothing"
    try:
        state.board.done(design, fence=claimed.fence)
    except holdfast.Stale as stale:
        late = str(stale)
    stage.claim("answered, it goes on under a new fence, and the old one ends nothing", "changed hands" in late, late)
    state.board.done(design, fence=again.fence, summary="tabs")
    ready = state.board.claim(write, me)
    stage.claim("once it is done, the one behind it is given out", isinstance(ready, Claimed), ready)


def python(code: str, *args: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, args)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
