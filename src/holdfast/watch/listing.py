"""Reading a directory that is watched: its names, and for one that is polled, the stamps."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from holdfast.watch.folder import Folder, Sight, Watch
from holdfast.watch.rules import is_database
from holdfast.watch.walls import Walls


class Eyes:
    """What may be seen of a directory: not what is ignored, nor what is behind the ``walls``."""

    def __init__(self, walls: Walls) -> None:
        self._walls = walls

    def is_hidden(self, folder: Folder, name: str) -> bool:
        """Return True when nothing is told of ``name`` in ``folder``. Hardly ever a system call."""
        watch = folder.watch
        if name in watch.ignore or is_database(name):
            return True
        return self._walls.hides(name, f"{watch.real(folder.path)}/{name}")

    def entries(self, folder: Folder) -> Iterator[tuple[str, bool]]:
        """Yield what is to be told of in a directory: name, and whether it is to be entered."""
        if folder.wd is None:
            yield from ((name, sight[0]) for name, sight in folder.seen.items())
            return
        try:
            with os.scandir(folder.watch.real(folder.path)) as children:
                for child in children:
                    if not self.is_hidden(folder, child.name):
                        yield child.name, _is_entered(folder.watch, child)
        except OSError as error:
            _note(folder, error)

    def look(self, folder: Folder) -> dict[str, Sight]:
        """Return what lies in a polled directory now; nothing when it cannot be listed. A stat for each file."""
        watch, found = folder.watch, {}
        real = watch.real(folder.path)
        try:
            if watch.place.name is not None:  # one file: the others are no business of ours
                found[watch.place.name] = _sight(os.stat(f"{real}/{watch.place.name}"))
                return found
            with os.scandir(real) as children:
                for child in children:
                    if self.is_hidden(folder, child.name):
                        continue
                    try:
                        is_dir = _is_entered(watch, child)
                        info = child.stat(follow_symlinks=False)
                    except OSError:
                        continue
                    found[child.name] = (True, 0, 0, info.st_ino) if is_dir else (False, *_sight(info)[1:])
        except OSError as error:
            _note(folder, error)
        return found


def _sight(info: os.stat_result) -> Sight:
    return stat.S_ISDIR(info.st_mode), info.st_mtime_ns, info.st_size, info.st_ino


def _is_entered(watch: Watch, child: os.DirEntry[str]) -> bool:
    return child.is_dir(follow_symlinks=watch.follow_links)


def _note(folder: Folder, error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        folder.watch.shortfall = f"{folder.path} cannot be listed: {error.strerror}"
