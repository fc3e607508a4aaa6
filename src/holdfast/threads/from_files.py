"""Threads straight from the files of a home: what answers while there is no index. Reads only.

Slower than the index, never different: the same fold, the same filters, the
same order. A page of the newest reads only files that can be among the newest.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
_Key = tuple[int, str]  # which of the homes, and the id of a thread


@dataclass(frozen=True, slots=True)
class _Candidate:
    """The files that are one thread's, going by their names: nearly always one."""

    at: int
    home: str
    entries: list[Entry]
    newest_ms: int
    """No later than this can the time be that the page is ordered by."""


@dataclass(frozen=True, slots=True)
class _Told:
    """What one file tells."""

    thread: Thread
    base: bytes | None
    """The thread whose history this one goes on from."""


def page(homes: Sequence[str], query: Query, *, limit: int = 25, cursor: str | None = None) -> Page:
    """Return up to ``limit`` threads of the homes at these real paths that match ``query``, after ``cursor``.

    The newest first: reads as many files as it must, some more than ``limit``
    when few match. Oldest first, or with a deep cursor: reads every file.
    ``ancestor`` reads every file, too. What a person said to holdfast (names,
    archived, who spawned whom) is not in the files.
    """
    rules.check_limit(limit)
    rules.check_relation(query)
    rules.check_texts(query)
    if query.deleted:
        return Page(threads=(), next_cursor=None, source="files")  # that stands in no file
    after = rules.decode_cursor(query, cursor) if cursor else None
    names = {home: read_names(home) for home in homes}
    told: dict[_Key, _Told] = {}
    found: dict[_Key, Thread] = {}
    candidates = _candidates(homes, query)
    below = _below(homes, query.ancestor) if query.ancestor is not None else None
    while chunk := list(itertools.islice(candidates, _CHUNK)):
        if len(found) > limit and chunk[0].newest_ms < _last_ms(found, query, limit + 1):
            break  # nothing that follows can be among the page
        for key in _tell(told, chunk, names):
            found.pop(key, None)  # a worse file of this thread had been read before
            thread = _with_base(told[key]) if query.search is not None else told[key].thread
            if below is not None and thread.id not in below:
                continue
            if _matches(thread, query) and (after is None or _is_after(query, after, thread, key)):
                found[key] = thread
    ordered = sorted(
        found, key=lambda key: (_ms(query, found[key]), _tie(key)), reverse=query.direction is Direction.DESC
    )
    shown = ordered[:limit]
    last = None
    if len(ordered) > limit:
        at, thread_id = shown[-1]
        last = rules.encode_cursor(query, _ms(query, found[shown[-1]]), rules.from_files(at), thread_id)
    return Page(threads=tuple(_with_base(told[key]) for key in shown), next_cursor=last, complete=True, source="files")


def get(home: str, thread_id: bytes) -> Thread | None:
    """Return the thread with this id (16 bytes), or None when no file of ``home`` says it is it."""
    found = find_by_id(home, thread_id)
    if found is None:
        return None
    scanned = scan(found.path, home=home, zst=found.zst)
    thread = thread_of(home, scanned, read_names(home))
    return None if thread is None else _with_base(_Told(thread, _base(scanned)))


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
    named_so = [get(home, id16) for id16, name in read_names(home).items() if name == text]
    called = [thread for thread in named_so if thread is not None]
    cursor = None
    while not called:
        some = page([home], Query(archived=None, search=text), limit=rules.LIMIT_MAX, cursor=cursor)
        called = [thread for thread in some if text in (thread.name, thread.title)]
        cursor = some.next_cursor
        if cursor is None:
            break
    return max(called, key=lambda thread: (thread.name == text, thread.updated_at_ms), default=None)


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
    found = []
    for at, home in enumerate(homes):
        groups: dict[bytes | str, list[Entry]] = {}
        for entry in walk(home):
            groups.setdefault(paths.name_id(entry.path.rpartition("/")[2]) or entry.path, []).append(entry)
        found += [
            _Candidate(at, home, entries, max(_newest_ms(query, entry) for entry in entries))
            for entries in groups.values()
            if query.archived is None or any(entry.archived is query.archived for entry in entries)
        ]
    found.sort(key=lambda candidate: candidate.newest_ms, reverse=True)
    return iter(found)


def _below(homes: Sequence[str], ancestor: bytes) -> set[str]:
    """Return the ids of all threads below ``ancestor``. Reads every file."""
    told: dict[_Key, _Told] = {}
    _tell(told, _candidates(homes, Query(archived=None)), {home: {} for home in homes})
    spawned: dict[str, set[str]] = {}
    for each in told.values():
        if each.thread.parent_thread_id is not None:
            spawned.setdefault(each.thread.parent_thread_id, set()).add(each.thread.id)
    found: set[str] = set()
    parents = {ids.text(ancestor)}
    while parents:
        parents = set().union(*(spawned.get(parent, set()) for parent in parents)) - found
        found |= parents
    return found - {ids.text(ancestor)}


def _newest_ms(query: Query, entry: Entry) -> int:
    if query.direction is Direction.ASC:
        return _ENDLESS_MS
    if query.sort is Sort.CREATED:
        named_ms = paths.name_ms(entry.path.rpartition("/")[2])
        return _ENDLESS_MS if named_ms is None else named_ms + _ZONE_MS
    return entry.mtime_ns // 1_000_000 + _MTIME_SLACK_MS


def _tell(told: dict[_Key, _Told], chunk: Iterable[_Candidate], names: Mapping[str, dict[bytes, str]]) -> set[_Key]:
    """Read the files of ``chunk`` into ``told``, the better file of a thread over the worse; return what is new."""
    new = set()
    for (at, home), some in itertools.groupby(chunk, key=lambda candidate: (candidate.at, candidate.home)):
        requests = [
            ScanRequest(home=home, path=entry.path, zst=entry.zst, size=entry.size)
            for candidate in some
            for entry in candidate.entries
        ]
        for scanned in scan_many(requests):
            thread = thread_of(home, scanned, names[home])
            if thread is None:
                continue
            key = (at, thread.id)
            rival = told.get(key)
            if rival is None or rules.better(_claim(thread), _claim(rival.thread)):
                told[key] = _Told(thread, _base(scanned))
                new.add(key)
    return new


def _base(scanned: Scan) -> bytes | None:
    return None if scanned.facts is None else scanned.facts.base_thread_id


def _last_ms(found: Mapping[_Key, Thread], query: Query, count: int) -> int:
    return heapq.nlargest(count, (_ms(query, thread) for thread in found.values()))[-1]


def _is_after(query: Query, after: rules.Cursor, thread: Thread, key: _Key) -> bool:
    ms = _ms(query, thread)
    if after.n > 0:
        # The page before came from the index, which breaks ties in another order: better one twice than one never.
        return (ms == after.ms and thread.id != after.thread_id) or rules.is_after(query, ms, 0, after.ms, 0)
    return rules.is_after(query, ms, _tie(key), after.ms, _tie((rules.from_files(after.n), after.thread_id)))


def _tie(key: _Key) -> tuple[str, int]:
    at, thread_id = key
    return thread_id, at


def _claim(thread: Thread) -> tuple[bool, int, str]:
    return thread.archived, thread.updated_at_ms, thread.rollout_path


def _matches(thread: Thread, query: Query) -> bool:
    needle = query.search.lower() if query.search is not None else ""
    return (
        (query.archived is None or thread.archived is query.archived)
        and (not query.sources or thread.source_kind in query.sources)
        and (not query.providers or thread.model_provider in query.providers)
        and (not query.cwds or thread.cwd in [rules.normal_cwd(cwd) for cwd in query.cwds])
        and (query.parent is None or thread.parent_thread_id == ids.text(query.parent))
        and (not needle or any(needle in (text or "").lower() for text in (thread.name, thread.title, thread.preview)))
    )


def _ms(query: Query, thread: Thread) -> int:
    return rules.sort_ms(
        query, created=thread.created_at_ms, updated=thread.updated_at_ms, recency=thread.recency_at_ms
    )


def _with_base(told: _Told) -> Thread:
    """Return the thread with the words its history began with, when another file holds them."""
    thread = told.thread
    if told.base is None:
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
