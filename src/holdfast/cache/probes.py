"""What must be true of the entries. Looks only."""

from __future__ import annotations

from holdfast import sql
from holdfast.engine import Read
from holdfast.findings import Finding

_SQL = sql.load("holdfast.cache")


def probes(tx: Read) -> list[Finding]:
    """Return which caches are not counted rightly. Scans every entry's size, not its value."""
    return [
        Finding(
            "cache-totals",
            f"cache {row['cache']}",
            measured=f"{row['entries']} entries of {row['bytes']} bytes are counted",
            expected=f"{row['true_entries']} entries of {row['true_bytes']} bytes",
            remedy="Nothing is lost: what is in it can be made again. In a cache.db made anew it is counted rightly.",
        )
        for row in tx.rows(_SQL["odd_totals"])
    ]
