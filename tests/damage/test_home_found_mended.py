"""Each damage of a home whose truth is in other files: found, planned, mended, found no more; undone, found again."""

from __future__ import annotations

from pathlib import Path

import codex_damage
import hermes_damage
import own_damage
import pytest
from asking import found_in
from reported import report

from holdfast import receipts
from holdfast.doctor import applying, planning, undoing
from holdfast.doctor.homes.recognising import recognise

OF_CODEX = [
    damage
    for damage, (_, repair) in codex_damage.DAMAGES.items()
    if repair in {"rebuild-threads", "restore-names", "reroot", "mend-rollouts", "release-leases"}
]
OF_HERMES = [damage for damage, ids in hermes_damage.FOUND.items() if ids == {"board-stuck-claims"}]
OF_OURS = ["a label without a text", "two threads with one file", "a file folded beyond its end", "rows lost",
           "words of another database", "words left behind"]  # fmt: skip


pytestmark = pytest.mark.usefixtures("looks_only")


def mended(path: Path, folder: Path) -> applying.Applied:
    """Plan what is to be done about all that is found, and do it."""
    found = tuple(found_in(path))
    target = recognise(path)
    assert found and target is not None
    planned = planning.plan(report(target, *found), str(folder))
    assert planned.steps and not planned.left_out
    planning.save(planned, str(folder.parent / "plan.json"))
    applied = applying.apply(planning.load(str(folder.parent / "plan.json")), live=True, receipts_folder=str(folder))
    assert applied.stopped is None and all(step.outcome is not None and step.outcome.gone for step in applied.steps)
    return applied


def undo(applied: applying.Applied, folder: Path) -> None:
    assert applied.receipts
    for each in applied.receipts:
        receipt = receipts.find(str(folder), each)
        assert receipt is not None and undoing.undo(receipt).state == "undone"


def contents(folder: Path) -> dict[str, object]:
    """The bytes of every file, of a database its rows."""
    found: dict[str, object] = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.suffix in (".sqlite", ".db"):
            tables = codex_damage.sql(path, "SELECT name FROM sqlite_schema WHERE type = 'table'")
            # SQLite's own counter of numbers given stays where it is.
            found |= {f"{name} {table}": sorted(map(repr, codex_damage.sql(path, f'SELECT * FROM "{table}"')))
                      for (table,) in tables if table != "sqlite_sequence"}  # fmt: skip
        elif path.is_file() and not name.endswith(("-wal", "-shm", ".lock")):
            found[name] = (path.read_bytes(), path.stat().st_mtime_ns)
    return found


@pytest.mark.parametrize("damage", OF_CODEX, ids=lambda damage: damage.__name__)
def test_what_is_found_in_a_home_of_codex_is_mended_and_found_no_more_until_it_is_undone(home, tmp_path, damage):
    damage(home)
    before, found = contents(home), [each.id for each in found_in(home)]

    applied = mended(home, tmp_path / "receipts")

    assert found_in(home) == []
    undo(applied, tmp_path / "receipts")
    assert contents(home) == before
    assert [each.id for each in found_in(home)] == found


@pytest.mark.parametrize("damage", OF_HERMES, ids=lambda damage: damage.__name__)
def test_claims_on_a_board_are_released_until_that_is_undone(tmp_path, damage):
    root = hermes_damage.board(tmp_path / "root")
    damage(root)
    before, found = contents(root), [each.id for each in found_in(root)]
    if damage is hermes_damage.claim_ended:
        # The worker of this one is this very process.
        with pytest.raises(AssertionError):
            mended(root, tmp_path / "receipts")
        assert contents(root) == before
        return

    applied = mended(root, tmp_path / "receipts")

    assert found_in(root) == []
    undo(applied, tmp_path / "receipts")
    assert contents(root) == before
    assert [each.id for each in found_in(root)] == found


@pytest.mark.parametrize("name", OF_OURS)
def test_what_is_wrong_with_our_own_indexes_is_made_again(tmp_path, name):
    damage, _ = own_damage.FOUND[name]
    folder = own_damage.state(tmp_path / "made")
    damage(folder)

    mended(folder / "state", tmp_path / "receipts")

    assert found_in(folder / "state") == []
