"""A home, its state.db and its index of words, with every door the tests need; closed afterwards."""

from __future__ import annotations

import pytest
from search_helpers import Searched


@pytest.fixture
def searched(tmp_path):
    """Make the index of words of a home; closed afterwards."""
    made = []

    def make(home, name="state"):
        made.append(Searched(tmp_path / name, home))
        return made[-1]

    yield make
    for each in made:
        each.close()
