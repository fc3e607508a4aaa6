"""Which SQLite a process has mapped, and which version it is, told without running it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from holdfast.doctor.facts import parse
from holdfast.doctor.facts.model import Library

_LIBRARY = re.compile(r"/(lib(e_)?sqlite3?[^/]*\.so[^/]*|_sqlite3?[^/]*\.so|apsw/[^/]*\.so|pysqlite3/[^/]*\.so)$")
_BYTES_MAX = 16 << 20  # a shell's library has 1.5 MB, one with everything 4


def of(names: Iterable[str], root: str = "") -> tuple[Library, ...]:
    """Return the SQLites among the mapped files of these names; ``root``: where the process has its ``/``."""
    return tuple(Library(name, _version(root + name)) for name in dict.fromkeys(names) if _LIBRARY.search(name))


_known: dict[tuple[int, int, int], int | None] = {}


def _version(path: str) -> int | None:
    """Read the library once, whoever maps it."""
    try:
        seen = os.stat(path)
        key = (seen.st_dev, seen.st_ino, seen.st_size)
        if key not in _known:
            with open(path, "rb", buffering=0) as file:
                _known[key] = parse.version(file.read(_BYTES_MAX))
        return _known[key]
    except OSError:
        return None
