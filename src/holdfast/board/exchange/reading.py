"""A board as it is at one moment, as cards. Reads in pages; nothing is held but the transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

from holdfast import sql
from holdfast.board import catalogue
from holdfast.board.exchange.batch import SQL
from holdfast.board.exchange.markdown import Brief
from holdfast.board.exchange.model import (
    BoardFacts,
    Card,
    CardComment,
    CardEvent,
    CardFile,
    CardOrigin,
    CardParent,
    CardRequest,
    CardRun,
)
from holdfast.board.model import Board
from holdfast.board.rows import task
from holdfast.columns import loaded
from holdfast.engine import Read, Row
from holdfast.errors import Refused
from holdfast.holds import owner as owners

BOARD_SQL = sql.load("holdfast.board")
_PAGE: Final = 200
_TASKS: Final = BOARD_SQL["select_task"].fill(which=SQL["which_page"])
_OF_CARD: Final = tuple(name for name in Card.__struct_fields__ if name not in {
    "id", "status", "archived_from", "block_kind", "claim", "parents", "runs", "comments", "events", "attachments",
    "requests", "origins",
})  # fmt: skip
_MADE_OF: Final = (
    ("page_parents", "parents", lambda row: CardParent(id=row["parent_id"], gate=row["gate"])),
    ("page_runs", "runs", lambda row: CardRun(id=row.pop("run_id"), **_json(row, "metadata"))),
    ("page_comments", "comments", lambda row: CardComment(id=row.pop("comment_id"), **row)),
    ("page_events", "events", lambda row: CardEvent(id=row.pop("event_id"), **_json(row, "payload"))),
    ("page_attachments", "attachments", lambda row: CardFile(id=row.pop("attachment_id"), **row)),
    ("page_requests", "requests", lambda row: CardRequest(**row)),
    ("page_origins", "origins", lambda row: CardOrigin(source=row["source"], id=row["source_id"])),
)  # fmt: skip


def there(tx: Read, slug: str) -> Board:
    """Return the board, also one that was archived. Raises ``Refused`` when there is none."""
    found = catalogue.get_board(tx, slug)
    if found is None:
        raise Refused(f"there is no board {slug}", remedy="`holdfast board boards` lists them.")
    return found


def facts(tx: Read, board: Board) -> BoardFacts:
    """Return the board without its tasks."""
    caps = {row["assignee"]: row["running_max"] for row in tx.rows(BOARD_SQL["list_caps"], board_id=board.board_id)}
    return BoardFacts(
        slug=board.slug,
        name=board.name,
        description=board.description,
        workdir=board.workdir,
        running_max=board.running_max,
        created_ms=board.created_ms,
        archived_ms=board.archived_ms,
        caps=caps,
    )


def count(tx: Read, board: Board) -> int:
    """Return how many tasks the board has."""
    row = tx.row(SQL["count_tasks"], board_id=board.board_id)
    return 0 if row is None else int(row["found"])


def briefs(tx: Read, board: Board) -> list[Brief]:
    """Return what a list says of each task, by its number."""
    return [Brief(*found) for found in tx.tuples(SQL["briefs"], board_id=board.board_id)]


def pages(tx: Read, board: Board) -> Iterator[list[Card]]:
    """Yield every task of the board by its number, some at a time. Nine statements a page."""
    after = 0
    while rows := tx.rows(_TASKS, board_id=board.board_id, after=after, limit=_PAGE):
        bounds = {"board_id": board.board_id, "after": after, "last": rows[-1]["task_id"]}
        parts: dict[str, Any] = {name: _by_task(tx, statement, bounds, make) for statement, name, make in _MADE_OF}
        yield [_card(row, {name: of[row["task_id"]] for name, of in parts.items()}) for row in rows]
        after = rows[-1]["task_id"]


def _by_task(tx: Read, statement: str, bounds: dict[str, int], make: Any) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = defaultdict(list)
    for row in tx.rows(SQL[statement], **bounds):
        words = dict(row)
        found[words.pop("task_id")].append(make(words))
    return found


def _card(row: Row, parts: dict[str, Any]) -> Card:
    seen = task(row)
    claim = None
    if seen.status == "running" and seen.owner is not None:
        claim = {"owner": owners.describe(seen.owner), "fence": seen.fence, "taken_ms": seen.taken_ms}
    return Card(
        id=seen.task_id,
        status=str(seen.status),
        archived_from=None if seen.archived_from is None else str(seen.archived_from),
        block_kind=None if seen.block_kind is None else str(seen.block_kind),
        claim=claim,
        **{name: getattr(seen, name) for name in _OF_CARD},
        **parts,
    )


def _json(row: dict[str, Any], column: str) -> dict[str, Any]:
    return row | {column: loaded(row[column])}
