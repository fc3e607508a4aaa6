"""The place where a page ends, as text that a caller hands back to get the next one. Pure."""

from __future__ import annotations

import base64
import hashlib
from typing import TypeVar

import msgspec

from holdfast.errors import Refused


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Which question a page answers; each kind of list adds where the next page goes on."""

    version: int
    question: str


C = TypeVar("C", bound=Cursor)


def question(asked: object) -> str:
    """Return a short hash of what was asked (of anything msgspec encodes): a cursor answers only that."""
    return hashlib.blake2b(msgspec.json.encode(asked), digest_size=6).hexdigest()


def encode(cursor: Cursor) -> str:
    """Return ``cursor`` as text safe in a URL."""
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=")


def decode(text: str, kind: type[C], *, version: int, question: str, others: str) -> C:
    """Return what ``encode`` wrote. Raises ``Refused`` for other text, or the cursor of another question.

    ``others`` says what that one belongs to: "another list: its order was different".
    """
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        cursor = msgspec.json.decode(raw, type=kind)
    except (ValueError, msgspec.DecodeError):
        raise Refused(
            f"{text[:40]!r} is no cursor", remedy="Pass the next_cursor of the page before, unchanged."
        ) from None
    if cursor.version != version or cursor.question != question:
        raise Refused(f"this cursor belongs to {others}", remedy="Start again without a cursor.")
    return cursor
