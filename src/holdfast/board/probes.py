"""What must be true of the rows of the board's tables. Looks only."""

from __future__ import annotations

from holdfast.engine import Read
from holdfast.findings import Finding


def probes(tx: Read) -> list[Finding]:
    """Return what is wrong with the boards."""
    return []
