"""The files of a database, read by their first bytes. For a process that has none of them open in SQLite.

Nothing is opened before it was looked at: no pipe, no device, nothing that would hang.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from holdfast.doctor.facts import parse
from holdfast.doctor.facts.model import Family, File, Header, Index, Log
from holdfast.doctor.model import Database

_BLOCK = 512  # st_blocks counts in these (stat(2))


def family(database: Database) -> Family:
    """Return the files of a database as they are now. Three to thirty small reads, however large they are."""
    path = os.path.realpath(database.path)
    main = file_at(path)
    wal, shm, journal = (file_at(path + ending) for ending in ("-wal", "-shm", "-journal"))
    header: Header | None = None
    log: Log | None = None
    index: Index | None = None
    unread = []
    for what, found in (("", main), ("-wal", wal), ("-shm", shm)):
        if found is None or found.kind != "file" or not found.size:
            continue
        try:
            with _Bytes(path + what) as bytes_:
                if not what:
                    header = parse.header(bytes_.read(0, parse.HEADER_BYTES))
                elif what == "-wal":
                    log = _log(bytes_, found.size)
                else:
                    index = _index(bytes_)
        except OSError as error:
            unread.append(f"{path}{what}: {error.strerror}")
    return Family(
        database=database,
        path=path,
        main=main,
        wal=wal,
        shm=shm,
        journal=journal,
        header=header,
        log=log,
        index=index,
        unread="; ".join(unread),
    )


def file_at(path: str) -> File | None:
    """Return what is at ``path``; None when nothing is, or it may not be looked at."""
    try:
        itself = os.lstat(path)
        link = os.readlink(path) if stat.S_ISLNK(itself.st_mode) else None
        seen = itself if link is None else os.stat(path)
    except OSError:
        return None
    kind = "file" if stat.S_ISREG(seen.st_mode) else "folder" if stat.S_ISDIR(seen.st_mode) else "other"
    return File(
        path=path,
        key=(seen.st_dev, seen.st_ino),
        kind=kind,
        size=seen.st_size,
        bytes=seen.st_blocks * _BLOCK,
        mode=stat.S_IMODE(seen.st_mode),
        uid=seen.st_uid,
        gid=seen.st_gid,
        names=seen.st_nlink,
        mtime_ns=seen.st_mtime_ns,
        link=link,
    )


class _Bytes:
    """A file, read here and there. Its times stay as they are where the kernel lets us have that."""

    def __init__(self, path: str) -> None:
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            self._fd = os.open(path, flags | getattr(os, "O_NOATIME", 0))
        except PermissionError:  # only the owner may ask for that
            self._fd = os.open(path, flags)

    def read(self, at: int, size: int) -> bytes:
        return os.pread(self._fd, size, at)

    def __enter__(self) -> _Bytes:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            os.close(self._fd)


def _log(file: _Bytes, size: int) -> Log | None:
    head = parse.log_head(file.read(0, parse.LOG_HEADER_BYTES))
    if head is None:
        return None
    frames = max(0, size - parse.LOG_HEADER_BYTES) // head.frame_bytes
    return Log(
        page_bytes=head.page_bytes,
        checkpoints=head.checkpoints,
        salts=head.salts,
        frames=frames,
        live_frames=parse.live_frames(head, frames, file.read),
    )


def _index(file: _Bytes) -> Index | None:
    # Writers change it under us, one copy of its head after the other: a second look is whole, mostly.
    found = parse.index(file.read(0, parse.INDEX_BYTES))
    for _ in range(3):
        if found is None or found.is_whole:
            break
        found = parse.index(file.read(0, parse.INDEX_BYTES))
    return found
