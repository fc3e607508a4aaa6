"""What is wrong in the files of a Codex home: rollouts that were cut, and names that the rows have lost."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence

from holdfast import ids, rollouts
from holdfast.doctor.homes.look import SqlLook
from holdfast.doctor.model import Confidence, Finding, Json, Status
from holdfast.doctor.probes import unread
from holdfast.rollouts import Entry, Scan, paths
from holdfast.rollouts.opening import NotRegular, open_file

_YOUNG_S = 60
"""A line that was begun so shortly ago may be on its way."""

_ENDS_BYTES = 64 << 20  # read in full of the newest files, when not `deep`
_TAIL_BYTES = 4096
_SHOWN = 20
_TORN = {"line-unread", "line-too-long", "tail-torn", "tail-nul", "zst-truncated", "zst-corrupt"}

# --- torn rollouts -----------------------------------------------------------------


@unread.probe
def torn_rollouts(look: SqlLook) -> Iterator[Finding]:
    """Find lines of rollouts that cannot be read: in the newest 64 MiB, at the end of the others; ``deep``: in all."""
    home = look.target.path
    entries = sorted(look.rollouts.entries, key=lambda entry: entry.mtime_ns, reverse=True)
    torn: list[Scan] = []
    read_bytes = 0
    for entry in entries:
        if look.is_over():
            break
        read_bytes += entry.size
        is_whole = look.deep or read_bytes <= _ENDS_BYTES
        if (entry.zst and not is_whole) or _is_young(entry):
            continue
        if is_whole or _ends_badly(home, entry):
            scan = rollouts.scan(entry.path, home=home, zst=entry.zst)
            if _is_torn(scan):
                torn.append(scan)
    if torn:
        yield _torn(home, torn, len(entries))


def _is_young(entry: Entry) -> bool:
    return time.time() - entry.mtime_ns / 1e9 < _YOUNG_S


def _ends_badly(home: str, entry: Entry) -> bool:
    """Whether a plain file ends without a newline, or in NULs. Reads its last 4 KiB."""
    try:
        fd, info = open_file(f"{home}/{entry.path}")
    except (OSError, NotRegular):
        return False
    try:
        tail = os.pread(fd, _TAIL_BYTES, max(0, info.st_size - _TAIL_BYTES))
    except OSError:
        return False
    finally:
        os.close(fd)
    return bool(tail) and not tail.endswith(b"\n")


def _is_torn(scan: Scan) -> bool:
    if scan.status in ("gone", "not-regular"):
        return False
    return scan.status in ("unreadable", "no-meta") or any(each.code in _TORN for each in scan.problems)


def _torn(home: str, torn: Sequence[Scan], of: int) -> Finding:
    files: list[Json] = [f"{scan.path}{paths.ZST if scan.zst else ''}" for scan in torn[:_SHOWN]]
    said = [f"{scan.path} ({_why(scan)})" for scan in torn[:3]]
    return Finding(
        id="torn-rollout",
        status=Status.WARN,
        path=home,
        measured=f"{len(torn):,} of {of:,} rollouts have lines that cannot be read: {', '.join(said)}"
        + (", and more." if len(torn) > len(said) else "."),
        expected="Every line is a whole JSON object.",
        confidence=Confidence.CERTAIN,
        cause="A program or the machine ended while a line was written, the disk was full, or the file was changed.",
        remedy="Codex goes on behind such lines; of a file without a readable first line it knows nothing. "
        "`holdfast doctor --plan` makes a plan that cuts out what is no line, and keeps it in a copy.",
        repair="mend-rollouts",
        details={"files": files, "count": len(torn)},
    )


def _why(scan: Scan) -> str:
    found = [each for each in scan.problems if each.code in _TORN]
    if found:
        return f"{found[0].code} at byte {found[0].first_offset:,}"
    return "it does not say which thread it is" if scan.status == "no-meta" else scan.detail or scan.status


# --- lost names --------------------------------------------------------------------


@unread.probe
def lost_names(look: SqlLook) -> Iterator[Finding]:
    """Find threads whose name is in ``session_index.jsonl`` and not in their row, which is where Codex looks."""
    state = look.database("state")
    names = rollouts.read_names(look.target.path) if state is not None else {}
    inspection = look.open(state) if state is not None and names else None
    if inspection is None:
        return
    columns = inspection.columns("threads")
    has_name = "name" in columns
    if not {"id", "title"} <= columns.keys():
        return
    text = f"SELECT title, {'name' if has_name else 'NULL AS name'} FROM threads WHERE id = ?"
    lost: dict[str, Json] = {}
    for id16, name in names.items():
        for row in inspection.rows(text, (ids.text(id16),)):
            # Any other name in the row is a later one, and no loss; before there was a column for it, the title was it.
            has_one = row["name"] or row["title"] == name
            if not has_one and (has_name or not row["title"]):
                lost[ids.text(id16)] = name
    if not lost:
        return
    first = next(iter(lost.items()))
    yield Finding(
        id="names-lost",
        status=Status.WARN,
        path=inspection.path,
        measured=f"{len(lost):,} of {len(names):,} named threads have none in their row: {first[0]} is {first[1]!r}.",
        expected="A name that somebody gave is in the row, which is where Codex looks for it.",
        confidence=Confidence.CERTAIN,
        cause="The database was made anew from the rollouts, which do not hold names.",
        remedy="`holdfast doctor --plan` makes a plan that puts the names back from `session_index.jsonl`.",
        repair="restore-names",
        details={"names": lost},
    )
