"""What is wrong with a state directory is found as what it is, and a directory with nothing wrong says nothing."""

from __future__ import annotations

import own_damage
import pytest
from asking import found_in


@pytest.mark.parametrize("name", own_damage.FOUND)
def test_what_is_wrong_with_our_own_state_is_found(tmp_path, name):
    damage, expected = own_damage.FOUND[name]
    folder = own_damage.state(tmp_path / "made")
    assert found_in(folder / "state") == []
    damage(folder)
    found = found_in(folder / "state", deep=name in own_damage.DEEP)
    assert {each.id for each in found} == expected
    assert all(each.measured and each.expected and each.cause and each.remedy for each in found)
