"""docs/parity.md names tests and methods that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from holdfast.state import State, Threads
from holdfast.state.logs import Logs

TESTS = Path(__file__).parent.parent
ROWS = [
    line
    for line in (TESTS.parent / "docs" / "parity.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| ---")
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip()[:40])
def test_every_row_names_tests_and_methods_that_are_there(row):
    shown = re.findall(r"`((?:contract|crash|damage|search|plans|pure|cli|docs|logs)/[\w*.]*)`", row)
    assert [each for each in shown if not list(TESTS.glob(each.rstrip("/")))] == []
    if "(live)" not in row:
        named = re.findall(r"`state\.threads\.(\w+)", row)
        assert [name for name in named if not hasattr(Threads, name)] == []
        assert [name for name in re.findall(r"`state\.logs\.(\w+)", row) if not hasattr(Logs, name)] == []
        assert [name for name in re.findall(r"`state\.(\w+)\(", row) if not hasattr(State, name)] == []
