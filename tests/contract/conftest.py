"""An engine with the tables of every subject, its clock in hand; on the way out its probes must find nothing.

Each test here runs on every engine: another engine is another ``param``.
"""

from __future__ import annotations

import pytest
from contract_helpers import PRELUDE

from engines import Clock, open_engine
from holdfast import schema
from holdfast.board.probes import probes as board_probes
from holdfast.holds.probes import probes as hold_probes
from holdfast.ingest.probes import probes as ingest_probes
from holdfast.jobs.probes import probes as job_probes
from holdfast.memory.probes import probes as memory_probes
from holdfast.threads.probes import probes as thread_probes
from holdfast.tools.probes import probes as tool_probes
from processes import children

PROBES = (hold_probes, thread_probes, ingest_probes, tool_probes, job_probes, memory_probes, board_probes)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request, tmp_path):
    """Where the engine's data is: what another process needs to open it, too. A path or a URL."""
    return request.getfixturevalue("schema_url") if request.param == "postgres" else str(tmp_path / "state.db")


@pytest.fixture
def engine(database, clock):
    with open_engine(database, clock) as store:
        schema.migrate(store)
        yield store
        with store.read() as tx:
            assert [finding for probe in PROBES for finding in probe(tx)] == []


@pytest.fixture
def real(database):
    """An engine by a clock that goes on, as other processes have it."""
    with open_engine(database) as store:
        schema.migrate(store)
        yield store
        with store.read() as tx:
            assert [finding for probe in PROBES for finding in probe(tx)] == []


@pytest.fixture
def child():
    """Start a process that runs this code; it is ended afterwards."""
    with children(PRELUDE) as start:
        yield start


@pytest.fixture(params=["sqlite", "postgres"])
def where(request, state_dir):
    """Each test that opens a state runs on every engine; what stays on the machine is in ``state_dir``."""
    if request.param == "sqlite":
        return {"state_dir": state_dir}
    return {"state_dir": state_dir, "state": request.getfixturevalue("schema_url")}
