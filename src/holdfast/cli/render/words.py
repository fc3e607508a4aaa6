"""Times, sizes and paths as people say them. Pure, but for where the home directory is."""

from __future__ import annotations

import datetime as dt
import os
import re

_AGES = ((365 * 86_400, "y"), (7 * 86_400, "w"), (86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))
_SIZES = ("KiB", "MiB", "GiB", "TiB")


def age(ms: int, now_ms: int) -> str:
    """Return how long ago ``ms`` was, in its largest whole unit: ``5m``, ``3h``, ``2w``; ``now`` for the future too."""
    seconds = (now_ms - ms) // 1000
    for size, unit in _AGES:
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return "now"


def ago(ms: int, now_ms: int) -> str:
    """Return ``5m ago``, or ``just now``."""
    old = age(ms, now_ms)
    return "just now" if old == "now" else f"{old} ago"


def duration(ms: int) -> str:
    """Return how long ``ms`` is: ``340 ms``, ``4.2 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if ms < 1_000:
        return f"{ms} ms"
    if ms < 60_000:
        return f"{ms / 1000:.1f} s"
    minutes, seconds = divmod(ms // 1000, 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    return f"{minutes // 60} h {minutes % 60} min"


def size(count: int) -> str:
    """Return ``count`` bytes as ``512 B``, ``1.5 KiB``, ``219.0 GiB``."""
    if count < 1024:
        return f"{count} B"
    amount = float(count)
    for unit in _SIZES:
        amount /= 1024
        if amount < 1024 or unit == _SIZES[-1]:
            break
    return f"{amount:.1f} {unit}"


def count(number: int, one: str, many: str | None = None) -> str:
    """Return ``1 thread``, ``50,000 threads``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def utc(ms: int) -> str:
    """Return ``ms`` since the epoch as ``2026-11-20T17:38:50Z``: for machines. ``?`` beyond the year 9999."""
    try:
        return dt.datetime.fromtimestamp(ms / 1000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return "?"


def local(ms: int) -> str:
    """Return ``ms`` since the epoch as ``2026-11-20 17:38:50`` where this machine is: for people."""
    try:
        return dt.datetime.fromtimestamp(ms / 1000).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return "?"


def tilde(path: str) -> str:
    """Return ``path`` with the user's home directory as ``~``."""
    mine = os.path.expanduser("~")
    if path == mine or path.startswith(mine.rstrip("/") + "/"):
        return "~" + path[len(mine.rstrip("/")) :]
    return path


def tildes(text: str) -> str:
    """Return ``text`` with the user's home directory as ``~`` wherever a path in it begins with it."""
    mine = os.path.expanduser("~").rstrip("/")
    return re.sub(rf"(?<![\w/.~-]){re.escape(mine)}(?=/)", "~", text) if mine else text


def tail(path: str, width: int) -> str:
    """Return the end of ``path`` in at most ``width`` characters, from a slash on when one fits."""
    path = tilde(path)
    if len(path) <= width:
        return path
    end = path[-(width - 1) :]
    slash = end.find("/")
    return "…" + (end[slash:] if 0 <= slash < len(end) - 1 else end)
