"""Folders of artefacts on disk: each generation in a folder of its own, made whole before it counts.

Which folder counts is a row in the database. The link ``current`` beside the
folders is for people and programs that read them; it follows the row.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Mapping
from contextlib import suppress

from holdfast import folders
from holdfast.errors import Refused
from holdfast.memory import rules

CURRENT = "current"
_FOLDER = re.compile(r"gen-([0-9a-f]{16})")
_FILES_MAX = 8_192
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)


def prepare(root: str) -> None:
    """Make the folder of all generations, for this user alone. Raises ``Refused`` when it is a link or no directory."""
    check(root)
    try:
        folders.make(root)
    except FileExistsError:
        raise Refused(f"{root} is not a directory") from None


def check(root: str) -> None:
    """Raise ``Refused`` when ``root`` is a link: what lies behind it is not ours to write or remove."""
    if os.path.islink(root):
        raise Refused(f"{root} is a link; memories are not written through one", remedy="Remove the link.")


def folder_of(fence: int) -> str:
    """Return the name of the folder made under this fence. Later fences sort behind."""
    return f"gen-{fence:016x}"


def read(root: str, folder: str) -> dict[str, str]:
    """Return the files of a generation, by path with ``/``: what is a regular file, UTF-8 and within size.

    Anything else (a link, a device, what a person put there) is left out. A
    folder that is gone has no files. Opens nothing through a link.
    """
    found: dict[str, str] = {}
    top = os.path.join(root, folder)
    if not _FOLDER.fullmatch(folder) or os.path.islink(top):
        return found
    for directory, names, files in os.walk(top, followlinks=False):
        names.sort()
        for name in sorted(files):
            path = os.path.relpath(os.path.join(directory, name), top).replace(os.sep, "/")
            if (rules.is_input(path) or rules.may_be_made(path)) and len(found) < _FILES_MAX:
                text = _read(os.path.join(directory, name), None if rules.is_input(path) else rules.ARTEFACT_BYTES_MAX)
                if text is not None:
                    found[path] = text
    return found


def _read(path: str, bytes_max: int | None) -> str | None:
    try:
        fd = os.open(path, os.O_RDONLY | _NOFOLLOW)
    except OSError:
        return None
    with os.fdopen(fd, "rb") as file:
        seen = os.fstat(fd)
        if not stat.S_ISREG(seen.st_mode) or (bytes_max is not None and seen.st_size > bytes_max):
            return None
        try:
            return file.read().decode()
        except (OSError, UnicodeDecodeError):
            return None


def write(root: str, folder: str, files: Mapping[str, str]) -> None:
    """Make the folder of a generation, whole and on the disk, without having it count. Raises ``OSError``.

    What an earlier attempt of the same fence left there is removed first.
    """
    top = os.path.join(root, folder)
    _remove(top)
    os.mkdir(top, 0o700)
    made = {top}
    for path, text in sorted(files.items()):
        full = os.path.join(top, *path.split("/"))
        parent = os.path.dirname(full)
        os.makedirs(parent, mode=0o700, exist_ok=True)
        made.add(parent)
        fd = os.open(full, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(fd)
    for directory in [*sorted(made, reverse=True), root]:
        folders.sync(directory)


def point(root: str, folder: str | None) -> None:
    """Have the link ``current`` lead to ``folder``; None: nowhere. In one step, and only a link is ever replaced.

    One at a time: the caller has the row of the generation locked.
    """
    link = os.path.join(root, CURRENT)
    new = f"{link}.new"
    if os.path.islink(new):
        os.unlink(new)  # of one who was killed here
    if os.path.lexists(link) and not os.path.islink(link):
        return  # somebody's own; the row says what counts
    if folder is None:
        with suppress(FileNotFoundError):
            os.unlink(link)
        return
    if os.path.islink(link) and os.readlink(link) == folder:
        return
    os.symlink(folder, new)
    os.replace(new, link)
    folders.sync(root)


def tidy(root: str, keep: set[str], *, up_to_fence: int) -> int:
    """Remove the folders of generations up to ``up_to_fence``, but for ``keep``; return how many."""
    removed = 0
    for name in os.listdir(root):
        made = _FOLDER.fullmatch(name)
        if made and name not in keep and int(made[1], 16) <= up_to_fence:
            _remove(os.path.join(root, name))
            removed += 1
    return removed


def remove_all(root: str) -> int:
    """Remove every generation and the link; return how many folders went. Files of others stay."""
    if not os.path.isdir(root):
        return 0
    prepare(root)
    point(root, None)
    return tidy(root, set(), up_to_fence=1 << 64)


def _remove(top: str) -> None:
    if os.path.islink(top):
        os.unlink(top)
    elif os.path.lexists(top):
        shutil.rmtree(top)
