"""Lists of tools in and out. Each function joins the caller's transaction. Equal lists are stored once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b

from holdfast import sql
from holdfast.engine import Read, Row, Write
from holdfast.tools import rules
from holdfast.tools.model import Tool

_SQL = sql.load("holdfast.tools")
SAID_TOOLS = _SQL["said_tools"]
"""Every list that people said: rows of home, thread_id, tools (JSON)."""


def get(tx: Read, home_id: int, thread_id: bytes) -> list[Tool] | None:
    """Return the tools of a thread in their order, or None when nothing and nobody says which it has."""
    row = tx.row(_SQL["get_tools"], home_id=home_id, thread_id=thread_id)
    return None if row is None else rules.decode(row["tools"])


def say(tx: Write, home_id: int, thread_id: bytes, tools: Iterable[Tool] | None) -> None:
    """Say which tools a thread has, the whole list at once; None takes back what was said. Raises ``Refused``."""
    list_id = None if tools is None else _intern(tx, rules.encode(tools))
    _put(tx, "put_said_list", home_id, thread_id, list_id)


def put(tx: Write, home_id: int, found: Mapping[bytes, str | None]) -> None:
    """Note the lists (JSON) that rollouts give, and of which threads they give none. Nothing said is touched.

    Two short reads when there are no lists anywhere: indexing calls this for every batch.
    """
    for thread_id, text in found.items():
        if text is not None:
            _put(tx, "put_file_list", home_id, thread_id, _intern(tx, text))
    silent = [thread_id.hex() for thread_id, text in found.items() if text is None]
    row = tx.row(_SQL["has_file_lists"]) if silent else None
    if row is not None and row["yes"]:
        for lost in tx.rows(_SQL["without_list"], home_id=home_id, ids=json.dumps(silent)):
            _put(tx, "put_file_list", home_id, lost["thread_id"], None)


def restore(tx: Write, home_id: int, said: Sequence[tuple[bytes, str]]) -> int:
    """Say again what ``SAID_TOOLS`` once gave of one home, where nothing was said since; return how many."""
    restored = 0
    for thread_id, text in said:
        row = _lists(tx, home_id, thread_id)
        if row is None or row["said_list_id"] is None:
            _put(tx, "put_said_list", home_id, thread_id, _intern(tx, text))
            restored += 1
    return restored


def _put(tx: Write, statement: str, home_id: int, thread_id: bytes, list_id: int | None) -> None:
    before = _lists(tx, home_id, thread_id)
    if before is None and list_id is None:
        return
    tx.run(_SQL[statement], home_id=home_id, thread_id=thread_id, list_id=list_id)
    if before is not None:
        for old in {before["file_list_id"], before["said_list_id"]} - {None, list_id}:
            tx.run(_SQL["drop_list"], list_id=old)
        tx.run(_SQL["drop_row"], home_id=home_id, thread_id=thread_id)


def _lists(tx: Read, home_id: int, thread_id: bytes) -> Row | None:
    return tx.row(_SQL["lists_of"], home_id=home_id, thread_id=thread_id)


def _intern(tx: Write, text: str) -> int:
    digest = digest_of(text)
    tx.run(_SQL["put_list"], digest=digest, tools=text)
    row = tx.row(_SQL["get_list"], digest=digest)
    assert row is not None  # it was put there
    return int(row["list_id"])


def digest_of(text: str) -> bytes:
    """Return what equal lists share: 16 bytes."""
    return blake2b(text.encode(), digest_size=16).digest()
