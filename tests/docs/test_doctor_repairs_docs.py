"""docs/doctor-repairs.md has a part for each repair, and its table of columns is the one in the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from holdfast.doctor.repairs import repair
from holdfast.doctor.repairs.thread_columns import POLICIES, Policy

PAGE = (Path(__file__).parent.parent.parent / "docs" / "doctor-repairs.md").read_text(encoding="utf-8")
SAID = {
    Policy.PLACE: ("the row, while", "the folder"),
    Policy.FILE: ("the file.",),
    Policy.LATER: ("the later",),
    Policy.FILL: ("the row, unless",),
    Policy.ROW: ("the row", "the row (`restore-names`"),
}


@pytest.mark.parametrize("name", repair.NAMES)
def test_each_repair_has_a_part_and_can_be_carried_out(name):
    assert f"### `{name}`\n" in PAGE
    found = repair.repair(name)
    assert found is not None and found.name == name


def test_the_table_of_columns_is_what_is_done():
    told = {}
    for columns, differ, _ in re.findall(r"^\| (`[^|]+`) \| ([^|]+) \| ([^|]+) \|$", PAGE, re.MULTILINE):
        told |= dict.fromkeys(re.findall(r"`(\w+)`", columns), differ)
    told = {column: differ for column, differ in told.items() if column in POLICIES}

    assert told.keys() == POLICIES.keys()
    for column, policy in POLICIES.items():
        assert told[column].startswith(SAID[policy]), column
        if policy is Policy.ROW:
            assert not told[column].startswith("the row,")
