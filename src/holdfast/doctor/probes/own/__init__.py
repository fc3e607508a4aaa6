"""Probes of our own state directory: what each subject says of its rows, and what lies beside ``state.db``."""

from __future__ import annotations

from holdfast.doctor.probes import unread
from holdfast.doctor.probes.own import files, index, log, rows
from holdfast.doctor.probes.probe import Probe

OWN = tuple(
    Probe(name, unread.probe(run), kinds=("holdfast",), rows=covered, limit_ms=limit_ms)
    for name, run, covered, limit_ms in (
        ("own-shape", rows.shape, ("F15",), 500),
        *((f"own-{room}", rows.of_room(room), (), 1_500) for room in rows.ROOMS),
        ("own-cache", rows.cache, (), 500),
        ("own-index", index.index_behind, (), 1_500),
        ("own-search", index.search_behind, (), 500),
        ("own-receipts", files.receipts, (), 500),
        ("own-wal", files.log_of_state, ("F03a", "F03b"), 200),
        ("own-backups", files.copies, (), 500),
        ("own-log-strangers", log.strangers, (), 200),
        ("own-log-cap", log.over_cap, ("F06",), 200),
        ("own-log-refused", log.refused, (), 200),
        ("own-log-records", log.lost_records, (), 1_000),
    )
)
"""``limit_ms`` is where each is cut; on a state directory of usual size they take milliseconds together."""
