"""What people and workers say of a task, beside it. A comment is never changed: who was wrong says more."""

from __future__ import annotations

import msgspec

from holdfast.board.rows import SQL
from holdfast.board.telling import tell
from holdfast.engine import Read, Write
from holdfast.errors import Refused

COMMENT_BYTES_MAX = 256 * 1024
"""A longer text is a file: ``attach`` it."""

_SHOWN_CHARS = 200


class Comment(msgspec.Struct, frozen=True, kw_only=True):
    """Something said of a task. ``author`` is whatever name was given."""

    comment_id: int
    task_id: int
    author: str
    body: str
    created_ms: int


def comment(tx: Write, task_id: int, body: str, *, author: str = "") -> Comment:
    """Say something of a task, whatever its status. Three statements, however large the board is.

    Raises ``Refused`` when there is no such task, and for a text that is empty or above 256 KiB.
    """
    body = body.encode(errors="backslashreplace").decode()  # a lone surrogate cannot be stored
    if not body.strip():
        raise Refused("a comment without words says nothing")
    if (size := len(body.encode())) > COMMENT_BYTES_MAX:
        raise Refused(
            f"the comment has {size} bytes, of at most {COMMENT_BYTES_MAX}",
            remedy="Attach it as a file, and say in the comment what it is.",
        )
    tell(tx, task_id, "commented", {"author": author, "body": body[:_SHOWN_CHARS]})
    row = tx.row(SQL["insert_comment"], task_id=task_id, author=author, body=body, now_ms=tx.now_ms)
    assert row is not None  # RETURNING
    return Comment(**row)


def comments(tx: Read, task_id: int, *, after: int = 0, limit: int = 100) -> list[Comment]:
    """Return the comments of a task after the one with the id ``after``, oldest first."""
    return [Comment(**row) for row in tx.rows(SQL["list_comments"], task_id=task_id, after=after, limit=limit)]
