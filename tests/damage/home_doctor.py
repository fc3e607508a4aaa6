"""A doctor that mends what a test says was found, and homes for it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import home_damage as damage
import pytest
from reported import finding, report

import oracle
from holdfast import receipts
from holdfast.doctor import applying, planning, undoing
from holdfast.doctor.homes.recognising import recognise
from holdfast.doctor.planning import Wishes
from homes import MadeHome


class Doctor:
    """Plans, carries out and undoes what somebody found."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.receipts = str(folder / "receipts")

    def plan(self, home, repair, path=None, maps=(), **details):
        target = recognise(home)
        found = report(target, finding(path or target.path, repair, **details))
        planned = planning.plan(found, self.receipts, Wishes(maps=tuple(maps)))
        file = str(self.folder / "plan.json")
        planning.save(planned, file)
        return planning.load(file)

    def mend(self, home, repair, path=None, live=True, **details):
        """Return what became of the one step."""
        planned = self.plan(home, repair, path, **details)
        assert not planned.left_out
        applied = applying.apply(planned, live=live, receipts_folder=self.receipts)
        (step,) = applied.steps
        assert applied.stopped is None
        return step.outcome

    def undo(self, outcome):
        assert undoing.undo(receipts.find(self.receipts, outcome.receipt)).state == "undone"


@pytest.fixture
def doctor(tmp_path):
    return Doctor(tmp_path)


@pytest.fixture(params=oracle.VERSIONS)
def codex(request, tmp_path):
    """A home as Codex left it, once for each version, which its name ends in."""
    return damage.codex(request.param, tmp_path)


@pytest.fixture
def newest(tmp_path):
    """A home of the newest version, where the version makes no difference."""
    return damage.codex(oracle.VERSIONS[-1], tmp_path)


@pytest.fixture
def rollout(tmp_path):
    """A rollout of a few turns in a home of its own, and its home."""
    home = MadeHome(tmp_path / "home")
    home.thread("another")
    id = home.thread("begin", "go on", "and on")
    (home.path / "config.toml").write_text("")
    return home.file(id), home.path, id


def sums(folder):
    return {
        str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and ".lock" not in path.name
    }
