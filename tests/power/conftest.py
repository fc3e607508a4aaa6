"""Folders in memory for what is recorded and for its images."""

from __future__ import annotations

from pathlib import Path

import pytest
from replay import memory_folder


@pytest.fixture
def memory():
    """A folder in memory, empty afterwards."""
    with memory_folder() as folder:
        yield Path(folder)


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
