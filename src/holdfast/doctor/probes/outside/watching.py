"""Watches of the kernel: on databases, on folders too wide, and too many of them."""

from __future__ import annotations

import os
from collections.abc import Iterator

from holdfast.doctor.facts.look import WIDE, RawLook
from holdfast.doctor.facts.model import Family, Mark
from holdfast.doctor.model import Confidence, Finding, Json, Status
from holdfast.doctor.probes.outside import wal, words

# inotify(7): what happens to files of a database whenever it is written or read.
_WAKES = 0x01 | 0x02 | 0x04 | 0x08 | 0x10 | 0x20  # ACCESS, MODIFY, ATTRIB, CLOSE_WRITE, CLOSE_NOWRITE, OPEN
STORM_BYTES_S = 1 << 20
"""A log that grows so fast wakes whoever watches it thousands of times a second."""
NEAR = 0.8
WATCHES_MANY = 10_000


def self_watch(look: RawLook) -> Iterator[Finding]:
    """F02: a process that has a database open, and has the kernel tell it of each write to it."""
    if look.later is None:
        return
    by_folder: dict[str, list[tuple[Family, Family]]] = {}
    for family, later in zip(look.families, look.later.families, strict=True):
        by_folder.setdefault(os.path.dirname(family.path), []).append((family, later))
    for folder, pairs in by_folder.items():
        rates = {family.path: wal.wal_growth(look, family, later) for family, later in pairs}
        holders = {pid for family, _ in pairs for pid in look.processes.holders(family)}
        inside = {folder} | {key for family, _ in pairs for key in (family.path, family.path + "-wal")}
        marks = [mark for mark in look.processes.marks if mark.path in inside and mark.mask & _WAKES]
        is_storm = max(rates.values()) >= STORM_BYTES_S
        told = [mark for mark in marks if mark.pid in holders or is_storm]
        if told:
            yield _self_watch(look, folder, told, holders, rates)


def _self_watch(look: RawLook, folder: str, marks: list[Mark], holders: set[int], rates: dict[str, float]) -> Finding:
    both = {mark.pid for mark in marks} & holders
    fastest = max(rates, key=lambda path: rates[path])
    runs = rates[fastest] >= STORM_BYTES_S
    watchers: list[Json] = [*sorted({mark.pid for mark in marks})]
    keepers: list[Json] = [*sorted(holders)]
    inodes: dict[str, Json] = {str(mark.path): mark.key[1] for mark in marks}
    watched = ", ".join(sorted({f"{mark.path} (inode {mark.key[1]})" for mark in marks}))
    return Finding(
        id="self-watch",
        row="F02",
        status=Status.FAIL if both and runs else Status.WARN,
        path=folder,
        measured=f"{words.all_of((mark.pid for mark in marks), look.processes)} has the kernel watch {watched}, where"
        f" {len(rates)} databases lie. Open in {words.all_of(holders, look.processes) or 'no process that was seen'}."
        f" The log of {os.path.basename(fastest)} grew by {words.size(rates[fastest])}/s.",
        expected="Nobody who writes a database is told of each write to it.",
        confidence=Confidence.CERTAIN if both else Confidence.LIKELY,
        cause="A program that watches the folder of its own database and logs what it is told writes a row for each of"
        " its writes, without an end."
        if both
        else "Another program watches the folder, and is woken by each write to the database.",
        remedy="Restart the program after its databases were given a folder that nothing watches (sqlite_home in"
        " config.toml, CODEX_SQLITE_HOME). Codex watches its whole home when `skills` is missing in it: make that"
        " folder.",
        details={"watchers": watchers, "holders": keepers, "watched": inodes, "wal_bytes_per_s": round(rates[fastest])},
    )


def wide(look: RawLook) -> Iterator[Finding]:
    """F21: somebody who uses these databases watches a folder far wider than anything of his."""
    holders = {pid for family in look.families for pid in look.processes.holders(family)}
    folders = {*WIDE, os.path.expanduser("~")} - {os.path.dirname(family.path) for family in look.families}
    for pid in sorted(holders):
        wide = sorted({mark.path for mark in look.processes.marks if mark.pid == pid and mark.path in folders})
        process = look.processes.all.get(pid)
        count = process.watches if process is not None else None
        if not wide and (count or 0) < WATCHES_MANY:
            continue
        said = [f"watches {' and '.join(map(str, wide))}"] if wide else []
        said += [f"has {count:,} watches"] if (count or 0) >= WATCHES_MANY else []
        paths: list[Json] = [*wide]
        yield Finding(
            id="wide-watch",
            row="F21",
            status=Status.WARN,
            path=look.target.path,
            measured=f"{words.one(pid, look.processes)} {' and '.join(said)}.",
            expected="A program watches the folders it is about, without those they link to.",
            confidence=Confidence.CERTAIN if wide else Confidence.LIKELY,
            cause="A folder that it wants to watch is not there, so it watches the next one above that is"
            " (`~/.agents/skills`, `/etc/codex/skills`); or a link in a watched folder leads out of it.",
            remedy="Make the folder that is missing, and restart the program; look for links in its `skills` folders.",
            details={"pid": pid, "folders": paths, "watches": count},
        )


def watches_used(look: RawLook) -> Iterator[Finding]:
    """F18: the watches of a user are nearly used up."""
    yield from _used(look, "watches", look.processes.watches_max)


def instances_used(look: RawLook) -> Iterator[Finding]:
    """F19: the inotify descriptors of a user are nearly used up."""
    yield from _used(look, "instances", look.processes.instances_max)


def _used(look: RawLook, what: str, most: int | None) -> Iterator[Finding]:
    if not look.is_first or not most:
        return
    by_user: dict[int, dict[int, int]] = {}
    for process in look.processes.all.values():
        used = process.watches if what == "watches" else process.inotify_fds
        if used:
            by_user.setdefault(process.uid, {})[process.pid] = used
    for uid, used_by in sorted(by_user.items()):
        total = sum(used_by.values())
        if total < most * NEAR:
            continue
        top = sorted(used_by, key=lambda pid: -used_by[pid])[:3]
        pids: dict[str, Json] = {str(pid): used_by[pid] for pid in top}
        yield Finding(
            id=f"inotify-{what}",
            row="F18" if what == "watches" else "F19",
            status=Status.WARN,
            path=f"/proc/sys/fs/inotify/max_user_{what}",
            measured=f"User {uid} uses {total:,} of {most:,} inotify {what}, most of them "
            + ", ".join(f"{words.one(pid, look.processes)} {used_by[pid]:,}" for pid in top)
            + ".",
            expected=f"Less than {NEAR:.0%}.",
            confidence=Confidence.CERTAIN,
            cause='Programs that watch whole trees, caches among them. At the limit others fail with "no space left'
            ' on device".',
            remedy=f"Restart the first one named, or raise fs.inotify.max_user_{what} with sysctl.",
            details={"uid": uid, "used": total, "most": most, "top": pids},
        )
