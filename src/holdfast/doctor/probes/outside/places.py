"""Where databases lie: mounts they do not survive, disks that are full or read-only, and who else may read them."""

from __future__ import annotations

import os
from collections.abc import Iterator

from holdfast.doctor.facts.families import file_at
from holdfast.doctor.facts.look import RawLook
from holdfast.doctor.facts.model import Family, Place
from holdfast.doctor.facts.places import closed_to_others
from holdfast.doctor.model import Confidence, Finding, Json, Status
from holdfast.doctor.probes.outside import words

MIB = 1 << 20
FREE_WARN_BYTES = 512 * MIB
FREE_FAIL_BYTES = 64 * MIB
FREE_INODES = 0.01


def network(look: RawLook) -> Iterator[Finding]:
    """F12: databases on a mount that does not keep SQLite's locks and shared memory."""
    for family, place in _places(look):
        if place.trusted:
            continue
        in_wal_mode = family.header is not None and family.header.in_wal_mode
        yield Finding(
            id="network-mount",
            row="F12",
            status=Status.FAIL if in_wal_mode else Status.WARN,
            path=family.database.path,
            measured=f"{place.folder} is on a {place.kind} mount"
            + (
                ", and the database is in WAL mode, which needs memory shared by all who use it."
                if in_wal_mode
                else "."
            ),
            expected="A database lies on a local disk.",
            confidence=Confidence.CERTAIN,
            cause="The home, or its databases, are on a network or virtual-machine mount. There locks and shared memory"
            " hold for a part of the processes only, and the database is damaged without an error.",
            remedy="Move the databases to a local disk while nothing has them open, and name that folder: sqlite_home"
            " in config.toml or CODEX_SQLITE_HOME for Codex, HOLDFAST_STATE for holdfast.",
            details={"kind": place.kind, "wal": in_wal_mode},
        )


def full(look: RawLook) -> Iterator[Finding]:
    """F17: no room, no inodes, or no right to write. Once for each folder."""
    seen: set[str] = set()
    for family, place in _places(look):
        if place.folder in seen:
            continue
        seen.add(place.folder)
        if place.free_bytes < FREE_WARN_BYTES:
            yield _disk_full(family, place)
        if place.total_inodes and place.free_inodes < place.total_inodes * FREE_INODES:
            yield _inodes_full(place)
        if _must_be_written(look, family) and (place.read_only or not place.writable):
            yield _read_only(place)


def _must_be_written(look: RawLook, family: Family) -> bool:
    """Whether nobody can use the database without writing: WAL mode needs that also of who reads."""
    return look.target.kind != "sqlite" or (family.header is not None and family.header.in_wal_mode)


def _disk_full(family: Family, place: Place) -> Finding:
    return Finding(
        id="disk-full",
        row="F17",
        status=Status.FAIL if place.free_bytes < FREE_FAIL_BYTES else Status.WARN,
        path=place.folder,
        measured=f"The disk of {place.folder} has {words.size(place.free_bytes)} free,"
        f" of {words.size(place.total_bytes)}.",
        expected=f"At least {words.size(FREE_WARN_BYTES)} free; a write that finds no room stops everything else, too.",
        confidence=Confidence.CERTAIN,
        cause="Something filled it; the picture of the bytes says whether it was this home.",
        remedy="Make room elsewhere first. Delete no -wal: docs/bad-day.md says what is safe, and in which order.",
        details={"free_bytes": place.free_bytes, "total_bytes": place.total_bytes, "kind": place.kind},
    )


def _inodes_full(place: Place) -> Finding:
    return Finding(
        id="inodes-full",
        row="F17",
        status=Status.FAIL if not place.free_inodes else Status.WARN,
        path=place.folder,
        measured=f"The disk of {place.folder} can take {place.free_inodes:,} files more, of {place.total_inodes:,}.",
        expected=f"At least {FREE_INODES:.0%} of the files it can hold; a database makes files beside itself.",
        confidence=Confidence.CERTAIN,
        cause="Very many small files: a cache, packages, or transcripts of years.",
        remedy="Remove files that are not needed elsewhere on that disk.",
        details={"free_inodes": place.free_inodes, "total_inodes": place.total_inodes},
    )


def _read_only(place: Place) -> Finding:
    return Finding(
        id="read-only-place",
        row="F17",
        status=Status.WARN,
        path=place.folder,
        measured=f"{place.folder} is "
        + ("on a disk that is mounted read-only." if place.read_only else "not writable for this user."),
        expected="Its owner can write there: also who only reads a database in WAL mode makes files beside it.",
        confidence=Confidence.CERTAIN if place.read_only else Confidence.LIKELY,
        cause="The disk was mounted so (after an error the kernel does that by itself), or it is another user's.",
        remedy="Look what the kernel says of the disk, or run this as the user whose home it is.",
        details={"read_only_mount": place.read_only, "kind": place.kind},
    )


def readable_by_others(look: RawLook) -> Iterator[Finding]:
    """F27: databases that every user of the machine can read. Nothing where a folder above keeps others out.

    A lone file is nobody's home: who shares one, means to.
    """
    if look.target.kind == "sqlite":
        return
    open_files: dict[str, int] = {}
    for family in look.families:
        for file in (family.main, family.wal):
            if file is not None and file.mode & 0o004 and closed_to_others(file.path) is None:
                open_files[file.path] = file.mode
    if not open_files:
        return
    files: list[Json] = [*sorted(open_files)]
    folder = file_at(os.path.realpath(look.target.path))
    yield Finding(
        id="files-readable-by-others",
        row="F27",
        status=Status.WARN,
        path=look.target.path,
        measured=f"{len(open_files)} files of databases can be read by every user of this machine, among them"
        f" {os.path.basename(min(open_files))} ({next(iter(open_files.values())):04o}).",
        expected="Files 0600, or a folder above them that others cannot pass (0700).",
        confidence=Confidence.CERTAIN,
        cause="They were made with the modes of everything else. In them are transcripts, and what programs logged of"
        " tokens and addresses.",
        remedy="`holdfast doctor --plan` makes a plan that takes these rights away, and leaves the owner's.",
        repair="private-modes",
        details={"files": files, "folder_mode": folder.mode if folder is not None else None},
    )


def _places(look: RawLook) -> Iterator[tuple[Family, Place]]:
    for family in look.families:
        place = look.place_of(family.path)
        if place is not None:
            yield family, place
