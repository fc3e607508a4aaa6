"""Writers in a handler's hand that do what a disk does: take, refuse, stand still."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field

import msgspec

from holdfast.logs.matching import LogQuery
from holdfast.logs.model import Record
from holdfast.logs.pump import TARGET
from holdfast.logs.query import query


@dataclass(frozen=True)
class Kept:
    written: int
    why: str = ""


@dataclass
class Lines:
    """Takes everything. ``stuck`` takes nothing until it is ``released``; ``room`` is for how many lines."""

    stuck: bool = False
    room: int | None = None
    raises: Exception | None = None
    all: list = field(default_factory=list)
    appends: list = field(default_factory=list)
    closed: int = 0

    def __post_init__(self):
        self.released = threading.Event()
        self.reached = threading.Event()
        self.abandoned = False

    def append(self, records):
        self.reached.set()
        if self.stuck:
            self.released.wait()
        if self.raises is not None:
            raise self.raises
        n = len(records) if self.room is None else min(len(records), self.room)
        if self.room is not None:
            self.room -= n
        self.all += records[:n]
        self.appends.append(n)
        return Kept(n, "" if n == len(records) else "no room")

    def close(self):
        self.closed += 1

    def abandon_in_child(self):
        self.abandoned = True

    @property
    def host(self):
        """The host's lines, without those that tell of drops."""
        return [line for line in self.all if line.target != TARGET]

    @property
    def messages(self):
        return [line.message for line in self.host]

    def accounted(self):
        """How many records the lines speak of: written, repeated, dropped."""
        return sum(1 + (line.repeats or 0) for line in self.host) + sum(
            sum((line.dropped or {}).values()) for line in self.all
        )

    def told(self):
        """Dropped records by level, as the lines tell."""
        told = {}
        for line in self.all:
            for level, n in (line.dropped or {}).items():
                told[level] = told.get(level, 0) + n
        return told


class FileLines:
    """Appends plain JSON lines to ``<path>.<pid>``: what a test reads after the process is dead."""

    def __init__(self, path):
        self.fd = os.open(f"{path}.{os.getpid()}", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def append(self, records):
        os.write(self.fd, b"".join(msgspec.json.encode(record) + b"\n" for record in records))
        return Kept(len(records))

    def close(self):
        os.close(self.fd)

    def abandon_in_child(self):
        os.close(self.fd)


def read(path):
    """Return the host's messages and the count of drops of every process that wrote to ``path``, by pid."""
    found = {}
    for one in path.parent.glob(f"{path.name}.*"):
        lines = [msgspec.json.decode(line, type=Record) for line in one.read_bytes().splitlines()]
        found[int(one.suffix[1:])] = [line for line in lines if line.target != TARGET]
    return found


def host_lines(place):
    """Return the host's lines in a directory of segments, without those that tell of drops."""
    return [line for line in query(place, LogQuery()) if line.target != TARGET] if place.exists() else []
