"""A recorded home, a state directory of its own, and the command line as a function and as a process."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from cli_helpers import FIXTURES, Answer, seen

from holdfast.cli import main


@pytest.fixture(autouse=True)
def nobody(tmp_path, monkeypatch):
    """Nothing of the user's own is looked at, whatever a test forgets."""
    person = tmp_path / "person"
    person.mkdir()
    monkeypatch.setenv("HOME", str(person))
    monkeypatch.setenv("HOLDFAST_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("TZ", "UTC")
    for name in ("CODEX_HOME", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    return person


@pytest.fixture
def state_dir(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home as Codex 0.169 left it, and the default one. On the way out it is as it was."""
    with tarfile.open(FIXTURES / "codex-home-0.169.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    path = tmp_path / "codex-home-0.169"
    monkeypatch.setenv("CODEX_HOME", str(path))
    return path


@pytest.fixture
def old_home(tmp_path):
    """A home as Codex 0.141 left it."""
    with tarfile.open(FIXTURES / "codex-home-0.141.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "codex-home-0.141"


@pytest.fixture
def cli(capfd):
    """Run one command in this process, its output on a pipe as far as it can tell."""

    def cli(*arguments: str | Path) -> Answer:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        return Answer(code, *capfd.readouterr())

    return cli


@pytest.fixture
def untouched(home):
    """What the home looks like must not change while the test runs."""
    before = seen(home)
    yield before
    assert seen(home) == before
