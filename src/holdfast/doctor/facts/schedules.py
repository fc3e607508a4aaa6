"""What the machine runs by the clock that takes away logs of databases: crontabs, their scripts, units of systemd."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from holdfast.doctor.facts import parse

PLACES = (
    "/etc/crontab",
    "/etc/cron.d",
    "/etc/cron.hourly",
    "/etc/cron.daily",
    "/etc/cron.weekly",
    "/etc/cron.monthly",
    "/var/spool/cron",
    "/var/spool/cron/crontabs",
    "/etc/systemd/user",
    "~/.config/systemd/user",
)
_FILES_MAX = 500
_BYTES_MAX = 64 << 10
_LINE_MAX = 200


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A line of such a file. ``number`` counts from 1."""

    path: str
    number: int
    line: str


def taking_away(places: Iterable[str] = PLACES) -> tuple[Scheduled, ...]:
    """Return the lines that delete, cut or move logs and indexes of databases, as far as files may be read.

    At most 500 files, 64 KiB of each. Scripts they call by name are not followed.
    """
    found = []
    for number, path in enumerate(_files(places)):
        if number == _FILES_MAX:
            break
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                lines = file.read(_BYTES_MAX).splitlines()
        except OSError:
            continue
        for at, line in enumerate(lines, start=1):
            if parse.deletes_sidecars(line):
                found.append(Scheduled(path, at, line.strip()[:_LINE_MAX]))
    return tuple(found)


def _files(places: Iterable[str]) -> Iterator[str]:
    for place in map(os.path.expanduser, places):
        try:
            if not os.path.isdir(place):
                names = [place]
            else:
                names = [os.path.join(place, name) for name in sorted(os.listdir(place))]
        except OSError:
            continue
        for path in names:
            try:
                if stat.S_ISREG(os.stat(path).st_mode):
                    yield path
            except OSError:
                continue
