"""A crowd on each engine; afterwards the probes of the state it played on find nothing."""

from __future__ import annotations

import pytest
from crowd import Crowd
from players import PRELUDE

from engines import open_engine
from processes import children
from rows import findings


@pytest.fixture(params=["sqlite", "postgres"])
def url(request):
    """Where the board is: "" for a file, else a schema of a server."""
    return request.getfixturevalue("schema_url") if request.param == "postgres" else ""


@pytest.fixture
def crowd(tmp_path, url):
    """A gateway and eight workers that have not begun."""
    gathered = Crowd(tmp_path, url=url)
    yield gathered
    with open_engine(url or str(tmp_path / "state" / "state.db")) as store, store.read() as tx:
        assert findings(tx) == []


@pytest.fixture
def start(tmp_path, url):
    """Start a process that has ``players`` and, as ``WHERE``, what ``Ours`` is opened with."""
    with children(PRELUDE) as begin:
        yield lambda code, *args: begin(code, tmp_path, url, *args)
