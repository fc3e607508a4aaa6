"""State directories of our own with nothing wrong, made by what makes them everywhere."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from pathlib import Path

from healthy_written import OURS, WRITES, Healthy

import board_made
import holdfast
from holdfast.memory.model import Settings
from homes import MadeHome
from memory_models import Parrot
from processes import children


def ours(folder: Path, number: int, draw: random.Random) -> Iterator[Healthy]:
    """A state directory: of no thread up to 60, with all that can be in one, closed, killed, or written meanwhile."""
    at = folder / f"ours-{number}"
    home = MadeHome(at / "home")
    for n in range((0, 1, 3, 20, 60)[number % 5]):
        home.thread(f"words {n}", archived=n % 7 == 3, paginated=n % 3 == 1, cwd=str(at))
    with holdfast.open(home, state_dir=at / "state", search=number % 2 == 0) as state:
        for thread in state.threads.list(limit=3):
            state.threads.rename(thread.id, "said here")
        if number % 2 == 0:
            state.wait_for_search()
        for step in (_jobs, _tasks, _logs, _memories, _copies, _cached, _changed):
            if draw.random() < 0.6:
                step(state, home, draw)
    if number == 5:
        _killed(at / "state")
    yield Healthy(f"ours-{number}", at / "state", OURS if number in (1, 8) else "")


def _jobs(state: holdfast.State, _home: MadeHome, draw: random.Random) -> None:
    for n in range(draw.randint(1, 30)):
        state.jobs.enqueue("sum", str(n), payload={"n": n})
        if n % 3:
            claim = state.jobs.claim("sum", str(n))
            (state.jobs.finish if n % 3 == 1 else lambda claim: state.jobs.fail(claim, "boom"))(claim)


def _tasks(state: holdfast.State, _home: MadeHome, draw: random.Random) -> None:
    board_made.fill(state.engine, "default", draw.randint(1, 99))


def _logs(state: holdfast.State, _home: MadeHome, draw: random.Random) -> None:
    logger = logging.Logger("healthy")
    handler = state.logs.handler("DEBUG")
    logger.addHandler(handler)
    for n in range(draw.choice((1, 100, 3_000))):
        logger.info("said %d, and that is %s", n, draw.random())
    handler.close()


def _memories(state: holdfast.State, _home: MadeHome, _draw: random.Random) -> None:
    state.memory.run(Parrot(), Settings(workers=1, idle_ms=0))


def _copies(state: holdfast.State, _home: MadeHome, _draw: random.Random) -> None:
    state.backup()


def _cached(state: holdfast.State, _home: MadeHome, draw: random.Random) -> None:
    cache = state.cache("web")
    for n in range(20):
        cache.put(f"key {n}", draw.randbytes(100))


def _changed(state: holdfast.State, home: MadeHome, _draw: random.Random) -> None:
    """Change the home itself, which leaves a receipt."""
    ids = [thread.id for thread in state.threads.list(limit=1)]
    home.change(lambda: [state.in_home.archive(id) for id in ids])


def _killed(state: Path) -> None:
    """Kill a process in the middle of its work. What it committed is there, and nobody has the files open."""
    with children(WRITES) as start:
        child = start(OURS, state)
        assert child.line() == "writing"
        child.kill()
