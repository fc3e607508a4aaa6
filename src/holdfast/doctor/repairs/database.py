"""What the repairs of a database file share: its figures, read from the file itself, and the shape of their actions.

The header is read as bytes, for a process that has the file open in no SQLite.
What lies in the log only is not in these figures.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from holdfast.doctor.facts import parse
from holdfast.doctor.model import Finding, Json, Target
from holdfast.doctor.repairs.repair import Action, Outcome
from holdfast.errors import Refused
from holdfast.quantities import size_text
from holdfast.receipts import families

_ROOM = 1.2
"""New content takes as much as there is, and a fifth more while it is made."""


@dataclass(frozen=True, slots=True)
class Figures:
    """A database file. ``pages`` is None when its first page is no header of a database."""

    db_bytes: int
    wal_bytes: int
    disk_bytes: int
    page_bytes: int = 0
    pages: int | None = None
    free: int = 0
    can_return_pages: bool = False

    @property
    def free_bytes(self) -> int:
        """Bytes of pages that hold nothing."""
        return self.free * self.page_bytes

    @property
    def live_bytes(self) -> int:
        """Bytes of pages that hold something, and all of the log."""
        return max(self.db_bytes - self.free_bytes, 0) + self.wal_bytes

    def told(self) -> dict[str, Json]:
        """Return the figures of an outcome."""
        return {
            "db_bytes": self.db_bytes,
            "wal_bytes": self.wal_bytes,
            "disk_bytes": self.disk_bytes,
            "pages": self.pages,
            "free_pages": self.free,
        }


def figures(path: str) -> Figures:
    """Return the figures of the database at ``path``. Raises ``Refused`` when there is none."""
    try:
        with open(path, "rb", buffering=0) as file:
            head = file.read(families.HEAD_BYTES)
            info = os.fstat(file.fileno())
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}") from error
    wal_bytes, disk_bytes = 0, info.st_blocks * 512
    with suppress(OSError):
        wal = os.stat(f"{path}-wal")
        wal_bytes, disk_bytes = wal.st_size, disk_bytes + wal.st_blocks * 512
    header = parse.header(head)
    if header is None:
        return Figures(info.st_size, wal_bytes, disk_bytes)
    return Figures(
        db_bytes=info.st_size,
        wal_bytes=wal_bytes,
        disk_bytes=disk_bytes,
        page_bytes=header.page_bytes,
        pages=info.st_size // header.page_bytes,
        free=header.free_pages,
        can_return_pages=header.auto_vacuum == "incremental",
    )


def free_pages(finding: Finding, found: Figures) -> int | None:
    """Return how many pages hold nothing, as the finding says, or else the header; None when only the log tells."""
    said = finding.details.get("free_pages")
    if isinstance(said, int) and not isinstance(said, bool):
        return said
    return found.free if found.free or not found.wal_bytes else None


def replacing(
    repair: str,
    finding: Finding,
    what: str,
    *,
    frees_bytes: int | None,
    arguments: dict[str, Json] | None = None,
    new_bytes: int | None = None,
) -> Action:
    """Return the action of a repair that gives a database other content."""
    path = finding.path
    found = figures(path)
    new_bytes = found.live_bytes if new_bytes is None else new_bytes
    copied = found.db_bytes + found.wal_bytes
    return Action(
        repair=repair,
        path=path,
        what=what,
        keeps=f"The file stays the file it is. A copy of all it held ({size_text(copied)}) is kept with the receipt.",
        live=False,
        can_undo=True,
        finding=finding.id,
        frees_bytes=frees_bytes,
        needs_bytes=copied + int(new_bytes * _ROOM),
        exclusive=(path,),
        arguments=arguments or {},
        seen=families.stamps(path),
    )


def outcome(said: str, path: str, before: Figures, receipt: str | None, *, gone: bool = True, **more: Json) -> Outcome:
    """Return the outcome of an action on ``path``, measured again. ``more`` are figures from after it."""
    after = figures(path)
    return Outcome(
        said=f"{said}: {size_text(before.disk_bytes)} on the disk became {size_text(after.disk_bytes)}",
        gone=gone,
        before=before.told(),
        after=after.told() | more,
        receipt=receipt,
    )


def about(finding: Finding, target: Target) -> Finding | None:
    """Return the finding with the path of the database it is about, one of the target's; None: it is about none."""
    known = {target.path, *(each.path for each in target.databases)}
    for end in ("", "-wal", "-shm", "-journal"):
        if finding.path.endswith(end) and (path := finding.path[: len(finding.path) - len(end)]) in known:
            return msgspec.structs.replace(finding, path=path)
    return None


def number(value: Json, name: str) -> float | None:
    """Return a number of a plan's arguments, or None. Raises ``Refused`` for what is none."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e15:
        raise Refused(f"{name} is no number that can be meant: {value!r}")
    return value
