"""Is this line a watcher's word on our own files? Pure.

Writing such a line changes the file it speaks of, so the watcher speaks again:
that loop filled a disk with 219 GB. ``watchdog`` and others log each event at DEBUG,
before any filter of theirs. A line below INFO that names a path inside a protected
directory is taken for one; from INFO up it must also use a word of file events, so
that "cannot open /state/logs: permission denied" is kept.

Below INFO two more are taken for one wherever they point. What the kernel says of a
file is often logged by its name alone, or by none, so nobody can tell whose file it
is. And an event of a database: a handler beside ours may keep the same line there,
and then the loop goes through that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

_WORDS, _RAW, _DATABASE, _EVENT, _SEGMENT = range(5)


@cache
def _shapes() -> tuple[re.Pattern[str], ...]:
    # 2 ms, late: most hosts log nothing that has to be looked at so closely.
    words = (
        r"IN_[A-Z]+|inotify|fsevent|kqueue|\bevents?\b|event\b|"
        r"\b(?:created?|modif(?:y|ied)|changed?|deleted?|removed?|moved?(?:_(?:to|from))?|renamed?|closed?|attrib)\b"
    )
    raw = (
        r"\binotify event|InotifyEvent|"
        r"\bIN_(?:ACCESS|ATTRIB|CLOSE_(?:NO)?WRITE|CREATE|DELETE(?:_SELF)?|ISDIR|MODIFY|MOVE(?:_SELF|D_FROM|D_TO)|OPEN)\b"
    )
    database = r"\.(?:sqlite|db)[0-9]?(?:-(?:wal|shm|journal))?\b"
    event = r"[a-z]Event\b|\bChange\.(?:added|modified|deleted)|\bfsevent|\bkqueue"
    # A watcher may name the file alone; these are ours (``segments``).
    segment = r"[0-9A-Za-z]+-\d+-\d+\.jsonl(?:\.zst)?"
    return (
        re.compile(words, re.IGNORECASE),
        re.compile(raw),
        re.compile(database, re.IGNORECASE),
        re.compile(event),
        re.compile(segment),
    )


class Paths:
    """The directories whose events must not be logged, in every spelling a line may use."""

    def __init__(self, directories: Iterable[str]) -> None:
        spellings: set[str] = set()
        for directory in directories:
            directory = directory.rstrip("/")
            if directory:  # "/" protects nothing: it would be every path there is
                spellings |= {directory, repr(directory)[1:-1], repr(directory.encode("utf-8", "replace"))[2:-1]}
        self._spellings = tuple(spellings)
        self._whole = re.compile("|".join(f"{re.escape(one)}(?![\\w-])" for one in spellings) or r"(?!)")

    def __contains__(self, line: str) -> bool:
        return any(one in line for one in self._spellings) and self._whole.search(line) is not None


def is_file_event(line: str, *, quiet: bool, paths: Paths) -> bool:
    """Return True when ``line`` tells of a file of ours; ``quiet`` is a level below INFO."""
    if line in paths:
        return quiet or _has_word(line)
    if quiet and _is_event_of_anybodys(line):
        return True
    return ".jsonl" in line and _shapes()[_SEGMENT].search(line) is not None and _has_word(line)


def _has_word(line: str) -> bool:
    return _shapes()[_WORDS].search(line) is not None


def _is_event_of_anybodys(line: str) -> bool:
    # Nearly every line ends at the words, which cost nothing.
    if ("notify" in line or "IN_" in line) and _shapes()[_RAW].search(line) is not None:
        return True
    if ".sqlite" not in line and ".db" not in line:
        return False
    return _shapes()[_DATABASE].search(line) is not None and _shapes()[_EVENT].search(line) is not None


def texts(value: Any) -> Iterable[str]:
    """Yield every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
