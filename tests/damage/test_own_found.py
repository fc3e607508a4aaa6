"""What is wrong with a state directory is found as what it is, and a directory with nothing wrong says nothing."""

from __future__ import annotations

import shutil

import own_damage
import pytest
from asking import found_in


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A home and its state directory with something in every table: to be copied."""
    return own_damage.state(tmp_path_factory.mktemp("sound") / "made")


def test_nothing_is_said_of_a_state_with_nothing_wrong(sound):
    assert found_in(sound / "state") == []
    assert found_in(sound / "state", deep=True) == []


@pytest.mark.parametrize("name", own_damage.FOUND)
def test_what_is_wrong_with_our_own_state_is_found(sound, tmp_path, name):
    damage, expected = own_damage.FOUND[name]
    if name in own_damage.OF_HOMES:
        own_damage.state(tmp_path)
    else:
        shutil.copytree(sound / "state", tmp_path / "state")
    damage(tmp_path)
    found = found_in(tmp_path / "state", deep=name in own_damage.DEEP)
    assert {each.id for each in found} == expected
    assert all(each.measured and each.expected and each.cause and each.remedy for each in found)
