"""A compressed rollout made plain again, so that it can be gone on with. At every moment one of the two is there."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from holdfast import folders
from holdfast.errors import Damaged
from holdfast.rollouts import paths, pieces
from holdfast.rollouts.opening import NotRegular, open_file

TEMP = ".holdfast.tmp"
"""Ends the names of files we are making. Who holds the thread's writer's lock may remove what is left of one."""


def materialize(path: str) -> bool:
    """Make ``path`` (plain, absolute) from its ``.zst``; return whether it was needed. Mode and times are kept.

    Call it with the writer's lock. Decoded to its end, forced to the disk and
    read back before the ``.zst`` goes; of one that lies beside a plain file, see ``drop_stale``. Raises ``Damaged``
    when it cannot be decoded, ``FileNotFoundError`` when there is neither, and ``OSError``.
    """
    if os.path.lexists(path):
        if os.path.lexists(path + paths.ZST):
            drop_stale(path)
        return False
    fd, began = open_file(path + paths.ZST)
    temp = path + TEMP
    try:
        make_beside(temp, pieces.Zst(fd), began)
        if not _is_same(temp, fd):
            raise Damaged(f"{temp} does not read back as it was written")
        put(temp, path)
        # Before the other name goes, or a power cut may keep that it went and not that this one came.
        folders.sync(os.path.dirname(path))
        os.unlink(path + paths.ZST)
        folders.sync(os.path.dirname(path))
    finally:
        os.close(fd)
        discard(temp)
    return True


def drop_stale(path: str) -> bool:
    """Remove the ``.zst`` beside the plain file at ``path`` if it holds nothing but its beginning; return whether.

    Whoever made one from the other died before this last step, and the plain file, which counts, has perhaps grown
    since. Call it with the writer's lock. Decodes all of the ``.zst``, and forces the plain file to the disk before it
    goes. One that holds something else, or cannot be decoded, is nobody's to remove, and stays.
    """
    try:
        fd, _ = open_file(path + paths.ZST)
        try:
            if text_left(path, pieces.Zst(fd)) is None:
                return False
        finally:
            os.close(fd)
        fd, _ = open_file(path)
    except NotRegular:
        return False
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    folders.sync(os.path.dirname(path))
    os.unlink(path + paths.ZST)
    folders.sync(os.path.dirname(path))
    return True


def make_beside(temp: str, stream: pieces.Zst, like: os.stat_result) -> None:
    """Write ``stream`` to a new file with mode and times of ``like``, forced to the disk."""
    discard(temp)
    fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        for piece in stream:
            write_all(fd, piece)
        if stream.damage:
            raise Damaged(f"{temp.removesuffix(TEMP)}{paths.ZST} is {stream.damage}; it was left as it is")
        finish(fd, like)
    finally:
        os.close(fd)


def write_all(fd: int, piece: bytes) -> None:
    """Write all of ``piece``."""
    view = memoryview(piece)
    while view:
        view = view[os.write(fd, view) :]


def finish(fd: int, like: os.stat_result) -> None:
    """Give a new file the mode and the times of ``like`` and force it to the disk."""
    os.fchmod(fd, stat.S_IMODE(like.st_mode))
    os.utime(fd, ns=(like.st_atime_ns, like.st_mtime_ns))
    os.fsync(fd)


def put(temp: str, path: str) -> None:
    """Move ``temp`` to ``path``, where nothing may be: ``FileExistsError``."""
    try:
        os.link(temp, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links; nobody else makes this file while we hold the lock
        if os.path.lexists(path):
            raise FileExistsError(17, os.strerror(17), path) from None
        os.rename(temp, path)
        return
    os.unlink(temp)


def discard(temp: str) -> None:
    """Remove a file we were making, if there is one."""
    with suppress(FileNotFoundError):
        os.unlink(temp)


def _is_same(plain: str, zst_fd: int) -> bool:
    os.lseek(zst_fd, 0, os.SEEK_SET)
    return same_text(plain, pieces.Zst(zst_fd))


def same_text(plain: str, stream: pieces.Zst) -> bool:
    """Return whether the file at ``plain`` holds exactly what ``stream`` decodes to."""
    return text_left(plain, stream) == 0


def text_left(plain: str, stream: pieces.Zst) -> int | None:
    """Return how many bytes the file at ``plain`` holds behind what ``stream`` decodes to.

    None: it does not begin with that, or the stream is damaged.
    """
    fd, found = open_file(plain)
    at = 0
    try:
        for piece in stream:
            view = memoryview(piece)
            while view:
                there = os.read(fd, len(view))
                if not there or there != view[: len(there)]:
                    return None
                view = view[len(there) :]
                at += len(there)
        return None if stream.damage else found.st_size - at
    finally:
        os.close(fd)
