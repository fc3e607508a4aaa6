"""The processes that use a database: which SQLite they have, and whether they run out of descriptors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from holdfast.doctor.facts.look import RawLook
from holdfast.doctor.facts.model import Family, Process
from holdfast.doctor.model import Confidence, Finding, Json, Status
from holdfast.doctor.probes.outside import words

NEAR = 0.8
LEAK_FDS = 100
"""A connection has one descriptor on the database; nobody keeps a hundred connections to one file."""
CHILDREN = 256
_FIRST_AFFECTED, _FIRST_FIXED = 3_007_000, 3_051_003
_BACKPORTS = ((3_044_006, 3_045_000), (3_050_007, 3_051_000))


def is_affected(version: int) -> bool:
    """Whether this SQLite has the WAL-reset bug: 3.7.0 to 3.51.2, mended in 3.51.3, 3.50.7 and 3.44.6."""
    if any(first <= version < end for first, end in _BACKPORTS):
        return False
    return _FIRST_AFFECTED <= version < _FIRST_FIXED


def said(version: int) -> str:
    """Return a version as people write it."""
    return f"{version // 1_000_000}.{version // 1_000 % 1_000}.{version % 1_000}"


def affected_sqlite(look: RawLook) -> Iterator[Finding]:
    """F11: several processes share a WAL database, and one of them has a SQLite that damages such a one.

    It takes two that checkpoint at the same moment, so nobody who is alone is told of.
    """
    for family in look.families:
        holders = look.processes.users(family)
        if len(holders) < 2 or family.header is None or not family.header.in_wal_mode:
            continue
        known = {pid: version for pid in holders if (version := _version(look.processes.all.get(pid))) is not None}
        affected = {pid: version for pid, version in known.items() if is_affected(version)}
        by_header = not affected and len(known) < len(holders) and is_affected(family.header.written_by)
        if not affected and not by_header:
            continue
        pids: dict[str, Json] = {str(pid): said(version) for pid, version in affected.items()}
        yield Finding(
            id="sqlite-version-affected",
            row="F11",
            status=Status.WARN,
            path=family.database.path,
            measured=(
                "; ".join(
                    f"{words.one(pid, look.processes)} has SQLite {said(version)}" for pid, version in affected.items()
                )
                if affected
                else f"It was written last by SQLite {said(family.header.written_by)}"
            )
            + f". {len(holders)} processes have it open in WAL mode.",
            expected="SQLite 3.51.3 or newer (or 3.50.7, 3.44.6) in every process that shares a database.",
            confidence=Confidence.CERTAIN if affected else Confidence.LIKELY,
            cause="Up to 3.51.2, two processes that empty the log at the same moment can damage the database.",
            remedy="Update the programs named, or what they take their SQLite from (Python: the system's libsqlite3).",
            details={"versions": pids, "written_by": said(family.header.written_by), "holders": len(holders)},
        )


def _version(process: Process | None) -> int | None:
    """Return the oldest SQLite a process has mapped; None when none says its version."""
    if process is None:
        return None
    return min((library.version for library in process.libraries if library.version is not None), default=None)


def not_all_seen(look: RawLook) -> Iterator[Finding]:
    """Say what of the processes was not looked at, once for all targets: there may be holders among them."""
    if not look.is_first or look.processes.is_whole:
        return
    yield Finding(
        id="processes-not-all-seen",
        status=Status.PARTIAL,
        path="/proc",
        measured=f"{' '.join(look.processes.left)} Those who have a database locked or mapped were looked at first.",
        expected="Every descriptor of every process of this user is looked at.",
        confidence=Confidence.CERTAIN,
        cause="There are very many, or the machine is busy.",
        remedy="`holdfast doctor --deep` takes more time for them.",
        details={"unreadable": look.processes.unreadable},
    )


def descriptors(look: RawLook) -> Iterator[Finding]:
    """F20: a process that uses the database will soon get no more descriptors."""
    for pid in sorted({pid for family in look.families for pid in look.processes.holders(family)}):
        process = look.processes.all.get(pid)
        if process is None or not process.fds or not process.fds_max or process.fds < process.fds_max * NEAR:
            continue
        yield Finding(
            id="descriptors-near-limit",
            row="F20",
            status=Status.WARN,
            path=look.target.path,
            measured=f"{words.one(pid, look.processes)} has {process.fds:,} descriptors of {process.fds_max:,}.",
            expected=f"Less than {NEAR:.0%} of its limit.",
            confidence=Confidence.CERTAIN,
            cause="It keeps files, pipes or watches open that it does not need any more, or was started with the small"
            " limit of a login shell.",
            remedy="Restart it; start it with a higher limit (`ulimit -n`, LimitNOFILE=) if it needs so many.",
            details={"pid": pid, "fds": process.fds, "fds_max": process.fds_max},
        )


def leak(look: RawLook) -> Iterator[Finding]:
    """F25: a process that opens the database again and again, and closes it never."""
    for family in look.families:
        if family.main is None:
            continue
        counts = Counter(each.pid for each in look.processes.opened if each.key == family.main.key and each.fd >= 0)
        for pid, count in sorted(counts.items()):
            if count >= LEAK_FDS:
                yield _leak(look, family, pid, count)


def _leak(look: RawLook, family: Family, pid: int, count: int) -> Finding:
    age_s = words.process_age_s(look.processes.all.get(pid))
    return Finding(
        id="descriptor-leak",
        row="F25",
        status=Status.WARN,
        path=family.database.path,
        measured=f"{words.one(pid, look.processes)} has {count:,} descriptors on this one file"
        + (f", {count / age_s * 3_600:,.0f} an hour." if age_s >= 60 else "."),
        expected=f"One for each connection; less than {LEAK_FDS}.",
        confidence=Confidence.LIKELY,
        cause="Connections are opened, never closed: in Python, `with sqlite3.connect(...)` commits but never closes.",
        remedy="Restart it before it has no descriptors left. Its code should close with `contextlib.closing`.",
        details={"pid": pid, "fds": count},
    )


def storm(look: RawLook) -> Iterator[Finding]:
    """F23: a process that uses the database has hundreds of children at this moment."""
    holders = {pid for family in look.families for pid in look.processes.holders(family)}
    children = Counter(process.parent for process in look.processes.all.values() if process.parent in holders)
    for pid, count in sorted(children.items()):
        if count < CHILDREN:
            continue
        names = Counter(process.command for process in look.processes.all.values() if process.parent == pid)
        name, most = names.most_common(1)[0]
        yield Finding(
            id="spawn-storm",
            row="F23",
            status=Status.WARN,
            path=look.target.path,
            measured=f"{words.one(pid, look.processes)} has {count:,} child processes, {most:,} of them {name}.",
            expected=f"Less than {CHILDREN}.",
            confidence=Confidence.LIKELY,
            cause="It starts one for each event it is told of, or for each file.",
            remedy="End it as it usually ends, and restart it with fewer folders to watch.",
            details={"pid": pid, "children": count, "name": name},
        )
