"""Every finding there is, by its id, and every row: what may be asked for, and what docs/doctor.md tells of.

Another finding of a subject of our own is called ``own-`` and the code of its probe.
"""

from __future__ import annotations

from holdfast.doctor.repairs.repair import NAMES

IDS = frozenset((
    "aliased-database", "archive-mismatch", "backfill-stuck", "board-circle", "board-dangling-links",
    "board-duplicate-keys", "board-events", "board-never-promoted", "board-quarantine", "board-ready-too-early",
    "board-respawn-loop", "board-rows-without-task", "board-running-without-run", "board-runs-open",
    "board-stuck-claims", "board-unknown-status", "cron-deletes-wal", "database-locked", "database-slow",
    "database-unreadable", "deleted-but-open", "descriptor-leak", "descriptors-near-limit", "disk-full",
    "duplicate-thread-ids", "files-readable-by-others", "files-without-threads", "free-pages", "inodes-full",
    "inotify-instances", "inotify-watches", "log-churn", "logs-no-cap", "lost-locks", "malformed",
    "migration-drift", "names-lost", "network-mount", "old-files-held", "own-backups", "own-home-gone",
    "own-index-behind", "own-log-damaged", "own-log-over-cap", "own-log-refused", "own-log-strangers",
    "own-receipt-unfinished", "own-receipt-unreadable", "own-search-behind", "own-shape", "own-wal",
    "pending-stuck", "processes-not-all-seen", "read-only-place", "relocation-offered", "secrets-in-logs",
    "self-watch", "slow-open", "spawn-storm", "sqlite-version-affected", "stale-lease", "stale-paths",
    "stopped-holder", "strange-trigger", "symlinked-sidecar", "threads-without-files", "torn-rollout",
    "two-wal-generations", "unknown-generation", "wal-high-water", "wal-starved", "wide-watch", "write-lock-held",
))  # fmt: skip

ROWS = (
    "F01", "F02", "F03a", "F03b", "F04", "F05", "F06", "F07", "F08", "F09", "F10", "F11", "F12", "F13", "F14",
    "F15", "F16", "F17", "F18", "F19", "F20", "F21", "F22", "F23", "F24", "F25", "F26", "F27", "F28",
)  # fmt: skip


def is_known(text: str) -> bool:
    """Return True when ``text`` is the id of a finding, a row, or the name of a repair; in whatever case."""
    lower = text.lower()
    return lower in IDS or lower.startswith("own-") or lower in NAMES or lower in {row.lower() for row in ROWS}
