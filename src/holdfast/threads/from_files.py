"""Threads straight from the files of a home: what answers while there is no index. Reads only.

Slower than the index, never different: the same fold, the same filters, the
same order. A page of the newest reads only files that can be among the newest.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from holdfast import ids
from holdfast.rollouts import Entry, Scan, ScanRequest, find_by_id, inherit, paths, read_names, scan, scan_many, walk
from holdfast.rollouts.facts import ThreadFacts
from holdfast.threads import rules
from holdfast.threads.model import Direction, Page, Query, Sort, Thread

_ZONE_MS = 15 * 3_600_000  # the time in a file's name is local; zones end at +14 h, and clocks are a little off
_MTIME_SLACK_MS = 2_000  # a line's time is read before the line is written; some filesystems keep whole seconds
_CHUNK = 64
_BASES_MAX = 64
_ENDLESS_MS = 1 << 62


@dataclass(frozen=True, slots=True)
class _Candidate:
    home: str
    entry: Entry
    newest_ms: int
    """No later than this can the time be that the page is ordered by."""


def page(homes: Sequence[str], query: Query, *, limit: int = 25, cursor: str | None = None) -> Page:
    """Return up to ``limit`` threads of the homes at these real paths that match ``query``, after ``cursor``.

    The newest first: reads as many files as it must, some more than ``limit``
    when few match. Oldest first, or with a deep cursor: reads every file.
    What a person said to holdfast (names, archived) is not in the files.
    """
    rules.check_limit(limit)
    after = rules.decode_cursor(query, cursor) if cursor else None
    names = {home: read_names(home) for home in homes}
    best: dict[tuple[str, bytes], Thread] = {}
    kept: list[int] = []  # a heap of the times of the best `limit + 1`
    candidates = _candidates(homes, query)
    while chunk := list(itertools.islice(candidates, _CHUNK)):
        if len(kept) > limit and chunk[0].newest_ms < kept[0]:
            break  # nothing that follows can be among the page
        for home, scanned in _scans(chunk):
            found = thread_of(home, scanned, names[home])
            if found is None or not _matches(found, query):
                continue
            ms = _ms(query, found)
            if after is not None and not rules.is_after(query, ms, found.id, after.ms, after.thread_id):
                continue
            if not _take(best, found):
                continue
            if query.direction is Direction.DESC:
                heapq.heappush(kept, ms)
                if len(kept) > limit + 1:
                    heapq.heappop(kept)
    ordered = sorted(
        best.values(), key=lambda thread: (_ms(query, thread), thread.id), reverse=query.direction is Direction.DESC
    )
    shown = [_with_base(thread) for thread in ordered[:limit]]
    last = None
    if len(ordered) > limit:
        last = rules.encode_cursor(query, _ms(query, shown[-1]), 0, shown[-1].id)
    return Page(threads=tuple(shown), next_cursor=last, complete=True, source="files")


def get(home: str, thread_id: bytes) -> Thread | None:
    """Return the thread with this id (16 bytes), or None when no file of ``home`` says it is it."""
    found = find_by_id(home, thread_id)
    if found is None:
        return None
    thread = thread_of(home, scan(found.path, home=home, zst=found.zst), read_names(home))
    return None if thread is None else _with_base(thread)


def resolve(home: str, text: str) -> Thread | None:
    """Return the one thread of ``home`` that ``text`` means: the beginning of an id, a name, or a title.

    A title costs reading every file. Raises ``Refused`` when several ids begin so.
    """
    digits = rules.id_prefix(text)
    if digits is not None:
        named = (paths.name_id(entry.path.rpartition("/")[2]) for entry in walk(home))
        fitting = sorted({id16 for id16 in named if id16 is not None and id16.hex().startswith(digits)})
        if len(fitting) > 1:
            raise rules.ambiguous(text, [ids.text(id16) for id16 in fitting])
        if fitting:
            return get(home, fitting[0])
    for id16, name in read_names(home).items():
        if name == text and (thread := get(home, id16)):
            return thread
    called = page([home], Query(archived=None, search=text), limit=rules.LIMIT_MAX)
    return next((thread for thread in called.threads if text in (thread.name, thread.title)), None)


def thread_of(home: str, scanned: Scan, names: dict[bytes, str]) -> Thread | None:
    """Return what ``scanned`` tells as a ``Thread``, or None when it tells of none."""
    facts = scanned.facts
    if scanned.status != "ok" or facts is None or facts.thread_id is None:
        return None
    return Thread(
        id=ids.text(facts.thread_id),
        home=home,
        rollout_path=f"{home}/{scanned.path}",
        created_at_ms=facts.created_ms,
        updated_at_ms=facts.updated_ms,
        recency_at_ms=facts.recency_ms,
        source=facts.source,
        source_kind=facts.source_kind,
        thread_source=facts.thread_source,
        model_provider=facts.model_provider or None,
        model=facts.model or None,
        reasoning_effort=facts.reasoning_effort or None,
        cwd=rules.normal_cwd(facts.cwd) if facts.cwd else None,
        cli_version=facts.cli_version or None,
        originator=facts.originator or None,
        title=facts.title,
        name=names.get(facts.thread_id, facts.name) or None,
        preview=facts.preview,
        first_user_message=facts.first_user_message,
        tokens_used=facts.tokens_used,
        archived=scanned.archived,
        archived_at_ms=scanned.mtime_ns // 1_000_000 if scanned.archived else None,
        git_sha=facts.git_sha,
        git_branch=facts.git_branch or None,
        git_origin_url=facts.git_origin_url or None,
        parent_thread_id=_text(facts.parent_thread_id),
        forked_from_id=_text(facts.forked_from_id),
        agent_nickname=facts.agent_nickname,
        agent_role=facts.agent_role or None,
        agent_path=facts.agent_path or None,
        sandbox_policy=facts.sandbox_policy or None,
        approval_mode=facts.approval_mode or None,
        memory_mode=facts.memory_mode or None,
        history_mode=facts.history_mode or None,
        lines_unread=facts.lines_unread,
        missing_since_ms=None,
    )


def _candidates(homes: Sequence[str], query: Query) -> Iterator[_Candidate]:
    found = [
        _Candidate(home, entry, _newest_ms(query, entry))
        for home in homes
        for entry in walk(home)
        if query.archived is None or entry.archived is query.archived
    ]
    found.sort(key=lambda candidate: candidate.newest_ms, reverse=True)
    return iter(found)


def _newest_ms(query: Query, entry: Entry) -> int:
    if query.direction is Direction.ASC:
        return _ENDLESS_MS
    if query.sort is Sort.CREATED:
        named_ms = paths.name_ms(entry.path.rpartition("/")[2])
        return _ENDLESS_MS if named_ms is None else named_ms + _ZONE_MS
    return entry.mtime_ns // 1_000_000 + _MTIME_SLACK_MS


def _scans(chunk: Iterable[_Candidate]) -> Iterator[tuple[str, Scan]]:
    for home, some in itertools.groupby(chunk, key=lambda candidate: candidate.home):
        requests = [ScanRequest(home=home, path=one.entry.path, zst=one.entry.zst, size=one.entry.size) for one in some]
        for scanned in scan_many(requests):
            yield home, scanned


def _take(best: dict[tuple[str, bytes], Thread], found: Thread) -> bool:
    """Keep ``found`` unless a better file speaks for its thread; return True when it is the first of it."""
    key = (found.home, ids.parse(found.id) or b"")
    rival = best.get(key)
    if rival is None or rules.better(_claim(found), _claim(rival)):
        best[key] = found
    return rival is None


def _claim(thread: Thread) -> tuple[bool, int, str]:
    return thread.archived, thread.updated_at_ms, thread.rollout_path


def _matches(thread: Thread, query: Query) -> bool:
    needle = query.search.lower() if query.search is not None else ""
    return (
        (not query.sources or thread.source_kind in query.sources)
        and (not query.providers or thread.model_provider in query.providers)
        and (not query.cwds or thread.cwd in [rules.normal_cwd(cwd) for cwd in query.cwds])
        and (query.parent is None or thread.parent_thread_id == ids.text(query.parent))
        and (not needle or any(needle in (text or "").lower() for text in (thread.name, thread.title, thread.preview)))
    )


def _ms(query: Query, thread: Thread) -> int:
    return rules.sort_ms(
        query, created=thread.created_at_ms, updated=thread.updated_at_ms, recency=thread.recency_at_ms
    )


def _with_base(thread: Thread) -> Thread:
    """Return ``thread`` with the words its history began with, when another file holds them."""
    if thread.forked_from_id is None:
        return thread
    chain: list[ThreadFacts] = []
    wanted = ids.parse(thread.id)
    while wanted is not None and len(chain) < _BASES_MAX and wanted not in {facts.thread_id for facts in chain}:
        found = find_by_id(thread.home, wanted)
        facts = scan(found.path, home=thread.home, zst=found.zst).facts if found is not None else None
        if facts is None:
            break
        chain.append(facts)
        wanted = facts.base_thread_id
    if not chain:
        return thread
    heir = chain.pop()
    while chain:
        heir = inherit(chain.pop(), heir)
    return msgspec.structs.replace(thread, preview=heir.preview)


def _text(id16: bytes | None) -> str | None:
    return None if id16 is None else ids.text(id16)
