"""A clock a test sets, and what child processes begin with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

PRELUDE = f"""
TESTS = {str(Path(__file__).parents[1])!r}
from holdfast import clock, holds, schema
from holdfast.holds import Denied, Hold
sys.path.insert(0, TESTS)
from engines import open_engine
from holdfast.sqlite import Store
ARGS = sys.argv[1:]
"""


def only_sqlite(_why: str) -> pytest.MarkDecorator:
    """Run a test on SQLite alone; the reason is of what it speaks, which PostgreSQL has not."""
    return pytest.mark.parametrize("where", ["sqlite"], indirect=True)


def spelled(where: dict[str, object]) -> str:
    """Return what ``holdfast.open`` is told of the state, as an argument for another process: JSON."""
    return json.dumps({name: str(value) for name, value in where.items()})


def ways(*both: str, sqlite: tuple[str, ...]) -> pytest.MarkDecorator:
    """Run a test each way (``how``) on both engines, and those of ``sqlite`` there: they are done to its files."""
    pairs = [(engine, how) for engine in ("sqlite", "postgres") for how in both]
    return pytest.mark.parametrize(("where", "how"), [*pairs, *(("sqlite", how) for how in sqlite)], indirect=["where"])
