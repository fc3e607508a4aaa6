"""The step ``(facts, item) -> facts`` from which everything known of a thread comes. Pure.

The same step serves the first index, a live file, repair and rebuild, so they
cannot disagree.
"""

from __future__ import annotations

import msgspec

from holdfast import ids
from holdfast.rollouts import items
from holdfast.rollouts.facts import (
    KINDS_UNKNOWN_MAX,
    PREVIEW_CHARS_MAX,
    TITLE_CHARS_MAX,
    ThreadFacts,
    cut,
)
from holdfast.rollouts.items import Item

_REQUEST = "## My request for Codex:"


def fold(facts: ThreadFacts, item: Item, *, at: int = 0) -> ThreadFacts:
    """Return ``facts`` with what ``item`` adds; the value passed in stays as it was.

    ``at`` is the offset of the line, kept for the first one that could not be read.
    """
    facts = msgspec.structs.replace(facts, kinds_unknown=list(facts.kinds_unknown))
    apply(facts, item, at=at)
    return facts


def apply(facts: ThreadFacts, item: Item, *, at: int = 0) -> None:
    """Do what ``fold`` does to ``facts`` itself: for a caller that owns it and folds many items."""
    change(facts, item, at=at)
    if not isinstance(item, items.Unread):
        count(
            facts,
            lines=1,
            before_meta=int(facts.thread_id is None),
            timestamp_ms=item.timestamp_ms,
            ordinal=item.ordinal,
        )


def count(facts: ThreadFacts, *, lines: int, before_meta: int, timestamp_ms: int | None, ordinal: int | None) -> None:
    """Count ``lines`` lines that were read, the last of which said this time and number."""
    facts.lines += lines
    facts.lines_before_meta += before_meta
    if timestamp_ms is not None:
        facts.updated_ms = timestamp_ms
    if ordinal is not None:
        facts.last_ordinal = ordinal


def change(facts: ThreadFacts, item: Item, *, at: int = 0) -> None:
    """Do what ``apply`` does, but for the counting of lines read."""
    if item.repaired and not isinstance(item, items.Unread):
        facts.lines_repaired += 1
        if facts.repaired_at is None:
            facts.repaired_at = at
    match item:
        case items.SessionMeta():
            _session_meta(facts, item)
        case items.TurnContext():
            facts.cwd = facts.cwd or item.cwd or ""
            _settings(facts, item)
        case items.SettingsApplied():
            facts.cwd = item.cwd or facts.cwd
            facts.model_provider = item.model_provider or facts.model_provider
            _settings(facts, item)
        case items.UserMessage():
            _user_message(facts, item)
        case items.GoalUpdated():
            _preview(facts, item.objective.strip(), item.ordinal)
        case items.TokenCount():
            facts.tokens_used = item.total
        case items.TurnStarted():
            facts.turns += 1
            facts.recency_ms = item.timestamp_ms or item.started_ms or facts.recency_ms
        case items.NameUpdated():
            facts.name = cut(item.name, TITLE_CHARS_MAX) or facts.name
        case items.Other(known=False):
            if item.kind not in facts.kinds_unknown and len(facts.kinds_unknown) < KINDS_UNKNOWN_MAX:
                facts.kinds_unknown.append(item.kind)
        case items.Unread():
            facts.lines_unread += 1
            if facts.unread_at is None or at < facts.unread_at:
                facts.unread_at, facts.unread_why = at, item.reason
        case _:
            pass


def inherit(child: ThreadFacts, parent: ThreadFacts) -> ThreadFacts:
    """Return ``child`` with what it has from the thread whose first lines are its own.

    That is the preview: a fork is listed by the words its thread began with.
    Its title and first message stay its own (so does Codex keep them). Without
    effect when the parent's first words lie behind the point of the fork.
    Fold the parent's own inheritance first.
    """
    if (
        child.base_thread_id is None
        or child.base_thread_id != parent.thread_id
        or not parent.preview
        or parent.first_user_ordinal is None
        or child.base_end_ordinal is None
        or parent.first_user_ordinal >= child.base_end_ordinal
    ):
        return child
    return msgspec.structs.replace(child, preview=parent.preview, first_user_ordinal=parent.first_user_ordinal)


def without_prefix(message: str) -> str:
    """Return the person's own words, without what the editor put in front and the white space around.

    An editor's prefix is a block that begins with a heading and ends at the
    line ``## My request for Codex:``. The same words anywhere else are the
    person's (a quoted transcript, say) and stay.
    """
    message = message.strip()
    if message.startswith(_REQUEST):
        return message[len(_REQUEST) :].strip()
    if message.startswith("#"):
        _, marker, rest = message.partition(f"\n{_REQUEST}")
        if marker:
            return rest.strip()
    return message


def _session_meta(facts: ThreadFacts, meta: items.SessionMeta) -> None:
    if facts.tools is None:
        facts.tools = meta.tools  # a fork works on with the tools of its origin
    if facts.thread_id is None:
        facts.thread_id = meta.id
        facts.session_id = meta.session_id
        facts.forked_from_id = meta.forked_from_id
        facts.parent_thread_id = meta.parent_thread_id
        facts.base_thread_id = meta.base_thread_id
        facts.base_end_ordinal = meta.base_end_ordinal
        facts.own_start_ordinal = meta.own_start_ordinal
        facts.history_mode = meta.history_mode
        facts.created_ms = meta.created_ms or ids.created_ms(meta.id) or facts.created_ms
        if not facts.turns:
            facts.recency_ms = facts.created_ms
    elif meta.id != facts.thread_id:
        facts.metas_other += 1  # a fork brings its origin's along; it says nothing of this thread
        return
    facts.metas += 1
    facts.source, facts.source_kind = meta.source, meta.source_kind
    facts.thread_source = meta.thread_source
    facts.agent_nickname, facts.agent_role, facts.agent_path = (
        meta.agent_nickname,
        meta.agent_role,
        meta.agent_path,
    )
    facts.originator = meta.originator or facts.originator
    facts.model_provider = meta.model_provider or facts.model_provider
    facts.cli_version = meta.cli_version or facts.cli_version
    facts.cwd = meta.cwd or facts.cwd
    facts.memory_mode = meta.memory_mode or facts.memory_mode
    if meta.git is not None:
        facts.git_sha, facts.git_branch, facts.git_origin_url = (
            meta.git.sha,
            meta.git.branch,
            meta.git.origin_url,
        )


def _settings(facts: ThreadFacts, item: items.TurnContext | items.SettingsApplied) -> None:
    facts.model = item.model or facts.model
    facts.reasoning_effort = item.effort
    facts.sandbox_policy = item.sandbox_policy or facts.sandbox_policy
    facts.approval_mode = item.approval_mode or facts.approval_mode


def _user_message(facts: ThreadFacts, item: items.UserMessage) -> None:
    if facts.own_start_ordinal is not None and item.ordinal is not None and item.ordinal < facts.own_start_ordinal:
        return
    if facts.title and facts.first_user_message:
        return  # the first words are known, and a preview with them
    words = without_prefix(item.text)
    shown = words or ("[Image]" if item.images else "[Audio]" if item.audio else "")
    facts.title = facts.title or cut(words, TITLE_CHARS_MAX)
    if shown and not facts.first_user_message:
        facts.first_user_message = cut(shown, PREVIEW_CHARS_MAX)
    _preview(facts, shown, item.ordinal)


def _preview(facts: ThreadFacts, words: str, ordinal: int | None) -> None:
    if words and not facts.preview:
        facts.preview = cut(words, PREVIEW_CHARS_MAX)
        facts.first_user_ordinal = ordinal
