"""Where the bytes of a target are: each file of its databases, and each thing that lies in its folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from holdfast.doctor.model import Part, Target

_BLOCK = 512  # st_blocks counts in these whatever the file system's own are (stat(2))
_FAMILY = ("", "-wal", "-shm", "-journal")


def weigh(target: Target) -> Iterator[Part]:
    """Yield the parts of ``target``, the databases first; a sparse file counts what it has on the disk.

    Takes a stat for each file below it. Follows no link, and enters no other file system.
    """
    seen: set[tuple[int, int]] = set()
    for database in target.databases:
        for ending in _FAMILY:
            yield from _file(database.path + ending, target, seen)
    try:
        top = os.lstat(target.path)
    except OSError:
        return
    if not stat.S_ISDIR(top.st_mode):
        yield from _file(target.path, target, seen)
        return
    for entry in sorted(os.scandir(target.path), key=lambda entry: entry.name):
        size = _below(entry.path, top.st_dev, seen)
        if size:
            yield Part(
                name=entry.name + ("/" if entry.is_dir(follow_symlinks=False) else ""), path=entry.path, bytes=size
            )


def _file(path: str, target: Target, seen: set[tuple[int, int]]) -> Iterator[Part]:
    size = _own(path, None, seen)
    if size:
        is_below = path.startswith(target.path + "/")
        yield Part(name=path[len(target.path) + 1 :] if is_below else os.path.basename(path), path=path, bytes=size)


def _own(path: str, device: int | None, seen: set[tuple[int, int]]) -> int:
    """Return the bytes of ``path`` itself; 0 when it is not there, on another file system, or counted already."""
    try:
        info = os.lstat(path)
    except OSError:
        return 0
    if (info.st_dev, info.st_ino) in seen or device not in (None, info.st_dev):
        return 0
    seen.add((info.st_dev, info.st_ino))
    return info.st_blocks * _BLOCK


def _below(path: str, device: int, seen: set[tuple[int, int]]) -> int:
    size = _own(path, device, seen)
    if not size and not os.path.isdir(path):
        return 0
    folders = [path] if os.path.isdir(path) and not os.path.islink(path) else []
    while folders:
        try:
            entries = list(os.scandir(folders.pop()))
        except OSError:
            continue
        for entry in entries:
            try:
                info = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if info.st_dev != device or (info.st_dev, info.st_ino) in seen:
                continue
            seen.add((info.st_dev, info.st_ino))
            size += info.st_blocks * _BLOCK
            if stat.S_ISDIR(info.st_mode):
                folders.append(entry.path)
    return size
