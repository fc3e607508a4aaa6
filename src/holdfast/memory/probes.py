"""What must be true of the rows of memories. Looks only."""

from __future__ import annotations

from holdfast import ids, sql
from holdfast.engine import Read
from holdfast.findings import Finding

_SQL = sql.load("holdfast.memory")
_REMEDY = "Forget it: `holdfast memory forget THREAD`; the next `holdfast memory run` makes it again."


def probes(tx: Read) -> list[Finding]:
    """Return what is wrong with memories, at most 100 of each kind."""
    found = [
        Finding(
            "memory-without-thread",
            f"memory of thread {ids.text(row['thread_id'])} in {row['scope_kind']} {row['scope_key']}",
            measured="its thread has no row",
            expected="a memory goes with its thread",
            remedy=_REMEDY,
        )
        for row in tx.rows(_SQL["orphan_memories"])
    ]
    found += [
        Finding(
            "memory-use",
            f"memory of thread {ids.text(row['thread_id'])} in {row['scope_kind']} {row['scope_key']}",
            measured=f"used {row['used_count']} times, last at {row['last_used_ms']},"
            f" invalid since {row['invalidated_ms']}",
            expected="a time for every use, and a reason only for what is invalid",
            remedy=_REMEDY,
        )
        for row in tx.rows(_SQL["odd_memories"])
    ]
    return found
