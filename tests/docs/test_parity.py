"""docs/parity.md names tests and methods that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from holdfast.adapters.state_runtime import StateRuntime
from holdfast.state import State, Threads
from holdfast.state.logs import Logs

TESTS = Path(__file__).parent.parent
PAGE = (TESTS.parent / "docs" / "parity.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| ---")]


def test_every_method_of_the_runtime_is_there():
    rows = PAGE.partition("## `StateRuntime`, method for method")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(\w+)\(", rows))
    there = {name for name in dir(StateRuntime) if not name.startswith("_")}
    assert named - there - {"state_db_filename", "state_db_path"} == set()
    assert there - named == {"close", "index"}  # ours


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip()[:40])
def test_every_row_names_tests_and_methods_that_are_there(row):
    shown = re.findall(r"`((?:contract|crash|damage|search|plans|pure|cli|docs|logs)/[\w*.]*)`", row)
    assert [each for each in shown if not list(TESTS.glob(each.rstrip("/")))] == []
    if "(live)" not in row:
        named = re.findall(r"`state\.threads\.(\w+)", row)
        assert [name for name in named if not hasattr(Threads, name)] == []
        assert [name for name in re.findall(r"`state\.logs\.(\w+)", row) if not hasattr(Logs, name)] == []
        assert [name for name in re.findall(r"`state\.(\w+)\(", row) if not hasattr(State, name)] == []
