"""Entries in and out. Each function joins the caller's transaction."""

from __future__ import annotations

from holdfast import sql
from holdfast.cache import rules
from holdfast.cache.model import FILE_BYTES_MAX
from holdfast.engine import Read, Write

_SQL = sql.load("holdfast.cache")
_GET = _SQL["get_entry"]
_EXPIRED_A_PUT = 8  # a put takes more away than it brings, so what has expired never piles up
_EVICTED_A_LOOK = 64


def get(tx: Read, cache: str, key: bytes) -> tuple[int, bytes] | None:
    """Return the kind and the value of ``key``, or None. Writes nothing, whatever it finds."""
    for kind, put_ms, expires_ms, value in tx.tuples(_GET, cache=cache, key=key):
        if rules.is_good(tx.now_ms, put_ms, expires_ms):
            return kind, value
    return None


def put(tx: Write, cache: str, key: bytes, kind: int, value: bytes, ttl_s: float | None, bytes_max: int) -> bool:
    """Put ``value`` in the place of what was there; False when ``ttl_s`` has ended before it began.

    The oldest entries go until the cache is within ``bytes_max`` again, a few
    expired ones, of any cache, first.
    """
    tx.run(_SQL["delete_entry"], cache=cache, key=key)
    expires_ms = rules.expiry(tx.now_ms, ttl_s)
    if expires_ms is False:
        return False
    tx.run(_SQL["delete_expired"], now_ms=tx.now_ms, limit=_EXPIRED_A_PUT)
    size = rules.counted(key, value)
    tx.run(
        _SQL["put_entry"],
        cache=cache,
        key=key,
        kind=kind,
        bytes=size,
        now_ms=tx.now_ms,
        expires_ms=expires_ms,
        value=value,
    )
    while True:
        ((of_cache, of_all),) = tx.tuples(_SQL["get_bytes"], cache=cache)
        if of_cache > bytes_max:
            oldest = tx.tuples(_SQL["oldest_of_cache"], cache=cache, limit=_EVICTED_A_LOOK)
            upto = rules.upto(oldest, of_cache - bytes_max)
            tx.run(_SQL["delete_of_cache"], cache=cache, upto=upto, limit=_EVICTED_A_LOOK)
        elif of_all > FILE_BYTES_MAX:
            oldest = tx.tuples(_SQL["oldest_of_all"], limit=_EVICTED_A_LOOK)
            tx.run(_SQL["delete_oldest"], upto=rules.upto(oldest, of_all - FILE_BYTES_MAX))
        else:
            return True


def delete(tx: Write, cache: str, key: bytes) -> bool:
    """Take one entry away; False when there was none."""
    return tx.run(_SQL["delete_entry"], cache=cache, key=key) == 1


def last(tx: Read, cache: str) -> int:
    """Return the number of the newest entry of a cache, 0 when it has none."""
    return int(tx.tuples(_SQL["last_entry"], cache=cache)[0][0])


def delete_step(tx: Write, cache: str, upto: int, limit: int) -> int:
    """Take away up to ``limit`` entries of a cache that are not newer than ``upto``; return how many."""
    return tx.run(_SQL["delete_of_cache"], cache=cache, upto=upto, limit=limit)


def totals(tx: Read, cache: str) -> tuple[int, int]:
    """Return how many entries a cache has, and their bytes."""
    found = tx.tuples(_SQL["get_totals"], cache=cache)
    return (found[0][0], found[0][1]) if found else (0, 0)
