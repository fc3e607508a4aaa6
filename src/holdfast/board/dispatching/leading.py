"""Who leads: one dispatcher per board claims, the others stand by."""

from __future__ import annotations

from holdfast.board.dispatching.model import Leader
from holdfast.engine import Read


def leaders(tx: Read) -> list[Leader]:
    """Return who dispatches which board, and what each told last. One read."""
    raise NotImplementedError
