"""Workers of a test's own, and pipes to hear of them."""

from __future__ import annotations

import os
import select

import pytest
from worker_steps import WAIT_S, Pipe

from holdfast.board.dispatching import groups
from holdfast.board.dispatching.spawning import Worker, words_of


class Started:
    """A worker, its log, and the file of its end."""

    def __init__(self, folder, command):
        self.log, self.end = folder / "log", folder / "end"
        self.worker = Worker(
            words_of(command), folder=str(folder), environment=os.environ, log=str(self.log), end=str(self.end)
        )
        self.owner = self.worker.owner

    def begin(self):
        self.worker.begin()
        return self

    def ended(self):
        """Wait for its end, and return the exit code."""
        assert select.select([self.worker], [], [], WAIT_S)[0]
        over, code = self.worker.ended()
        assert over
        return code

    def close(self):
        groups.kill_all(self.owner)
        self.worker.close()


@pytest.fixture
def start(tmp_path):
    """Start a worker; whatever is left of it is killed."""
    started = []

    def start_one(command):
        folder = tmp_path / f"worker-{len(started)}"
        folder.mkdir()
        started.append(Started(folder, command))
        return started[-1]

    yield start_one
    for each in started:
        each.close()


@pytest.fixture
def make_pipe(tmp_path):
    made = []

    def make(name):
        made.append(Pipe(tmp_path / name))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def pipe(make_pipe):
    return make_pipe("pipe")
