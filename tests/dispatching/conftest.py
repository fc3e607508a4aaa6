"""Workers of a test's own, dispatchers of one on every engine, and pipes to hear of them."""

from __future__ import annotations

import os
import select
import threading

import pytest
from dispatch_steps import CHILD
from worker_steps import WAIT_S, Pipe

from engines import open_engine
from holdfast import schema
from holdfast.board.dispatching import Dispatcher, How, groups
from holdfast.board.dispatching.records import Records
from holdfast.board.dispatching.spawning import Worker, words_of
from holdfast.board.probes import probes as board_probes
from processes import children
from rows import findings


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


# --- dispatchers -----------------------------------------------------------------


@pytest.fixture(params=["sqlite", "postgres"])
def database(request, tmp_path):
    """Where the engine's data is: what workers find in ``HOLDFAST_STATE``."""
    return request.getfixturevalue("schema_url") if request.param == "postgres" else str(tmp_path / "state.db")


@pytest.fixture
def engine(database):
    """By a clock that goes on; on the way out its probes find nothing."""
    with open_engine(database) as store:
        schema.migrate(store)
        yield store
        with store.read() as tx:
            assert findings(tx) + board_probes(tx) == []


@pytest.fixture
def folder(tmp_path):
    """Where dispatchers keep what is theirs. Whatever a test leaves alive there is killed."""
    path = tmp_path / "dispatching"
    yield path
    if path.exists():
        for record in Records(str(path)).all():
            groups.kill_all(record.worker)


@pytest.fixture
def said():
    """What dispatchers of this process told."""
    return []


@pytest.fixture
def make(engine, database, folder, said):
    """Make a dispatcher. It is closed afterwards."""
    made = []

    def make_one(command, *, board="default", **how):
        made.append(
            Dispatcher(
                engine, command, folder=str(folder), named=database, board=board, how=How(**how), tell=said.append
            )
        )
        return made[-1]

    yield make_one
    for each in made:
        each.close()


@pytest.fixture
def running(make):
    """Run a dispatcher on a thread; it is stopped afterwards."""
    crew = []

    def run(command, **words):
        dispatcher = make(command, **words)
        thread = threading.Thread(target=dispatcher.run)
        thread.start()
        crew.append((dispatcher, thread))
        return dispatcher

    yield run
    for dispatcher, thread in crew:
        dispatcher.stop()
        thread.join(WAIT_S)
        assert not thread.is_alive()


@pytest.fixture
def child(database, folder):
    """Start a dispatcher in a process of its own; it says what it tells. Killed afterwards."""
    with children("") as start:

        def start_one(command, **how):
            return start(CHILD, database, folder, command, repr(how))

        yield start_one
