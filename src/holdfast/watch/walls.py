"""What may never be watched: the state directory, what ``protect=`` names, and databases.

Directories are compared by device and inode, because a name proves nothing: a
link, a bind mount or another spelling leads to the same place. Nothing here
opens a file: to close one would cancel the locks of whoever has it open in this process.
The state directory itself is held (O_PATH), so it stays known when it is moved.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from holdfast.errors import Refused
from holdfast.watch.rules import is_database

Key = tuple[int, int]
"""Device and inode."""

_INSIDE_MAX = 4_096  # files and folders of a protected directory whose other names are recognised


class Protected(Refused):
    """This root is not watched, because it is, or leads to, ``protected``."""

    remedy = "Watch a directory beside it, or one above it: what is protected inside is left out."

    def __init__(self, root: str, protected: str, how: str) -> None:
        super().__init__(f"{root} is not watched: it {how} {protected}")
        self.root = root
        self.protected = protected


@dataclass(frozen=True, slots=True)
class Place:
    """Where a root lies: the directory that is watched, and the one name in it when the root is no directory."""

    folder: str
    """Its real path."""
    key: Key | None
    """None: it is not there."""
    name: str | None


class Walls:
    """What one watcher keeps away from. ``state_dir`` and ``protect`` need not exist."""

    def __init__(self, state_dir: str, protect: Iterable[str]) -> None:
        asked = (state_dir, *protect)
        # As they are spelled, too: a link on the way may come to lead elsewhere.
        self.paths = tuple(dict.fromkeys([*map(os.path.realpath, asked), *asked]))
        self._names = frozenset(map(os.path.basename, self.paths))
        self._held: int | None = None
        self.keys: dict[Key, str] = {}
        self._inside: dict[Key, str] = {}

    def refresh(self) -> bool:
        """Look again which directories are meant; return True when there are others now. A stat each."""
        found = {key: path for path in reversed(self.paths) if (key := key_of(path)) is not None}
        moved = self._held_key()
        if moved is not None:
            found.setdefault(moved, self.paths[0])
        changed = found != self.keys
        self.keys = found
        return changed

    def _held_key(self) -> Key | None:
        """Return the key of the state directory we saw first, wherever it is now; None when it is deleted."""
        if self._held is not None:
            info = os.fstat(self._held)
            if info.st_nlink:
                return info.st_dev, info.st_ino
            self.close()
        if hasattr(os, "O_PATH"):
            # A number alone would not do: an inode that is deleted is soon another directory's.
            with suppress(OSError):
                self._held = os.open(self.paths[0], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return None

    def close(self) -> None:
        """Hold the state directory no more. Twice is fine."""
        held, self._held = self._held, None
        if held is not None:
            os.close(held)

    def hides(self, name: str, path: str) -> bool:
        """Return True when nothing is told of ``name``, whose real path is ``path``. Hardly ever a system call."""
        if is_database(name):
            return True
        if name not in self._names:
            return False
        self.refresh()
        return path in self.paths or os.path.realpath(path) in self.paths

    def prunes(self, key: Key) -> bool:
        """Return True when the directory with this ``key`` is not entered."""
        return key in self.keys or key in self._inside

    def check(self, root: str, place: Place) -> None:
        """Raise ``Protected`` when ``root``, which lies at ``place``, is, aliases or is inside something protected."""
        real = place.folder if place.name is None else os.path.join(place.folder, place.name)
        self.refresh()
        # A file of ours may have another name (a hard link), a folder of ours be mounted elsewhere.
        self._inside = {key: inside for path in self.paths for inside, key in _inside(path)}
        if is_database(os.path.basename(real)):
            raise Protected(root, real, "is of a database,")
        for path in self.paths:
            if real == path:
                raise Protected(root, path, "is")
            if f"{real}/".startswith(f"{path}/"):
                raise Protected(root, path, "lies inside")
        for above in _upwards(real):
            key = key_of(above)
            if key in self.keys:
                raise Protected(root, self.keys[key], "is another name of" if above == real else "lies inside")
            if key in self._inside:
                raise Protected(root, self._inside[key], "is another name of" if above == real else "lies inside")


def place_of(root: str) -> Place:
    """Return where ``root`` really lies, whether or not it is there. Links are followed, the last one, too."""
    real = os.path.realpath(root)
    if os.path.isdir(real):
        return Place(real, key_of(real), None)
    folder, name = os.path.split(real)
    return Place(folder, key_of(folder) if os.path.isdir(folder) else None, name)


def key_of(path: str) -> Key | None:
    """Return device and inode of what is at ``path``, links followed; None when there is nothing, or none may look."""
    try:
        info = os.stat(path)
    except (OSError, ValueError):
        return None
    return info.st_dev, info.st_ino


def _upwards(path: str) -> Iterator[str]:
    yield path
    while path != (above := os.path.dirname(path)):
        path = above
        yield path


def _inside(folder: str) -> Iterator[tuple[str, Key]]:
    """Yield what lies below ``folder``, and its key. A stat each, for no more than ``_INSIDE_MAX``."""
    waiting, left = [folder], _INSIDE_MAX
    while waiting and left:
        try:
            with os.scandir(waiting.pop()) as children:
                for child in children:
                    info = child.stat(follow_symlinks=False)
                    yield child.path, (info.st_dev, info.st_ino)
                    if child.is_dir(follow_symlinks=False):
                        waiting.append(child.path)
                    left -= 1
                    if not left:
                        return
        except OSError:
            continue
