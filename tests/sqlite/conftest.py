"""Stores on real files; every handle is closed, and every process ended, afterwards."""

from __future__ import annotations

import pytest
from sqlite_helpers import PRELUDE

from holdfast.sqlite import Limits, Store
from processes import children


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "state.db")


@pytest.fixture
def clock():
    return lambda: 1_000


@pytest.fixture
def make(path, clock):
    """Open the store with limits of one's choice; every handle is closed afterwards."""
    handles = []

    def make(**limits):
        store = Store.open(path, clock=clock, limits=Limits(**limits))
        handles.append(store)
        with store.write() as tx:
            tx.script("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT")
        return store

    yield make
    for store in handles:
        store.close()


@pytest.fixture
def store(make):
    return make()


@pytest.fixture
def child(path):
    """Start a process that has the file open in its hands; it is ended afterwards."""
    with children(PRELUDE) as start:
        yield lambda code, *args, **options: start(code, path, *args, **options)
