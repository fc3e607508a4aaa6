"""Finding rollout files: all of a home, or the one that is a thread's.

Paths are relative to the home and in the plain spelling; ``zst`` says which
of the two exists. When both do, the plain one counts.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

import msgspec

from holdfast.rollouts import paths
from holdfast.rollouts.reading import verify


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One rollout file by its logical path; ``size``, ``mtime_ns`` and ``inode`` are of the file there is."""

    path: str
    zst: bool
    archived: bool
    size: int
    mtime_ns: int
    inode: int


class Found(msgspec.Struct, frozen=True, gc=False):
    """The file of a thread: ``path`` relative and plain, ``file`` absolute and there. Its id was checked."""

    path: str
    file: str
    zst: bool
    archived: bool


class Walk:
    """Yields every rollout file of a home, once. What could not be seen is listed, never raised.

    ``unreadable`` are ``(folder, why)``; ``odd`` are ``(path, what)`` that are
    named like rollouts and are none (a FIFO, a folder); ``gone`` is True when
    the home itself is not, or no longer, there. All three are complete when
    the iteration is. Symbolic links to folders are followed inside the home
    only, and no folder is seen twice; ``sessions`` itself may be a link to anywhere. 50,000 files take
    about 0.4 s.
    """

    def __init__(self, home: str, roots: tuple[str, ...] = (paths.SESSIONS, paths.ARCHIVED)) -> None:
        self.unreadable: list[tuple[str, str]] = []
        self.odd: list[tuple[str, str]] = []
        self.gone = False
        self._home = home.rstrip("/") or "/"
        self._roots = roots
        self._seen: set[tuple[int, int]] = set()  # linked folders, so that links cannot make a circle

    def __iter__(self) -> Iterator[Entry]:
        if not os.path.isdir(self._home):
            self.gone = True
            return
        for root in self._roots:
            waiting = [root]
            while waiting:
                folder = waiting.pop()
                found = self._list(folder)
                waiting += found.folders
                yield from found.entries
        self.gone = not os.path.isdir(self._home)

    def _list(self, folder: str) -> _Listing:
        found = _Listing([], {}, {})
        archived = paths.is_archived(f"{folder}/")
        try:
            with os.scandir(f"{self._home}/{folder}") as scan:
                for child in scan:
                    try:
                        if child.name.endswith(paths.PLAIN) and child.is_file(follow_symlinks=False):
                            # All but a few, so all that can be asked once per folder is: 50,000 files 0.12 s, not 0.2.
                            if child.name.startswith(paths.PREFIX):
                                info = child.stat(follow_symlinks=False)
                                path = f"{folder}/{child.name}"
                                found.plain[path] = Entry(
                                    path, False, archived, info.st_size, info.st_mtime_ns, info.st_ino
                                )
                        else:
                            self._look_at(f"{folder}/{child.name}", child, found)
                    except FileNotFoundError:
                        continue  # renamed or deleted between the listing and the look
                    except OSError as error:
                        self.odd.append((f"{folder}/{child.name}", error.strerror or str(error)))
        except FileNotFoundError:
            # No such root, or deleted meanwhile: what is not there needs no name. A link to a disk
            # that is not mounted does: its files are out of sight, not gone.
            if os.path.islink(f"{self._home}/{folder}"):
                self.unreadable.append((folder, "a link that leads nowhere"))
        except OSError as error:
            self.unreadable.append((folder, error.strerror or str(error)))
        return found

    def _look_at(self, path: str, child: os.DirEntry[str], found: _Listing) -> None:
        if child.is_dir(follow_symlinks=False):
            found.folders.append(path)
            if paths.is_rollout(child.name):
                self.odd.append((path, "a folder"))
            return
        if not paths.is_rollout(child.name):
            if child.is_symlink() and child.is_dir() and self._may_follow(path):
                found.folders.append(path)
            return
        info = child.stat()
        if not stat.S_ISREG(info.st_mode):
            self.odd.append((path, _kind(info.st_mode)))
            return
        zst = path.endswith(paths.ZST)
        logical = paths.logical(path)
        entry = Entry(logical, zst, paths.is_archived(logical), info.st_size, info.st_mtime_ns, info.st_ino)
        (found.packed if zst else found.plain)[logical] = entry

    def _may_follow(self, path: str) -> bool:
        target = os.path.realpath(f"{self._home}/{path}")
        roots = [os.path.realpath(f"{self._home}/{root}") for root in self._roots]
        if any(f"{target}/".startswith(f"{root}/") or root.startswith(f"{target}/") for root in roots):
            return False  # it will be seen, or has been, where it really lies
        if not target.startswith(os.path.realpath(self._home) + "/"):
            self.odd.append((path, "a link out of the home"))
            return False
        info = os.stat(target)
        key = (info.st_dev, info.st_ino)
        if key in self._seen:
            return False
        self._seen.add(key)
        return True


class _Listing(msgspec.Struct):
    folders: list[str]
    plain: dict[str, Entry]
    packed: dict[str, Entry]

    @property
    def entries(self) -> Iterator[Entry]:
        yield from self.plain.values()
        for logical, entry in self.packed.items():
            if logical not in self.plain:
                yield entry


def walk(home: str) -> Walk:
    """Return an iterator over the rollout files of ``home`` that also tells what it could not see."""
    return Walk(home)


def newest_folders(home: str, days: int = 2) -> tuple[str, ...]:
    """Return the newest ``days`` day folders of ``home``, relative to it: where new threads begin."""
    found: list[str] = []
    for year in _numbered(f"{home}/{paths.SESSIONS}"):
        for month in _numbered(f"{home}/{paths.SESSIONS}/{year}"):
            for day in _numbered(f"{home}/{paths.SESSIONS}/{year}/{month}"):
                found.append(f"{paths.SESSIONS}/{year}/{month}/{day}")
                if len(found) == days:
                    return tuple(found)
    return tuple(found)


def _numbered(folder: str) -> list[str]:
    try:
        return sorted((name for name in os.listdir(folder) if name.isdecimal()), reverse=True)
    except OSError:
        return []


def find_by_id(home: str, id16: bytes, archived: bool | None = None) -> Found | None:
    """Return the file whose own ``session_meta`` carries ``id16``, or None.

    ``archived`` asks for one of the two places only. Looks first in the
    folders of the day the id was made, then everywhere by name, then inside
    files whose name holds no id. Reads the head of each candidate.
    """
    home = home.rstrip("/") or "/"
    if archived is not True:
        for folder in paths.likely_folders(id16):
            for entry in Walk(home, (folder,)):
                if paths.name_id(entry.path) == id16 and (hit := _verified(home, entry, id16)):
                    return hit
    roots = [paths.SESSIONS] if archived is not True else []
    if archived is not False:
        roots.append(paths.ARCHIVED)
    nameless = []
    for entry in Walk(home, tuple(roots)):
        named = paths.name_id(entry.path)
        if named is None:
            nameless.append(entry)
        elif named == id16 and (hit := _verified(home, entry, id16)):
            return hit
    for entry in nameless:
        if hit := _verified(home, entry, id16):
            return hit
    return None


def _verified(home: str, entry: Entry, id16: bytes) -> Found | None:
    file = f"{home}/{entry.path}{paths.ZST if entry.zst else ''}"
    if verify(file) != id16:
        return None
    return Found(path=entry.path, file=file, zst=entry.zst, archived=entry.archived)


def _kind(mode: int) -> str:
    for test, name in ((stat.S_ISFIFO, "a FIFO"), (stat.S_ISSOCK, "a socket"), (stat.S_ISDIR, "a folder")):
        if test(mode):
            return name
    return "a device"
