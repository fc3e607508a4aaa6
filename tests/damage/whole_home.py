"""A Codex home with nothing wrong, to be damaged, for tests that look at it as the doctor's own process does."""

from __future__ import annotations

import shutil

import apsw
import codex_damage
import pytest

from holdfast.sqlite import taking


@pytest.fixture
def looks_only():
    """As the process that looks: run by root, SQLite leaves the owners of files alone."""
    taking.leave_owners()
    yield
    apsw.VFS("owners again", "unix").xSetSystemCall("geteuid", 0)


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """A home with nothing wrong, to copy; its files' times stay."""
    return codex_damage.home(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def home(whole, tmp_path):
    at = tmp_path / ".codex"
    shutil.copytree(whole, at)
    codex_damage.sql(
        at / "state_5.sqlite", "UPDATE threads SET rollout_path = replace(rollout_path, ?, ?)", str(whole), str(at)
    )
    return at
