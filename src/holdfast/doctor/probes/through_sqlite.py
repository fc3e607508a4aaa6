"""Every probe that opens databases, in the order they run: first whether they can be read, last what takes longest."""

from __future__ import annotations

from holdfast.doctor.homes.look import SqlLook
from holdfast.doctor.probes import (
    codex_files,
    codex_threads,
    codex_work,
    damage,
    free_pages,
    log_tables,
    migrations,
)
from holdfast.doctor.probes.hermes import HERMES
from holdfast.doctor.probes.own import OWN
from holdfast.doctor.probes.probe import Probe

SQLITE: tuple[Probe[SqlLook], ...] = (
    Probe("malformed", damage.malformed, rows=("F14",), limit_ms=1_500),
    Probe("free-pages", free_pages.free_pages, rows=("F05",)),
    Probe("migration-drift", migrations.migration_drift, rows=("F15",), kinds=("codex", "sqlite")),
    Probe("strange-triggers", log_tables.strange_triggers, rows=("F28",), kinds=("codex", "sqlite")),
    Probe("log-churn", log_tables.log_churn, rows=("F01",), kinds=("codex", "sqlite"), limit_ms=1_000),
    Probe("logs-no-cap", log_tables.logs_no_cap, rows=("F06",), kinds=("codex", "sqlite")),
    Probe("log-rows", log_tables.log_rows, rows=("F02", "F27"), kinds=("codex", "sqlite"), limit_ms=1_000),
    Probe("backfill-stuck", codex_work.backfill_stuck, rows=("F16",), kinds=("codex",)),
    Probe("stale-leases", codex_work.stale_leases, kinds=("codex",)),
    Probe("pending-stuck", codex_work.pending_stuck, kinds=("codex",)),
    Probe("threads-and-files", codex_threads.threads_and_files, kinds=("codex",), limit_ms=2_000),
    Probe("lost-names", codex_files.lost_names, kinds=("codex",)),
    Probe("torn-rollouts", codex_files.torn_rollouts, kinds=("codex",), limit_ms=1_500),
    *HERMES,
    *OWN,
    Probe("large-tables", damage.large_tables, rows=("F14",), limit_ms=1_500),
)
