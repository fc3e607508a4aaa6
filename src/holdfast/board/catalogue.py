"""Boards: made, found, changed, put away. And how many of their tasks may run at once."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from holdfast.board.model import Board
from holdfast.board.rows import SQL, board
from holdfast.board.rules import BODY_BYTES_MAX, NAME_MAX, WHY_MAX, check_number, check_slug, check_text
from holdfast.engine import Read, Write
from holdfast.errors import Refused

DEFAULT = "default"
_BY_SLUG = SQL["select_board"].fill(which=SQL["which_slug"])
_BY_SLUG_LOCKED = SQL["select_board"].fill(which=SQL["which_slug_locked"])
_BY_ID = SQL["select_board"].fill(which=SQL["which_board_id"])
_ALL = SQL["select_board"].fill(which=SQL["which_boards"])
_CHANGING = {"name", "description", "workdir", "running_max"}


def create_board(
    tx: Write,
    slug: str,
    *,
    name: str = "",
    description: str = "",
    workdir: str | None = None,
    running_max: int | None = None,
) -> Board:
    """Make a board and return it. ``slug`` is how it is called everywhere; ``name`` is for people, by default the same.

    At most ``running_max`` of its tasks run at once; None: any number.
    Raises ``Refused`` when there is one of that slug, or a word is none.
    """
    check_slug(slug)
    _check(name=name, description=description, workdir=workdir, running_max=running_max)
    made = tx.run(
        SQL["insert_board"],
        slug=slug,
        name=name or slug,
        description=description,
        workdir=workdir,
        running_max=running_max,
        now_ms=tx.now_ms,
    )
    if not made:
        raise Refused(f"there is a board {slug} already", remedy="`holdfast board boards` lists them.")
    return there(tx, slug)


def get_board(tx: Read, slug: str) -> Board | None:
    """Return the board, also one that was archived; None when there is none."""
    row = tx.row(_BY_SLUG, slug=slug)
    return None if row is None else board(row)


def board_by_id(tx: Read, board_id: int) -> Board | None:
    """Return the board with this number."""
    row = tx.row(_BY_ID, board_id=board_id)
    return None if row is None else board(row)


def boards(tx: Read, *, archived: bool = False) -> list[Board]:
    """Return the boards by their slugs; with ``archived`` also those that were put away."""
    return [board(row) for row in tx.rows(_ALL, archived=int(archived))]


def edit_board(tx: Write, slug: str, **fields: Any) -> Board:
    """Change ``name``, ``description``, ``workdir`` or ``running_max`` of a board, and return it."""
    if unknown := fields.keys() - _CHANGING:
        raise Refused(f"of a board may be changed: {', '.join(sorted(_CHANGING))}; not {', '.join(sorted(unknown))}")
    _check(**fields)
    if fields.get("name") == "":
        fields["name"] = slug
    return _put(tx, replace(locked(tx, slug), **fields))


def archive_board(tx: Write, slug: str) -> Board:
    """Put a board away: its tasks stay as they are, none of them is claimed, and none is added.

    Raises ``Refused`` while one of them runs.
    """
    seen = locked(tx, slug)
    if running := sum(count_running(tx, seen.board_id).values()):
        raise Refused(
            f"{running} tasks of board {slug} are running", remedy="Wait for them, or `reclaim` or `cancel` them."
        )
    return _put(tx, replace(seen, archived_ms=seen.archived_ms or tx.now_ms))


def restore_board(tx: Write, slug: str) -> Board:
    """Take a board up again."""
    tx.hint()
    return _put(tx, replace(locked(tx, slug), archived_ms=None))


def cap(tx: Write, slug: str, assignee: str | None, running_max: int | None) -> None:
    """Let at most ``running_max`` tasks of ``assignee`` (None: of the whole board) run at once.

    0 pauses, None ends the cap. '' is the cap of tasks that are nobody's.
    Those that run beyond a lowered cap go on.
    """
    _check(running_max=running_max)
    seen = locked(tx, slug)
    tx.hint()
    if assignee is None:
        _put(tx, replace(seen, running_max=running_max))
        return
    check_text("assignee", assignee, NAME_MAX)
    if running_max is None:
        tx.run(SQL["drop_cap"], board_id=seen.board_id, assignee=assignee)
    else:
        tx.run(SQL["put_cap"], board_id=seen.board_id, assignee=assignee, running_max=running_max)


def caps(tx: Read, board_id: int) -> dict[str, int]:
    """Return how many tasks may run at once, by assignee, where there is a cap."""
    return {row["assignee"]: int(row["running_max"]) for row in tx.rows(SQL["list_caps"], board_id=board_id)}


def count_running(tx: Read, board_id: int) -> dict[str, int]:
    """Return how many tasks run, by assignee, also those whose lease is over. Reads only those that run."""
    return {row["assignee"]: int(row["running"]) for row in tx.rows(SQL["count_running"], board_id=board_id)}


def there(tx: Read, slug: str) -> Board:
    """Return the board. Raises ``Refused`` when there is none."""
    return _found(slug, get_board(tx, slug))


def in_use(tx: Read, slug: str) -> Board:
    """Return the board. Raises ``Refused`` when there is none, and when it was put away."""
    seen = there(tx, slug)
    if seen.archived_ms is not None:
        raise Refused(f"board {slug} was put away", remedy="`restore_board` takes it up again.")
    return seen


def locked(tx: Write, slug: str) -> Board:
    """Return the board; who else locks it waits until this transaction ends. Raises ``Refused`` when there is none."""
    row = tx.row(_BY_SLUG_LOCKED, slug=slug)
    return _found(slug, None if row is None else board(row))


def _found(slug: str, seen: Board | None) -> Board:
    if seen is None:
        raise Refused(f"there is no board {slug}", remedy="`holdfast board boards` lists them.")
    return seen


def _put(tx: Write, after: Board) -> Board:
    tx.run(
        SQL["put_board"],
        name=after.name,
        description=after.description,
        workdir=after.workdir,
        running_max=after.running_max,
        archived_ms=after.archived_ms,
        now_ms=tx.now_ms,
        board_id=after.board_id,
    )
    return replace(after, changed_ms=tx.now_ms)


def _check(name: str = "", description: str = "", workdir: str | None = None, running_max: int | None = None) -> None:
    check_text("board's name", name, NAME_MAX)
    check_text("board's description", description, BODY_BYTES_MAX)
    check_text("board's workdir", workdir or "", WHY_MAX)
    check_number("board's running_max", running_max, least=0)
