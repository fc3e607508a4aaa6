"""A file or a folder that gets its name when it is whole. Before, or when its maker died, nothing has that name."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from holdfast import folders
from holdfast.errors import Full, HoldfastError, Refused, Unsupported

MARK = ".holdfast-board"
"""In each folder that was made here: such a one may be replaced."""

_PARTIAL = ".partial"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def new_file(target: str, *, replace: bool) -> Iterator[IO[bytes]]:
    """Yield a file to write; it takes its name, synced, when the block ends without an exception.

    Raises ``Refused`` when something has that name and ``replace`` is False,
    ``Full``, ``Unsupported``: then nothing of it is left.
    """
    target = os.path.abspath(os.path.expanduser(target))
    _check(target, replace, os.path.isdir(target))
    with _told(target):
        path, fd = _begin(target, is_folder=False)
    try:
        with _told(target), os.fdopen(fd, "wb", buffering=1 << 20) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            _name(path, target, replace)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(path)
        raise


@contextmanager
def new_folder(target: str, *, replace: bool) -> Iterator[str]:
    """Yield a folder to fill; it takes its name when the block ends without an exception.

    With ``replace`` an earlier one goes, if it was made here: ``MARK`` says so.
    All of the disk is synced once, not each file: 100,000 of those would take minutes.
    """
    target = os.path.abspath(os.path.expanduser(target))
    was_made_here = os.path.exists(os.path.join(target, MARK))
    is_empty = os.path.isdir(target) and not os.path.islink(target) and not os.listdir(target)
    _check(target, (replace and was_made_here) or is_empty, not (was_made_here or is_empty))
    with _told(target):
        path, fd = _begin(target, is_folder=True)
    try:
        with _told(target):
            with open(os.path.join(path, MARK), "xb"):
                pass
            yield path
            os.sync()
            old = f"{path}.old"
            if os.path.lexists(target):
                os.rename(target, old)
            os.rename(path, target)
            folders.sync(os.path.dirname(target))
            shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise
    finally:
        os.close(fd)


def _check(target: str, may_replace: bool, is_another: bool) -> None:
    if os.path.lexists(target) and (is_another or not may_replace):
        raise Refused(
            f"{target} is there already; nothing was written",
            remedy="Name another place" + ("." if is_another else ", or ask for it to be replaced."),
        )
    if not os.path.isdir(os.path.dirname(target)):
        raise Refused(f"there is no folder {os.path.dirname(target)}", remedy="Make it, or name another place.")


def _begin(target: str, *, is_folder: bool) -> tuple[str, int]:
    """Make it under a name that says what it is. It is locked while its maker lives."""
    where, name = os.path.split(target)
    _sweep(where, f".{name}.")
    path = os.path.join(where, f".{name}.{os.urandom(6).hex()}{_PARTIAL}")
    if is_folder:
        os.mkdir(path, 0o700)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    else:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with suppress(OSError):  # a mount without locks: then a person tidies up
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return path, fd


def _sweep(where: str, begins: str) -> None:
    """Delete what dead processes began for the same target."""
    for name in os.listdir(where):
        if not (name.startswith(begins) and name.endswith(_PARTIAL)):
            continue
        path = os.path.join(where, name)
        with suppress(OSError):
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # who makes it, has it
                shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
            finally:
                os.close(fd)


def _name(path: str, target: str, replace: bool) -> None:
    if replace:
        os.rename(path, target)
    else:
        try:
            os.link(path, target)  # unlike rename(2) it never takes the place of another file
            os.unlink(path)
        except FileExistsError:
            raise Refused(f"{target} came to be meanwhile; nothing was written") from None
        except OSError:  # a filesystem without hard links
            os.rename(path, target)
    folders.sync(os.path.dirname(target))


@contextmanager
def _told(target: str) -> Iterator[None]:
    try:
        yield
    except HoldfastError:
        raise
    except OSError as error:
        kind = Full if error.errno in _NO_ROOM else Unsupported
        raise kind(
            f"{target} cannot be written: {error.strerror}", remedy="Make room, or name another place."
        ) from error
