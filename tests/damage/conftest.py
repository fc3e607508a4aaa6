"""Homes, states and processes for the tests of indexing; a database, and who mends it, for those of repairs."""

from __future__ import annotations

import pytest
from mending import finding, report

from holdfast.doctor import applying, planning
from holdfast.doctor.planning import Wishes
from index_helpers import child, homes, plain_dir, state_dir
from processes import children

__all__ = ["child", "homes", "plain_dir", "state_dir"]


@pytest.fixture
def start():
    with children("") as start:
        yield start


@pytest.fixture
def place(tmp_path):
    """Where a database is, and where the receipts are."""
    (tmp_path / "home").mkdir()
    return tmp_path / "home" / "logs_2.sqlite", str(tmp_path / "receipts")


@pytest.fixture
def mend(place):
    """Plan, keep the plan as a file, read it back and carry it out."""
    path, folder = place

    def mend(*repairs, live=False, on_progress=None, wishes=None, **details):
        found = [finding(path, each, **details) for each in repairs]
        planned = planning.plan(report(path, *found), folder, wishes or Wishes(live=live))
        planning.save(planned, str(path.parent / "plan.json"))
        return applying.apply(
            planning.load(str(path.parent / "plan.json")), live=live, receipts_folder=folder, on_progress=on_progress
        )

    return mend
