"""The names people gave their threads, as Codex keeps them: ``session_index.jsonl``, append only."""

from __future__ import annotations

import os

from msgspec import Struct

from holdfast import ids
from holdfast.rollouts import pieces
from holdfast.rollouts.dialects.loose import Shape, text
from holdfast.rollouts.facts import TITLE_CHARS_MAX
from holdfast.rollouts.lines import Cutter, split
from holdfast.rollouts.opening import NotRegular, open_file

FILE = "session_index.jsonl"
_LINE_BYTES_MAX = 1024 * 1024


class _Named(Struct, gc=False):
    id: str | None = None
    thread_name: str | None = None


_NAMED = Shape(_Named)


def read_names(home: str) -> dict[bytes, str]:
    """Return the latest name of each thread that has one, by the 16 bytes of its id.

    The last line of a thread counts, whatever time it carries; an empty name
    takes the name away. Lines that cannot be read are passed over. No file,
    or none that can be read: no names. Costs one pass over the file.
    """
    names: dict[bytes, str] = {}
    try:
        fd, began = open_file(f"{home}/{FILE}")
    except (OSError, NotRegular):
        return names
    try:
        cutter = Cutter(line_bytes_max=_LINE_BYTES_MAX)
        for piece in pieces.plain(fd, 0, began.st_size):
            for line, _ in split(cutter.feed(piece)):
                _take(names, line)
        _take(names, cutter.tail())
    except OSError:
        pass  # what was read counts
    finally:
        os.close(fd)
    return names


def names_stamp(home: str) -> str:
    """Return a short text that changes when the names file does; empty without one. One ``stat``."""
    try:
        info = os.stat(f"{home}/{FILE}")
    except OSError:
        return ""
    return f"{info.st_ino}-{info.st_size}-{info.st_mtime_ns}"


def named_id(line: bytes) -> bytes | None:
    """Return the thread that a line of the names file is about; None when it cannot be read."""
    named = _NAMED.read(line.strip()) if line.strip() else None
    return ids.parse(named.id) if named and named.id else None


def _take(names: dict[bytes, str], line: bytes) -> None:
    named = _NAMED.read(line) if line else None
    id16 = ids.parse(named.id) if named and named.id else None
    if named is None or id16 is None or named.thread_name is None:
        return
    name = (text(named.thread_name) or "").strip()[:TITLE_CHARS_MAX]
    if name:
        names[id16] = name
    else:
        names.pop(id16, None)
