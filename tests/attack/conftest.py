"""Stores on real files, children of ours and neighbours; all closed and ended afterwards."""

from __future__ import annotations

import pytest
from attack_helpers import NEIGHBOUR, OURS

from holdfast.sqlite import Limits, Store
from processes import children


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "state.db")


@pytest.fixture
def make(path):
    """Open the store with limits of one's choice; every handle is closed afterwards."""
    handles = []

    def make(durability="normal", **limits):
        store = Store.open(path, clock=lambda: 1_000, durability=durability, limits=Limits(**limits))
        handles.append(store)
        with store.write() as tx:
            tx.script("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT")
        return store

    yield make
    for store in handles:
        store.close()


@pytest.fixture
def ours(path):
    """Start a process that has our store in its hands."""
    with children(OURS) as start:
        yield lambda code, *args, **options: start(code, path, *args, **options)


@pytest.fixture
def neighbour(path):
    """Start a process with another SQLite, which knows neither seat nor guard."""
    with children(NEIGHBOUR) as start:
        yield lambda code, *args, **options: start(code, path, *args, **options)
