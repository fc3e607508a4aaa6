"""Folders in memory for what is recorded and for its images."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from replay import memory_folder


@pytest.fixture
def memory():
    """A folder in memory, empty afterwards."""
    with memory_folder() as folder:
        yield Path(folder)


@pytest.fixture
def seed():
    """Chooses what a short version looks at; pytest shows it when the test fails."""
    chosen = random.randrange(1 << 16)
    print(f"seed {chosen}")
    return chosen


@pytest.fixture
def root(memory):
    """Where the recorded files lie."""
    (memory / "root").mkdir()
    return str(memory / "root")


@pytest.fixture
def image(memory):
    """Where each image is opened."""
    (memory / "image").mkdir()
    return str(memory / "image")
