"""How rollout files are named. Pure: texts only.

``rollout-2026-07-22T20-04-09-<uuid>.jsonl``, with ``.zst`` behind when
compressed. The *logical* path is always the plain one: it names the thread's
file whichever of the two exists. The time in a name is local, its zone unknown.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from holdfast import ids
from holdfast.rollouts.dialects import times

SESSIONS = "sessions"
ARCHIVED = "archived_sessions"
PLAIN = ".jsonl"
ZST = ".zst"
PREFIX = "rollout-"
_UUID_CHARS = 36


def is_rollout(name: str) -> bool:
    """Return True for the name of a rollout file, plain or compressed."""
    return name.startswith(PREFIX) and name.endswith((PLAIN, PLAIN + ZST))


def logical(path: str) -> str:
    """Return the plain spelling of ``path``."""
    return path.removesuffix(ZST)


def is_archived(path: str) -> bool:
    """Return True for a path, relative to its home, among the archived ones."""
    return path.startswith(f"{ARCHIVED}/")


def archived_path(path: str) -> str:
    """Return where a rollout lies, relative to its home, once it is archived."""
    return f"{ARCHIVED}/{path.rpartition('/')[2]}"


def name_id(name: str) -> bytes | None:
    """Return the 16 bytes of the thread id a file name ends in, or None."""
    stem = logical(name).removesuffix(PLAIN)
    return ids.parse(stem[-_UUID_CHARS:]) if stem[-_UUID_CHARS - 1 : -_UUID_CHARS] == "-" else None


def name_ms(name: str) -> int | None:
    """Return the time in a file name as if it were UTC, in ms: at most half a day off. None without one."""
    return times.ms(name[len(PREFIX) : len(PREFIX) + 19]) if name.startswith(PREFIX) else None


def name_date(name: str) -> tuple[str, str, str] | None:
    """Return year, month and day as a file name spells them: the folders it belongs into. None without a date."""
    date = name[len(PREFIX) : len(PREFIX) + 10] if name.startswith(PREFIX) else ""
    year, month, day = date[:4], date[5:7], date[8:]
    if not (year + month + day).isdecimal() or len(date) != 10 or date[4] + date[7] != "--":
        return None
    return year, month, day


def is_text(path: str) -> bool:
    """Return False for a name that is no UTF-8: it comes from the system with lone surrogates in it."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def likely_folders(id16: bytes) -> list[str]:
    """Return where the file of a UUIDv7 thread should lie, relative to the home, likeliest first.

    Folders are days in local time, the id holds UTC: the day itself, the one
    before and the one after. Empty for ids that hold no time.
    """
    created_ms = ids.created_ms(id16)
    if created_ms is None or created_ms > _YEAR_9000_MS:
        return []
    day = datetime.fromtimestamp(created_ms / 1000, UTC)
    days = [day, day - timedelta(days=1), day + timedelta(days=1)]
    return [f"{SESSIONS}/{when.year}/{when.month:02}/{when.day:02}" for when in days]


_YEAR_9000_MS = 221_845_392_000_000  # datetime ends at 9999; an id from there is damage
