"""The checks of this folder, run on our own source."""

from pathlib import Path

import pytest
import rooms
import statements

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"

# What is in databases out there. A migration that was released never changes; see `check_migrations`.
PINNED = {
    "cache": {
        "0001_entries": "4a136dfb0d3753a2",
    },
    "postgres": {
        "0001_base": "e70d51d067aa5356",
        "0002_holds": "98ffe2f7766d18c8",
        "0003_threads": "36e9d0f22a9f6ef9",
        "0004_said": "17bc4707038384e3",
        "0005_waiting": "ab087c9d23f2e11c",
        "0006_jobs": "1a94460c4eac06c9",
        "0007_memory": "f1ba230a745c86f9",
        "0008_board": "536b719eee97dfd3",
        "0009_board_imports": "0b298fc45da8b423",
        "0010_board_crowds": "6ea3b2f7556ef5d9",
    },
    "search": {
        "0001_words": "7db3605491a51789",
    },
    "sqlite": {
        "0001_base": "cd31ebf44edebc62",
        "0002_holds": "053abafed0ff3f30",
        "0003_threads": "e9cfeed25cc02596",
        "0004_said": "3b7ffe702617c7fc",
        "0005_waiting": "7036a6ad47464b25",
        "0006_jobs": "9011ce4e5d2c193d",
        "0007_memory": "ea9cfd19c2d40f89",
        "0008_board": "5d914e938e7eeaf4",
        "0009_board_imports": "a9904e6997e73aab",
        "0010_board_crowds": "06ebd11eba264f5c",
    },
}


@pytest.mark.parametrize(
    "check",
    [
        rooms.check_rooms,
        rooms.check_pure,
        rooms.check_sqlite3,
        rooms.check_apsw,
        rooms.check_names,
        rooms.check_raw_opens,
        statements.check_clocks,
        statements.check_statements,
    ],
    ids=lambda check: check.__name__,
)
def test_our_source_gives_no_cause_for_complaint(check):
    assert check(SRC) == []


def test_no_test_sleeps():
    assert rooms.check_sleeps(ROOT / "tests") == []


def test_migrations_are_numbered_without_gaps_and_are_those_we_shipped():
    assert statements.check_migrations(SRC, PINNED) == []
