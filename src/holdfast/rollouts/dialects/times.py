"""Times as agents write them. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def ms(stamp: str | None) -> int | None:
    """Return ms since the epoch for an ISO 8601 time, or one like ``2026-07-22T18-04-09`` of old releases.

    A time without a zone is taken as UTC. None for anything else, and for
    times before 1970.
    """
    if stamp is None or len(stamp) < 19 or len(stamp) > 40:
        return None
    if stamp[13] == "-" and stamp[16] == "-":
        stamp = f"{stamp[:13]}:{stamp[14:16]}:{stamp[17:]}"
    try:
        when = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    try:
        found = (when - _EPOCH) // _MS
    except OverflowError:
        return None
    return found if found >= 0 else None
