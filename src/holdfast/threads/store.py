"""Rows of threads in and out. Each function joins the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from holdfast import ids, sql
from holdfast.engine import Read, Write
from holdfast.holds.owner import host
from holdfast.rollouts import ThreadFacts
from holdfast.threads import rules
from holdfast.threads.listing import label_ids, thread
from holdfast.threads.model import Thread

_SQL = sql.load("holdfast.threads")
_BY_ID = _SQL["select_thread"].fill(chosen=_SQL["chosen_by_id"], tail=_SQL["where_id"])
_BY_ID_RANGE = _SQL["select_thread"].fill(chosen=_SQL["chosen_by_id"], tail=_SQL["where_id_range"])
_NAMED = _SQL["select_thread"].fill(chosen=_SQL["chosen_by_id"], tail=_SQL["where_named"])
_TITLED = _SQL["select_thread"].fill(chosen=_SQL["chosen_by_id"], tail=_SQL["where_titled"])
_TITLED_AMONG = _SQL["select_thread"].fill(chosen=_SQL["chosen_among"], tail=_SQL["where_titled"])
SAID = _SQL["said"]
"""Everything people said of threads that no rollout knows: rows of home, thread_id and the ``*_said`` columns."""
UNSAY = {"name": "unsay_name", "archived": "unsay_archived", "git": "unsay_git", "memory_mode": "unsay_memory_mode"}
_CANDIDATES_MAX = 6  # one more than an error shows
_BASES_MAX = 64  # a fork of a fork of ...: nobody goes further, a circle might for ever

# Column of `threads` -> fact that becomes a label.
_LABELS = {
    "source_kind_id": "source_kind",
    "thread_source_id": "thread_source",
    "provider_id": "model_provider",
    "model_id": "model",
    "effort_id": "reasoning_effort",
    "cwd_id": "cwd",
    "cli_version_id": "cli_version",
    "originator_id": "originator",
    "sandbox_policy_id": "sandbox_policy",
    "approval_mode_id": "approval_mode",
    "memory_mode_id": "memory_mode",
    "history_mode_id": "history_mode",
    "agent_role_id": "agent_role",
    "agent_path_id": "agent_path",
    "git_branch_id": "git_branch",
    "git_origin_url_id": "git_origin_url",
}


def get(tx: Read, homes: Sequence[int], thread_id: bytes) -> Thread | None:
    """Return the thread with this id (16 bytes) in one of ``homes``, or None."""
    row = tx.row(_BY_ID, homes=json.dumps(homes), thread_id=thread_id)
    return None if row is None else thread(row)


def is_deleted(tx: Read, home: str, thread_id: bytes) -> bool:
    """Return True when somebody deleted this thread of the home at this path."""
    return tx.row(_SQL["is_deleted"], host=host(), home=home, thread_id=thread_id) is not None


def resolve(
    tx: Read, homes: Sequence[int], text: str, *, titled: Callable[[str], str | None] = lambda _text: None
) -> Thread | None:
    """Return the one thread that ``text`` means: an id, the unique beginning of one, a name, or a title.

    A name wins over a title; of several threads of one name the one written
    last. None when nothing matches; ``Refused``, with the candidates, when the
    beginning of an id fits more than one thread.

    ``titled`` returns which threads may have a title (a JSON list of row ids),
    or None for all of them; asked only when nothing else fits, because then
    the titles are read: without it, 0.4 s for a million.
    """
    id16 = ids.parse(text)
    if id16 is not None:
        return get(tx, homes, id16)
    digits = rules.id_prefix(text)
    if digits is not None:
        rows = tx.rows(
            _BY_ID_RANGE,
            homes=json.dumps(homes),
            low=bytes.fromhex(digits.ljust(32, "0")),
            high=bytes.fromhex(digits.ljust(32, "f")),
            limit=_CANDIDATES_MAX,
        )
        fitting = list(dict.fromkeys(row["thread_id"] for row in rows))
        if len(fitting) == 1:  # perhaps in several homes
            return get(tx, homes, fitting[0])
        if rows:
            raise rules.ambiguous(text, [ids.text(id16) for id16 in fitting])
    row = tx.row(_NAMED, homes=json.dumps(homes), called=text)
    if row is None:
        among = titled(text)
        if among is None:
            row = tx.row(_TITLED, homes=json.dumps(homes), called=text)
        else:
            row = tx.row(_TITLED_AMONG, homes=json.dumps(homes), called=text, among=among)
    return None if row is None else thread(row)


def next_revision(tx: Write) -> int:
    """Return a number larger than any before: every row changed in this transaction carries it."""
    row = tx.row(_SQL["next_revision"])
    assert row is not None  # the first migration put it there
    return int(row["revision"])


def revision(tx: Read) -> int:
    """Return the number of the last transaction that changed a thread."""
    row = tx.row(_SQL["get_revision"])
    return int(row["revision"]) if row else 0


class Derived(dict[str, object]):
    """The derived columns of one row, by name, labels still as texts."""


def derive(facts: ThreadFacts, *, archived: bool, archived_ms: int | None, name: str | None) -> Derived:
    """Return the columns that ``facts`` give, plus where the file lies and what the home's names file says."""
    row = Derived({column: getattr(facts, fact) or None for column, fact in _LABELS.items()})
    if facts.cwd:
        row["cwd_id"] = rules.normal_cwd(facts.cwd)
    first = facts.first_user_message or None
    row.update(
        thread_id=facts.thread_id,
        created_ms=facts.created_ms,
        updated_ms=facts.updated_ms,
        recency_ms=facts.recency_ms,
        source=None if facts.source == facts.source_kind else facts.source,
        agent_nickname=facts.agent_nickname,
        parent_thread_id=facts.parent_thread_id,
        forked_from_id=facts.forked_from_id,
        base_thread_id=facts.base_thread_id,
        base_end_ordinal=facts.base_end_ordinal,
        first_user_ordinal=facts.first_user_ordinal,
        first_user_message=first,
        title=None if facts.title == (first or "") else facts.title,
        preview=None if facts.preview == (first or "") else facts.preview,
        tokens_used=facts.tokens_used,
        git_sha=facts.git_sha,
        lines_unread=facts.lines_unread,
        archived_file=int(archived),
        archived_file_ms=archived_ms,
        name_file=name,
        name_folded=facts.name,
    )
    return row


def put(tx: Write, home_id: int, rows: Sequence[Derived], revision: int) -> None:
    """Insert or renew the derived columns of ``rows`` (each with its ``file_id``). What a person said stays."""
    texts = sorted({text for row in rows for column in _LABELS if isinstance(text := row[column], str)})
    known = intern(tx, texts)
    for row in rows:
        for column in _LABELS:
            text = row[column]
            row[column] = known[text] if isinstance(text, str) else None
        row["home_id"] = home_id
        row["revision"] = revision
    tx.run_many(_SQL["put_thread"], rows)


def last_n(tx: Read) -> int:
    """Return the highest row id, which is about how many threads there are. 10 us however many."""
    row = tx.row(_SQL["last_n"])
    assert row is not None  # an aggregate always has one row
    return int(row["n"])


def intern(tx: Write, texts: Sequence[str]) -> dict[str, int]:
    """Return the label id of each text, making those that are new."""
    known = label_ids(tx, texts)
    new = [text for text in texts if text not in known]
    if new:
        tx.run(_SQL["put_labels"], labels=json.dumps(new))
        known |= label_ids(tx, new)
    return known


def present(tx: Read, home_id: int, thread_ids: Sequence[bytes]) -> dict[bytes, Mapping[str, Any]]:
    """Return, for each known thread of ``thread_ids``, its row id and the file that speaks for it."""
    rows = tx.rows(_SQL["present"], home_id=home_id, ids=json.dumps([id16.hex() for id16 in thread_ids]))
    return {row["thread_id"]: row for row in rows}


def inherit(tx: Write, home_id: int, revision: int) -> int:
    """Give forks that continue another file its first words; return how many changes that took.

    A fork of a fork waits for its base, so that it gets the words of the first.
    """
    changed = 0
    for _ in range(_BASES_MAX):
        heirs = tx.rows(_SQL["heirs"], home_id=home_id)
        if not heirs:
            break
        waiting = {heir["thread_id"] for heir in heirs}
        ready = [heir for heir in heirs if heir["base_thread_id"] not in waiting]
        changes = [
            {
                "n": heir["n"],
                "preview": heir["preview"],
                "first_user_ordinal": heir["first_user_ordinal"],
                "revision": revision,
            }
            for heir in ready or heirs[:1]  # a circle, which only damage makes, has no first
        ]
        changed += tx.run_many(_SQL["inherit"], changes)
    return changed


def rename(tx: Write, homes: Sequence[int], thread_id: bytes, name: str | None) -> bool:
    """Call the thread ``name``; None or blank takes the name away. False when there is no such thread."""
    return _say(tx, "set_name_said", homes, thread_id, name=(name or "").strip()) is not None


def set_archived(tx: Write, homes: Sequence[int], thread_id: bytes, archived: bool) -> bool | None:
    """Archive the thread, or take it back. False when it already was; None when there is no such thread."""
    changed = _say(tx, "set_archived_said", homes, thread_id, archived=int(archived), now_ms=tx.now_ms)
    return None if changed is None else changed == 1


def set_git(tx: Write, homes: Sequence[int], thread_id: bytes, fields: Mapping[str, str | None]) -> bool:
    """Say where the work of a thread stands in git. False when there is no such thread.

    ``fields`` holds those of ``sha``, ``branch`` and ``origin_url`` that are to change; None takes one away.
    """
    put = {f"put_{name}": int(name in fields) for name in ("sha", "branch", "origin_url")}
    said = {name: fields.get(name) or "" for name in ("sha", "branch", "origin_url")}
    return _say(tx, "set_git_said", homes, thread_id, **put, **said) is not None


def set_memory_mode(tx: Write, homes: Sequence[int], thread_id: bytes, mode: str) -> bool:
    """Say whether a thread may be remembered: a ``MemoryMode``. False when there is no such thread."""
    return _say(tx, "set_memory_mode_said", homes, thread_id, mode=mode) is not None


def unsay(tx: Write, homes: Sequence[int], thread_id: bytes, what: str) -> bool:
    """Take back what was said of a thread, as its files say it now: ``what`` of ``UNSAY``. True: it was said."""
    statement = UNSAY[what]
    return bool(_say(tx, statement, homes, thread_id))


def _say(tx: Write, statement: str, homes: Sequence[int], thread_id: bytes, **said: object) -> int | None:
    row = tx.row(_SQL["get_n"], homes=json.dumps(homes), thread_id=thread_id)
    if row is None:
        return None
    return tx.run(_SQL[statement], n=row["n"], revision=next_revision(tx), **said)


def mark_missing(tx: Write, file_ids: Sequence[int]) -> list[bytes]:
    """Note which threads lost their file, of those whose file was one of these; return their ids.

    Rows stay: what was said of them may still be wanted.
    """
    gone = tx.rows(_SQL["orphans_of_files"], file_ids=json.dumps(file_ids))
    if gone:
        revision = next_revision(tx)
        tx.run_many(_SQL["mark_missing"], [{"n": row["n"], "now_ms": tx.now_ms, "revision": revision} for row in gone])
    return [row["thread_id"] for row in gone]


def set_names(tx: Write, home_id: int, names: Mapping[bytes, str], revision: int) -> int:
    """Make the threads of a home carry the names its names file gives; return how many changed."""
    changes = [
        {"n": row["n"], "name": names.get(row["thread_id"]), "revision": revision}
        for row in tx.rows(_SQL["names"], home_id=home_id, ids=json.dumps([id16.hex() for id16 in names]))
        if row["name_file"] != names.get(row["thread_id"])
    ]
    return tx.run_many(_SQL["set_name_file"], changes)


def count(tx: Read, home_id: int) -> int:
    """Return how many threads a home has. Scans an index: 50,000 take 1 ms."""
    row = tx.row(_SQL["count_home"], home_id=home_id)
    assert row is not None  # an aggregate always has one row
    return int(row["threads"])


def counts(tx: Read, home_id: int) -> Mapping[str, int]:
    """Return how many ``threads`` a home has, how many are ``archived`` and ``missing``. 20 ms for a million."""
    row = tx.row(_SQL["count_threads"], home_id=home_id)
    assert row is not None  # an aggregate always has one row
    return row


def restore_said(tx: Write, rows: Sequence[Mapping[str, object]]) -> int:
    """Say again what ``SAID`` once gave (``home_id`` for home), where nothing was said since; return of how many.

    Of a thread without a row it waits until there is one (``say_what_waits``); those are not counted.
    """
    revision = next_revision(tx)
    tx.run_many(_SQL["wait_said"], rows)
    return tx.run_many(_SQL["restore_said"], [{**row, "revision": revision} for row in rows])


def say_what_waits(tx: Write, home_id: int, revision: int) -> int:
    """Say what was said of threads before they had a row, now that they have one; return of how many."""
    rows = tx.rows(_SQL["waiting"], home_id=home_id)
    if rows:
        tx.run_many(_SQL["restore_said"], [{**row, "revision": revision} for row in rows])
        tx.run_many(_SQL["forget_waiting"], [{"home_id": home_id, "thread_id": row["thread_id"]} for row in rows])
    return len(rows)


def forget_said(tx: Write, rows: Sequence[Mapping[str, object]]) -> None:
    """Take back all that was said of these threads (rows of home_id, thread_id), so that it can be said anew."""
    tx.run_many(_SQL["forget_said"], rows)
    tx.run_many(_SQL["forget_waiting"], rows)
