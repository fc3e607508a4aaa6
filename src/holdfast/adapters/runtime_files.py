"""Database files of older generations in a directory that the runtime owns: moved aside, never deleted."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress

from holdfast import folders
from holdfast.clock import wall_ms
from holdfast.state.directory import BACKUPS, STATE_DB

GENERATION = 4
"""What this API was born as: ``state_4.sqlite``. That file and newer ones belong to programs that still use them."""

_OLD = re.compile(r"state(?:_(?P<generation>[0-9]+))?\.sqlite(?P<sidecar>-wal|-shm|-journal)?")


def state_db_filename() -> str:
    """Return the name of the database in its directory."""
    return STATE_DB


def state_db_path(directory: str | os.PathLike[str]) -> str:
    """Return where the database of this directory is."""
    return os.path.join(os.fspath(directory), STATE_DB)


def set_aside(directory: str) -> list[str]:
    """Move database files of older generations into ``backups/``; return their names.

    ``state.sqlite`` and ``state_N.sqlite`` below this generation, each with
    its sidecars: regular files only, nothing else of the directory. What two
    processes move at once is moved by one of them. A file that cannot be moved
    stays: it is in nobody's way.
    """
    old = sorted(name for name in os.listdir(directory) if _is_old(name) and _is_file(os.path.join(directory, name)))
    if not old:
        return []
    target = os.path.join(directory, BACKUPS, f"generations-{wall_ms()}-{os.getpid()}")
    moved = []
    with suppress(OSError):
        folders.make(target)
        for name in old:
            with suppress(OSError):
                os.rename(os.path.join(directory, name), os.path.join(target, name))
                moved.append(name)
        folders.sync(target)
        folders.sync(directory)
    return moved


def _is_old(name: str) -> bool:
    found = _OLD.fullmatch(name)
    return found is not None and int(found["generation"] or 0) < GENERATION


def _is_file(path: str) -> bool:
    with suppress(OSError):
        return stat.S_ISREG(os.lstat(path).st_mode)
    return False
