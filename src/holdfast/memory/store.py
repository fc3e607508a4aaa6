"""Rows of memories in and out. Each function joins the caller's transaction.

Rows are locked in one order, whoever changes them, so that no two wait for each other on PostgreSQL: the hold, the
job, the generation, the thread, then scope by scope (sorted) the scope and its memories.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from holdfast import ids, sql
from holdfast.engine import Read, Write
from holdfast.errors import Refused
from holdfast.memory.model import CWD, Candidate, Extracted, Memory, Settings

_SQL = sql.load("holdfast.memory")
_ONE = _SQL["select_memory"].fill(where=_SQL["in_scope_of"])
_OF_THREAD = _SQL["select_memory"].fill(where=_SQL["newest_of_thread"])
_LAST = _SQL["select_memory"].fill(where=_SQL["last_of_scope"])
_NEWEST = _SQL["select_memory"].fill(where=_SQL["newest_of_all"])
_WANTED = _SQL["select_memory"].fill(where=_SQL["wanted_of_scope"])
_ALLOWED = _SQL["select_thread_id"].fill(where=_SQL["wanted_of_scope"])
_SCAN_MAX = 5_000
LIMIT_MAX = 1_000_000


class _Made(msgspec.Struct):
    threads: dict[str, int]
    files: dict[str, str]


class Generation(msgspec.Struct, frozen=True):
    """The artefacts that count: their folder's name, and the fence it was made under.

    Made of ``threads`` (home and id: version of the memory); ``files`` a model made (path: digest).
    """

    fence: int
    folder: str
    threads: dict[str, int]
    files: dict[str, str]
    published_ms: int


def put(
    tx: Write,
    home_id: int,
    thread_id: bytes,
    scope: tuple[str, str],
    found: Extracted,
    *,
    source_ms: int | None = None,
) -> Memory:
    """Remember ``found`` of a thread in ``scope``, in place of what was, and note that the scope changed.

    ``updated_at_ms`` is larger than that of any in the scope, whatever the clock says. Raises
    ``Refused`` ("thread not found") when the thread has no row.
    """
    check_thread(tx, home_id, thread_id)
    kind, key = scope
    updated_ms = set_dirty(tx, scope)
    tx.run(
        _SQL["put_memory"],
        home_id=home_id,
        thread_id=thread_id,
        scope_kind=kind,
        scope_key=key,
        raw_memory=found.raw_memory,
        memory_summary=found.memory_summary,
        slug=found.slug,
        updated_ms=updated_ms,
        source_ms=tx.now_ms if source_ms is None else source_ms,
    )
    row = tx.row(_ONE, home_id=home_id, thread_id=thread_id, scope_kind=kind, scope_key=key)
    assert row is not None  # it was put there
    return _memory(row)


def has_thread(tx: Write, home_id: int, thread_id: bytes) -> bool:
    """Return True when the thread has a row in this home. It is not deleted before we are done."""
    return tx.row(_SQL["has_thread"], home_id=home_id, thread_id=thread_id) is not None


def check_thread(tx: Write, home_id: int, thread_id: bytes) -> None:
    """Raise ``Refused`` unless the thread has a row in this home. It is not deleted before we are done."""
    if not has_thread(tx, home_id, thread_id):
        raise Refused(f"thread not found: {ids.text(thread_id)}", remedy="Only what is indexed can be remembered.")


def may_remember(tx: Write, home_id: int, thread_id: bytes) -> bool:
    """Return True when the thread is there and its memory mode is ``enabled``. Stays so until we are done."""
    return tx.row(_SQL["may_remember"], home_id=home_id, thread_id=thread_id) is not None


def cwd_of(tx: Read, home_id: int, thread_id: bytes) -> str | None:
    """Return the directory a thread works in (empty: none is known), or None when it has no row."""
    row = tx.row(_SQL["cwd_of_thread"], home_id=home_id, thread_id=thread_id)
    return None if row is None else str(row["cwd"])


def of_thread(tx: Read, home_id: int, thread_id: bytes) -> list[Memory]:
    """Return what is remembered of a thread, in every scope, valid or not, the newest first."""
    return [_memory(row) for row in tx.rows(_OF_THREAD, home_id=home_id, thread_id=thread_id)]


def last(tx: Read, homes: Sequence[int], scope: tuple[str, str], n: int) -> list[Memory]:
    """Return the ``n`` memories of exactly this scope that were written last; of a tie the larger id first.

    Only what is valid, of threads that may be remembered.
    """
    if n <= 0:
        return []
    kind, key = scope
    asked = min(n, LIMIT_MAX)
    rows = tx.rows(_LAST, homes=json.dumps(homes), scope_kind=kind, scope_key=key, limit=asked)
    return [_memory(row) for row in rows]


def newest(
    tx: Read, homes: Sequence[int], *, kind: str | None = None, key: str | None = None, limit: int = 100
) -> list[Memory]:
    """Return memories of any scope (or of this one), invalid ones too, the newest first."""
    return [
        _memory(row) for row in tx.rows(_NEWEST, homes=json.dumps(homes), scope_kind=kind, scope_key=key, limit=limit)
    ]


def wanted(tx: Read, homes: Sequence[int], scope: tuple[str, str], settings: Settings) -> list[Memory]:
    """Return what goes into the artefacts: chosen by use, then by how recent it is, in the stable order of ids."""
    kind, key = scope
    rows = tx.rows(
        _WANTED,
        homes=json.dumps(homes),
        scope_kind=kind,
        scope_key=key,
        since_ms=tx.now_ms - settings.unused_max_ms,
        limit=settings.selected_max,
    )
    return sorted(map(_memory, rows), key=lambda memory: (memory.thread_id, memory.home))


def allowed(tx: Read, homes: Sequence[int], scope: tuple[str, str]) -> set[str]:
    """Return the memories that may be put together of a scope, used or not, as ``rules.key_of_memory`` names them."""
    kind, key = scope
    rows = tx.rows(
        _ALLOWED, homes=json.dumps(homes), scope_kind=kind, scope_key=key, since_ms=-(1 << 60), limit=LIMIT_MAX
    )
    return {f"{row['home']}:{ids.text(row['thread_id'])}" for row in rows}


def use(tx: Write, home_id: int, thread_ids: Iterable[bytes]) -> int:
    """Count one use of each of these threads' memories; return how many threads that were."""
    asked = sorted(set(thread_ids))
    for scope in sorted({scope for id16 in asked for scope in _scopes(tx, home_id, id16)}):
        tx.row(_SQL["lock_scope"], scope_kind=scope[0], scope_key=scope[1])
    return sum(tx.run(_SQL["use_thread"], home_id=home_id, thread_id=id16, now_ms=tx.now_ms) > 0 for id16 in asked)


def invalidate(tx: Write, home_id: int, thread_id: bytes, reason: str) -> int:
    """Mark all that is remembered of a thread as wrong: kept, shown, and given to no model. Return of how many scopes.

    A new memory of the thread is valid again.
    """
    return sum(
        _change(tx, "invalidate_scope", home_id, thread_id, scope, now_ms=tx.now_ms, reason=reason)
        for scope in _scopes(tx, home_id, thread_id, valid=True)
    )


def forget(tx: Write, home_id: int, thread_id: bytes) -> int:
    """Remove all that is remembered of a thread; return how many scopes had something."""
    return sum(_change(tx, "forget_scope", home_id, thread_id, scope) for scope in _scopes(tx, home_id, thread_id))


def replace(
    tx: Write, home_id: int, thread_id: bytes, scopes: Sequence[tuple[str, str]], found: Extracted, *, source_ms: int
) -> list[Memory]:
    """Remember ``found`` of a thread in these scopes and in no other: it may work elsewhere now."""
    kept = []
    for scope in sorted({*scopes, *_scopes(tx, home_id, thread_id)}):
        if scope in scopes:
            kept.append(put(tx, home_id, thread_id, scope, found, source_ms=source_ms))
        else:
            _change(tx, "forget_scope", home_id, thread_id, scope)
    return kept


def forget_all(tx: Write, homes: Sequence[int]) -> int:
    """Remove every memory of these homes; return how many there were."""
    rows = tx.rows(_SQL["scopes_of_homes"], homes=json.dumps(homes))
    scopes = sorted((row["scope_kind"], row["scope_key"]) for row in rows)
    for scope in scopes:
        set_dirty(tx, scope)
    return tx.run(_SQL["forget_all"], homes=json.dumps(homes))


def _scopes(tx: Read, home_id: int, thread_id: bytes, *, valid: bool = False) -> list[tuple[str, str]]:
    """Return the scopes something of a thread is in, in the order they are changed in."""
    rows = tx.rows(_SQL["scopes_of_thread"], home_id=home_id, thread_id=thread_id, valid=int(valid))
    return sorted((row["scope_kind"], row["scope_key"]) for row in rows)  # as Python sorts: collations differ


def _change(tx: Write, statement: str, home_id: int, thread_id: bytes, scope: tuple[str, str], **params: object) -> int:
    set_dirty(tx, scope)
    kind, key = scope
    return tx.run(_SQL[statement], home_id=home_id, thread_id=thread_id, scope_kind=kind, scope_key=key, **params)


def set_dirty(tx: Write, scope: tuple[str, str], dirty: bool = True) -> int:
    """Note that a scope has something new, or has not; return the version of the scope, larger than any before."""
    row = tx.row(_SQL["set_scope"], scope_kind=scope[0], scope_key=scope[1], dirty=int(dirty), now_ms=tx.now_ms)
    assert row is not None  # put there, or changed
    return int(row["updated_ms"])


def dirty_scopes(tx: Read) -> dict[tuple[str, str], int]:
    """Return the scopes with something new, each with the version that says so."""
    return {(row["scope_kind"], row["scope_key"]): row["updated_ms"] for row in tx.rows(_SQL["dirty_scopes"])}


def clean(tx: Write, seen: Mapping[tuple[str, str], int]) -> int:
    """Note that these scopes were put together as they were at these versions; what came in since stays dirty."""
    return sum(
        tx.run(_SQL["clean_scope"], scope_kind=kind, scope_key=key, seen_ms=seen_ms)
        for (kind, key), seen_ms in seen.items()
    )


def generation(tx: Read, place: str) -> Generation | None:
    """Return which artefacts count at ``place``, or None when there are none."""
    row = tx.row(_SQL["get_generation"], place=place)
    if row is None:
        return None
    try:
        made = msgspec.json.decode(row["made"], type=_Made)
    except msgspec.DecodeError:
        made = _Made({}, {})  # damaged: everything counts as new, and is put together again
    return Generation(row["fence"], row["folder"], made.threads, made.files, row["published_ms"])


def put_generation(
    tx: Write, place: str, fence: int, folder: str, threads: Mapping[str, int], files: Mapping[str, str]
) -> bool:
    """Have ``folder`` count at ``place``. False, and nothing changed, when a newer fence did so already."""
    made = msgspec.json.encode({"threads": threads, "files": files}).decode()
    return bool(tx.run(_SQL["put_generation"], place=place, fence=fence, folder=folder, made=made, now_ms=tx.now_ms))


def lock_generation(tx: Write, place: str) -> str | None:
    """Return the folder that counts at ``place``, and have others wait who would change that, until we are done."""
    row = tx.row(_SQL["lock_generation"], place=place)
    return None if row is None else str(row["folder"])


def drop_generation(tx: Write, place: str) -> bool:
    """Have no artefacts count at ``place``. False when none did."""
    return bool(tx.run(_SQL["drop_generation"], place=place))


def candidates(tx: Read, homes: Sequence[int], settings: Settings) -> list[Candidate]:
    """Return the threads that may be read now, the most recent first, at most 5,000. One statement.

    Whether each is *due* is for its job to say: that knows for which input it was done.
    """
    rows = tx.rows(
        _SQL["candidates"],
        homes=json.dumps(homes),
        from_ms=tx.now_ms - settings.age_max_ms,
        to_ms=tx.now_ms - settings.idle_ms,
        limit=_SCAN_MAX,
    )
    return [
        Candidate(
            home_id=row["home_id"],
            home=row["home"],
            thread_id=row["thread_id"],
            path=f"{row['home']}/{row['path']}",
            cwd=row["cwd"],
            title=row["title"],
            updated_ms=row["updated_ms"],
            size=row["size"],
            # Of what the lines say, never of the file's own times: a copy and a compressed file are the same input.
            digest=blake2b(
                f"{row['updated_ms']} {row['tokens_used']} {row['title']}".encode(), digest_size=8
            ).hexdigest(),
        )
        for row in rows
    ]


def scopes_for(settings: Settings, cwd: str) -> list[tuple[str, str]]:
    """Return the scopes that a thread working in ``cwd`` is remembered in, in the order they are changed in."""
    keys = {CWD: cwd, "user": "user"}
    return sorted((kind, keys[kind]) for kind in set(settings.scopes) if keys[kind])


def _memory(row: Mapping[str, Any]) -> Memory:
    return Memory(
        thread_id=ids.text(row["thread_id"]),
        home=row["home"],
        scope_kind=row["scope_kind"],
        scope_key=row["scope_key"],
        raw_memory=row["raw_memory"],
        memory_summary=row["memory_summary"],
        slug=row["slug"],
        updated_at_ms=row["updated_ms"],
        source_at_ms=row["source_ms"],
        used_count=row["used_count"],
        last_used_at_ms=row["last_used_ms"],
        invalidated_at_ms=row["invalidated_ms"],
        invalid_reason=row["invalid_reason"],
    )
