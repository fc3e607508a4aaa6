"""Every probe that needs no database open, in the order they run. What is most urgent comes first."""

from __future__ import annotations

from holdfast.doctor.facts.look import RawLook
from holdfast.doctor.probes import codex_places
from holdfast.doctor.probes.outside import generations, locks, names, places, users, wal, watching
from holdfast.doctor.probes.probe import Probe

RAW: tuple[Probe[RawLook], ...] = (
    Probe("processes", users.not_all_seen),
    Probe("deleted-files", generations.deleted, rows=("F04",)),
    Probe("disk", places.full, rows=("F17",)),
    Probe("mount", places.network, rows=("F12",)),
    Probe("locks", locks.write_held, rows=("F07", "F10")),
    Probe("lost-locks", locks.lost, rows=("F13",)),
    Probe("self-watch", watching.self_watch, rows=("F02",)),
    Probe("wal-starved", wal.starved, rows=("F03a",)),
    Probe("wal-high-water", wal.high_water, rows=("F03b",)),
    Probe("slow-open", wal.slow_open, rows=("F08",)),
    Probe("log-size", wal.without_limit, rows=("F06",)),
    Probe("log-churn", wal.churn, rows=("F01",)),
    Probe("names", names.aliased, rows=("F13",)),
    Probe("sidecars", names.linked_sidecar, rows=("F28",)),
    Probe("cron", names.scheduled, rows=("F28",)),
    Probe("sqlite-version", users.affected_sqlite, rows=("F11",)),
    Probe("descriptors", users.descriptors, rows=("F20",)),
    Probe("descriptor-leak", users.leak, rows=("F25",)),
    Probe("spawn-storm", users.storm, rows=("F23",)),
    Probe("wide-watch", watching.wide, rows=("F21",)),
    Probe("inotify-watches", watching.watches_used, rows=("F18",)),
    Probe("inotify-instances", watching.instances_used, rows=("F19",)),
    Probe("old-place", generations.old_place, rows=("F13",), kinds=("codex",)),
    Probe("relocation", codex_places.relocation_offered, rows=("F02", "F12"), kinds=("codex",)),
    Probe("unknown-generation", codex_places.unknown_generation, kinds=("codex", "sqlite")),
    Probe("readable-by-others", places.readable_by_others, rows=("F27",), kinds=("holdfast", "codex", "hermes")),
)
