"""What only PostgreSQL can do to us: lose an answer, stop, refuse, be promoted."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from between import Between

from engines import open_engine
from holdfast import schema
from holdfast.sql import statement
from servers import Server

DONE = statement("INSERT INTO done (label) VALUES (:label)", "done")
"""Work that nothing in the database keeps from being done twice."""


def prepare(opened):
    schema.migrate(opened)
    with opened.write() as tx:
        tx.script("CREATE TABLE done (label TEXT)")


@pytest.fixture
def store(schema_url):
    """A store with the tables of every subject."""
    with open_engine(schema_url) as opened:
        prepare(opened)
        yield opened


@pytest.fixture
def between(server):
    """A wire to the server that can be cut. A socket's name must be short."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-"))
    wire = Between(server.folder, folder)
    yield wire
    wire.close()
    shutil.rmtree(folder)


@pytest.fixture
def wired(server, between, schema_url):
    """A store that reaches its server over that wire."""
    with open_engine(schema_url) as opened:
        prepare(opened)
    with open_engine(schema_url.replace(str(server.folder), str(between.folder))) as opened:
        yield opened


@pytest.fixture
def own_server():
    """A server that a test may stop, and copy."""
    started = Server()
    yield started
    started.remove()
