"""Homes and states for every folder. Afterwards homes are as a test left them, and the probes find nothing."""

from __future__ import annotations

import os

import pytest

import holdfast
from engines import open_engine
from homes import MadeHome
from rows import findings
from servers import Server


@pytest.fixture(scope="session")
def server():
    """A PostgreSQL of this run (of this worker). Whoever stops it starts it again."""
    started = Server()
    yield started
    started.remove()


@pytest.fixture
def schema_url(server):
    """The URL of a schema that is not there yet; what a test made of it goes."""
    name = server.new_schema()
    yield server.url(name)
    server.drop(name)


@pytest.fixture
def make_home(tmp_path):
    """Make an empty home; its methods write threads into it."""
    made = []

    def make(name="home"):
        made.append(MadeHome(tmp_path / name))
        return made[-1]

    yield make
    for home in made:
        home.check()


@pytest.fixture(params=["0.141", "0.169"])
def home(request, tmp_path):
    """A home as Codex left it, once for each version."""
    recorded = MadeHome.recorded(request.param, tmp_path)
    recorded.version = request.param
    yield recorded
    recorded.check()


@pytest.fixture
def state_dir(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def where(state_dir):
    """How ``holdfast.open`` and ``peek`` are told where the state is."""
    return {"state_dir": state_dir}


@pytest.fixture
def kept(where):
    """Where the rows are, for ``open_engine``: the path of a file, or a URL."""
    return _place(where)


def _place(where):
    return where.get("state") or str(where["state_dir"] / "state.db")


@pytest.fixture
def open_state(where):
    """Open the state of some homes; closed afterwards, and its probes must find nothing."""
    opened = []

    def open_them(*homes, **options):
        options.setdefault("search", False)
        opened.append(holdfast.open(homes, **where, **options))
        return opened[-1]

    yield open_them
    for state in opened:
        state.close()
    if opened if "state" in where else os.path.exists(_place(where)):
        with open_engine(_place(where)) as store, store.read() as tx:
            assert findings(tx) == []


@pytest.fixture
def state(open_state, home):
    """The state of a recorded home."""
    return open_state(home)
