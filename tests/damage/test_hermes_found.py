"""What holds a board of Hermes up is found as what it is; one board that cannot be read costs the others nothing."""

from __future__ import annotations

import random

import hermes_damage
import pytest
from asking import damage_in, found_in
from healthy_hermes import a_board


@pytest.mark.parametrize("damage", hermes_damage.FOUND, ids=lambda damage: damage.__name__)
def test_what_is_wrong_with_a_board_is_found(tmp_path, damage):
    root = hermes_damage.board(tmp_path / "root")
    assert found_in(root) == []
    damage(root)
    found = found_in(root)
    assert {each.id for each in found} == hermes_damage.FOUND[damage]
    assert all(each.measured and each.expected and each.cause and each.remedy for each in found)
    assert found_in(root / "kanban.db") == found  # the file alone, too


def test_one_malformed_board_among_many_is_named_and_the_others_are_looked_at(tmp_path):
    root = hermes_damage.board(tmp_path / "root")
    for slug in ("a", "b", "c"):
        (root / "kanban" / "boards" / slug).mkdir(parents=True)
        a_board(root / "kanban" / "boards" / slug / "kanban.db", random.Random(2), wal=True, tasks=20)
    hermes_damage.sql(root / "kanban" / "boards" / "c", "UPDATE tasks SET status = 'lost' WHERE id = 't_busy'")
    bad = root / "kanban" / "boards" / "b" / "kanban.db"
    with bad.open("r+b") as file:
        file.seek(4_096)
        file.write(random.Random(3).randbytes(40_000))

    assert [(each.id, each.path) for each in damage_in(root)] == [("malformed", str(bad))]
    found = {(each.id, each.path) for each in found_in(root)}
    assert ("board-unknown-status", str(root / "kanban" / "boards" / "c" / "kanban.db")) in found
    assert {path for _, path in found} <= {str(bad), str(root / "kanban" / "boards" / "c" / "kanban.db")}
