"""Rows of threads as ``ThreadMetadata``, in and out. Each function joins the caller's transaction."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from typing import Any

import msgspec

from holdfast import ids, sql
from holdfast.adapters.runtime_base import id_of
from holdfast.adapters.runtime_types import Anchor, SortKey, ThreadMetadata, utc
from holdfast.engine import Read, Write
from holdfast.errors import Refused
from holdfast.ingest import ledger
from holdfast.ingest.model import FileRow
from holdfast.memory import store as memories
from holdfast.rollouts import ThreadFacts
from holdfast.rollouts.fold import apply
from holdfast.rollouts.items import Item, SessionMeta
from holdfast.sql import Statement
from holdfast.threads import rules, store
from holdfast.threads.listing import thread as thread_of
from holdfast.threads.model import Home, Thread

_SQL = sql.load("holdfast.adapters")
_THREADS = sql.load("holdfast.threads")
_AMONG = _THREADS["select_thread"].fill(chosen=_THREADS["chosen_among"], tail=_SQL["no_tail"])


def _paged(name: str, key: SortKey) -> Statement:
    sort = f"t.{key.value}_ms"
    return _SQL[name].fill(sort=sort, matching=_SQL["page_matching"].fill(sort=sort))


_PAGES = {key: _paged("page", key) for key in SortKey}
_EDGES = {key: _paged("page_edge", key) for key in SortKey}
_LAST_S = 1 << 52  # no time is later
_LABELS = ("model_provider", "cwd", "cli_version", "sandbox_policy", "approval_mode", "git_branch", "git_origin_url")
_KINDS = {"cli", "vscode", "exec", "mcp", "unknown"}


def check(tx: Write, home_id: int, id16: bytes) -> None:
    """Raise ``Refused`` ("thread not found") unless the thread has a row."""
    memories.check_thread(tx, home_id, id16)


def get(tx: Read, home_id: int, id16: bytes) -> ThreadMetadata | None:
    """Return the row of a thread, or None."""
    found = store.get(tx, [home_id], id16)
    return None if found is None else _metadata(found)


def page(
    tx: Read,
    home_id: int,
    limit: int,
    anchor: Anchor | None,
    sort: SortKey,
    sources: Sequence[str],
    providers: Sequence[str] | None,
    archived: bool,
) -> list[ThreadMetadata]:
    """Return up to ``limit`` threads behind ``anchor``. Costs what the page holds, and who shares its last second."""
    if limit <= 0:
        return []
    limit = min(limit, 1 << 31)
    after_s = _LAST_S if anchor is None else int(anchor.ts.timestamp() // 1)
    asked = {
        "home_id": home_id,
        "archived": int(archived),
        "any_source": int(not sources),
        "sources": json.dumps(list(sources)),
        "any_provider": int(not providers),
        "providers": json.dumps(list(providers or ())),
        "after_s": after_s,
        "after_id": b"\xff" * 16 if anchor is None else id_of(anchor.id),
        "below_ms": (after_s + 1) * 1000,
    }
    edge = tx.row(_EDGES[SortKey(sort)], before=limit - 1, **asked)
    from_ms = -(1 << 62) if edge is None else edge["second"] * 1000
    found = tx.rows(_PAGES[SortKey(sort)], from_ms=from_ms, limit=limit, **asked)
    ns = [row["n"] for row in found]
    by_n = {row["n"]: _metadata(thread_of(row)) for row in tx.rows(_AMONG, among=json.dumps(ns))} if ns else {}
    return [by_n[n] for n in ns]


def put(tx: Write, home: Home, thread: ThreadMetadata) -> None:
    """Put a row, every column of it, and the row of its file where there is none."""
    id16 = id_of(thread.id)
    file_id, old = _file(tx, home, thread.rollout_path, id16)
    first = thread.first_user_message or None
    kind = thread.source if thread.source in _KINDS else "subagent" if "subagent" in thread.source else "unknown"
    facts = {
        "created_ms": _ms(thread.created_at), "updated_ms": _ms(thread.updated_at), "tokens_used": thread.tokens_used,
        "source": thread.source, "source_kind": kind, "first_user_message": first or "", "title": thread.title,
        "preview": first or "", "git_sha": thread.git_sha,
    }  # fmt: skip
    archived_ms = None if thread.archived_at is None else _ms(thread.archived_at)
    texts = {name: getattr(thread, name) for name in _LABELS} | {"cwd": rules.normal_cwd(thread.cwd)}
    revision = store.next_revision(tx)
    if old is None:
        made = ThreadFacts(thread_id=id16, recency_ms=_ms(thread.created_at), **facts, **texts)  # type: ignore[arg-type]
        row = store.derive(made, archived=archived_ms is not None, archived_ms=archived_ms, name=None)
        row["file_id"] = file_id
        store.put(tx, home.home_id, [row], revision)
        store.say_what_waits(tx, home.home_id, revision)
        return
    known = store.intern(tx, sorted({kind, *filter(None, texts.values())}))
    tx.run(
        _SQL["replace_thread"],
        home_id=home.home_id,
        thread_id=id16,
        file_id=file_id,
        revision=revision,
        created_ms=facts["created_ms"],
        updated_ms=facts["updated_ms"],
        source=None if thread.source == kind else thread.source,
        source_kind_id=known[kind],
        title=None if thread.title == (first or "") else thread.title,
        tokens_used=thread.tokens_used,
        first_user_message=first,
        archived=int(archived_ms is not None),
        archived_ms=archived_ms,
        git_sha=thread.git_sha,
        **{f"{'provider' if name == 'model_provider' else name}_id": known.get(texts[name] or "") for name in _LABELS},
    )
    if old != file_id:  # the file it had speaks for nobody now
        ledger.set_status(tx, [old], "gone")
        ledger.forget_gone(tx, home.home_id)


def folded(before: ThreadMetadata, items: Sequence[Item], provider: str) -> tuple[ThreadMetadata, str | None]:
    """Return ``before`` with what ``items`` add, by the fold that reads files, and the tools of the first meta."""
    first = before.first_user_message or ""
    facts = ThreadFacts(
        thread_id=id_of(before.id), created_ms=_ms(before.created_at), updated_ms=_ms(before.updated_at),
        source=before.source, source_kind=before.source, title=before.title, first_user_message=first, preview=first,
        tokens_used=before.tokens_used, git_sha=before.git_sha,
        **{name: getattr(before, name) for name in _LABELS},
    )  # fmt: skip
    tools = None
    for item in items:
        apply(facts, item)
        if tools is None and isinstance(item, SessionMeta):
            tools = item.tools
    after = changed(
        before,
        updated_at=utc(facts.updated_ms / 1000),
        source=facts.source,
        title=facts.title,
        first_user_message=facts.first_user_message or None,
        tokens_used=facts.tokens_used,
        git_sha=facts.git_sha,
        **{name: getattr(facts, name) for name in _LABELS},
    )
    return changed(after, model_provider=after.model_provider or provider), tools


def changed(thread: ThreadMetadata, **fields: Any) -> ThreadMetadata:
    """Return ``thread`` with these fields changed."""
    return dataclasses.replace(thread, **fields)


def _file(tx: Write, home: Home, rollout_path: str, id16: bytes) -> tuple[int, int | None]:
    """Return the row of the file, made when missing, and that of the file the thread had before (None: no thread)."""
    before = tx.row(_SQL["file_of_thread"], home_id=home.home_id, thread_id=id16)
    old = None if before is None else int(before["file_id"])
    path = os.path.relpath(os.path.join(home.path, rollout_path), home.path)
    known = ledger.load_some(tx, home.home_id, [path]).get(path)
    if known is not None and known.thread_id not in (None, id16):
        raise Refused(f"{rollout_path} is the rollout of thread {ids.text(known.thread_id)}, not of {ids.text(id16)}")
    if known is not None and known.thread_id == id16 and known.status == "ok":
        return known.file_id, old
    # Nothing was read of it: the next index of the home sees a file that changed, or one that is gone.
    row = FileRow(
        file_id=known.file_id if known is not None else ledger.next_file_id(tx), path=path, zst=0, inode=0, size=0,
        mtime_ns=0, offset=0, status="ok", attempts=0, thread_id=id16, home_id=home.home_id, problems=None, facts=None,
    )  # fmt: skip
    ledger.put(tx, [row])
    return row.file_id, old


def _metadata(found: Thread) -> ThreadMetadata:
    said = msgspec.structs.asdict(found)
    texts = {name: said[name] or "" for name in _LABELS if not name.startswith("git_")}
    return ThreadMetadata(
        id=found.id,
        rollout_path=os.path.normpath(found.rollout_path),
        created_at=utc(found.created_at_ms / 1000),
        updated_at=utc(found.updated_at_ms / 1000),
        source=found.source,
        title=found.title,
        tokens_used=found.tokens_used,
        first_user_message=found.first_user_message or None,
        archived_at=None if found.archived_at_ms is None else utc(found.archived_at_ms / 1000),
        git_sha=found.git_sha,
        git_branch=found.git_branch,
        git_origin_url=found.git_origin_url,
        **texts,
    )


def _ms(when: Any) -> int:
    return int(when.timestamp() // 1) * 1000
