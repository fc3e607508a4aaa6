"""One task of Hermes, with the rows that belong to it, as a card. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from holdfast.board.exchange.model import Card, CardComment, CardEvent, CardFile, CardParent, CardRequest, CardRun
from holdfast.board.hermes import rules
from holdfast.board.hermes.values import KEPT, Odd, Value, clean, plain
from holdfast.findings import Finding

Row = Mapping[str, Value]


class Belongings(NamedTuple):
    """The rows of one task, by table."""

    comments: Sequence[Row] = ()
    runs: Sequence[Row] = ()
    events: Sequence[Row] = ()
    attachments: Sequence[Row] = ()
    subscriptions: Sequence[Row] = ()


class Made(NamedTuple):
    """A card, and what was odd about it."""

    card: Card
    findings: list[Finding]


def card(board: str, key: str, row: Row, belongings: Belongings, parents: Iterable[CardParent], has_key: bool) -> Made:
    """Return the task ``row`` as a card called ``key``. ``has_key``: its idempotency key is its own."""
    odd = Odd(f"{board}/{key}")
    created_ms = odd.time(row, "created_at") or 0
    events = [_event(odd, each, created_ms) for each in belongings.events]
    if len(events) > rules.EVENTS_KEPT:
        odd.say(
            "events-beyond-bound",
            f"{len(events)} events",
            f"the last {rules.EVENTS_KEPT} of a task are kept",
            f"The first {len(events) - rules.EVENTS_KEPT} were left out.",
        )
    runs = _runs(odd, belongings.runs, created_ms)
    hermes = _extras(odd, row, rules.TASK_COLUMNS)
    if belongings.subscriptions:
        hermes["notify"] = [_whole_row(each) for each in belongings.subscriptions]
    if belongings.attachments:
        hermes["attachments"] = [_whole_row(each) for each in belongings.attachments]
    title = odd.text(row, "title")
    if not title.strip():
        odd.say("no-title", "it has no title", "a title", "It is called `(no title)`.")
        title = "(no title)"
    kind = odd.text(row, "workspace_kind") or "scratch"
    path = odd.text(row, "workspace_path") or None
    if kind not in rules.WORKSPACES:
        odd.kept["workspace_kind"] = kind
        odd.say("workspace-unknown", f"workspace_kind is {kind!r}", ", ".join(rules.WORKSPACES), KEPT)
    if kind not in ("dir", "worktree") and path:
        hermes["workspace_path"] = path  # its own scratch folder: not one of ours
        path = None
    started_ms, ended_ms = odd.time(row, "started_at"), odd.time(row, "completed_at")
    moments = [created_ms, *filter(None, (started_ms, ended_ms)), *(each.at_ms for each in events)]
    max_retries = odd.maybe_number(row, "max_retries")
    seconds_max = odd.maybe_number(row, "max_runtime_seconds")
    made = Card(
        id=key,
        alias=key,
        title=title,
        body=odd.text(row, "body"),
        status="triage",
        priority=odd.number(row, "priority"),
        assignee=odd.text(row, "assignee"),
        tenant=odd.text(row, "tenant"),
        created_by=odd.text(row, "created_by"),
        created_ms=created_ms,
        changed_ms=max(moments),
        ready_ms=_last(events, ("ready", "moved", "unblocked", "created")) or created_ms,
        started_ms=started_ms,
        block_recurrences=max(odd.number(row, "block_recurrences"), 0),
        failures=max(odd.number(row, "consecutive_failures"), 0),
        failures_max=3 if max_retries is None else max(max_retries, 1),
        failure=odd.text(row, "last_failure_error") or None,
        summary=next((run.summary for run in reversed(runs) if run.outcome == "completed" and run.summary), None),
        result=odd.text(row, "result") or None,
        workspace_kind=rules.WORKSPACES.get(kind, "scratch"),
        workspace=path,
        branch=odd.text(row, "branch_name") or None,
        time_max_ms=seconds_max * 1000 if seconds_max and 0 < seconds_max < 1 << 40 else None,
        attempts=len(runs),
        parents=list(parents),
        runs=runs,
        comments=[_comment(odd, each, created_ms) for each in belongings.comments],
        events=events[-rules.EVENTS_KEPT :],
        attachments=[file(odd, each, created_ms) for each in belongings.attachments],
    )
    _place(odd, row, made, hermes, belongings.events, ended_ms)
    _key(odd, row, made, hermes, has_key)
    if odd.kept:
        hermes["odd"] = odd.kept
    if hermes:
        made.metadata = {"hermes": hermes}
    return Made(made, odd.findings)


def _place(odd: Odd, row: Row, made: Card, hermes: dict[str, Any], events: Sequence[Row], ended_ms: int | None) -> None:
    """Set where the task is, and what goes with that."""
    status = odd.text(row, "status")
    made.status = rules.STATUSES.get(status, "triage")
    if status not in rules.STATUSES:
        hermes["status"] = status
        odd.say("status-unknown", f"status is {status!r}", ", ".join(rules.STATUSES), f"It is in triage. {KEPT}")
    _block(odd, row, made, events)
    if status == "running":
        made.claim = {
            name: plain(row.get(name))
            for name in ("claim_lock", "claim_expires", "worker_pid", "last_heartbeat_at")
            if row.get(name) is not None
        }
        odd.say(
            "was-running",
            f"claimed by {row.get('claim_lock')!r}, pid {row.get('worker_pid')!r}",
            "no claim comes along",
            "It is ready to be claimed here. End its worker there, or both do it.",
        )
    elif status == "review":
        made.stage = "review"
    elif status == "scheduled":
        made.due_ms = odd.time(row, "scheduled_at") or 0
        if not made.due_ms:
            made.status, made.block_kind = "blocked", "needs_input"
            made.block_reason = _reason(events, "scheduled") or "scheduled in Hermes, without a time"
            odd.say("no-time", "scheduled without a time", "a time", "It is blocked: `unblock` or `schedule` it.")
    elif status in ("done", "archived"):
        over = ended_ms or _last(made.events, ("done",))
        if status == "archived":
            made.archived_from = "done" if over else "todo"
        if status == "done" or over:
            made.ended_ms = over or made.changed_ms
    if made.status == "blocked" and made.block_kind is None:
        made.block_kind = "failures" if _gave_up(events) else "needs_input"


def _block(odd: Odd, row: Row, made: Card, events: Sequence[Row]) -> None:
    kind = odd.text(row, "block_kind")
    made.block_kind = rules.BLOCK_KINDS.get(kind)
    if kind and made.block_kind is None:
        odd.kept["block_kind"] = kind
        odd.say("block-unknown", f"block_kind is {kind!r}", ", ".join(rules.BLOCK_KINDS), KEPT)
    made.block_reason = _reason(events, "gave_up" if _gave_up(events) else "blocked")
    if made.status == "blocked" and _gave_up(events):
        made.block_kind = "failures"
    if made.status == "blocked" and made.block_kind == "dependency":
        made.block_kind = "needs_input"  # there a person ends it; here it would end by itself


def _key(odd: Odd, row: Row, made: Card, hermes: dict[str, Any], has_key: bool) -> None:
    key = odd.text(row, "idempotency_key")
    if key and has_key:
        made.requests = [CardRequest(request=key, scope="any")]
    elif key:
        hermes["idempotency_key"] = key
        if made.status != "archived":  # there an archived task gives its key back
            odd.say("key-twice", f"the idempotency key {key!r} is of a newer task, too", "one task a key", KEPT)


def _runs(odd: Odd, rows: Sequence[Row], created_ms: int) -> list[CardRun]:
    made = []
    for row in rows:
        number = odd.maybe_number(row, "id")
        word = odd.text(row, "outcome") or odd.text(row, "status")
        kept = _extras(odd, row, rules.RUN_COLUMNS)
        outcome = rules.OUTCOMES.get(word, "reclaimed")
        if word not in rules.OUTCOMES:
            kept["outcome"] = word
            if word != "running":
                odd.say("outcome-unknown", f"run {number} ended {word!r}", ", ".join(rules.OUTCOMES), "It is kept.")
        metadata = odd.json(row, "metadata")
        if kept:
            whole = metadata if isinstance(metadata, dict) else {} if metadata is None else {"value": metadata}
            before = whole.get("hermes")
            metadata = {**whole, "hermes": {**(before if isinstance(before, dict) else {}), **kept}}
        started_ms = odd.time(row, "started_at") or created_ms
        made.append(
            CardRun(
                id=number or 0,
                attempt=0,
                assignee=odd.text(row, "profile"),
                started_ms=started_ms,
                ended_ms=odd.time(row, "ended_at") or started_ms,
                outcome=outcome,
                summary=odd.text(row, "summary") or None,
                metadata=metadata,
                failure=odd.text(row, "error") or None,
            )
        )
    made.sort(key=lambda run: run.started_ms)  # those of one second stay in the order of the table
    for attempt, run in enumerate(made, 1):
        run.attempt = attempt
    return made


def _comment(odd: Odd, row: Row, created_ms: int) -> CardComment:
    return CardComment(
        id=odd.number(row, "id"),
        author=odd.text(row, "author"),
        body=odd.text(row, "body"),
        created_ms=odd.time(row, "created_at") or created_ms,
    )


def _event(odd: Odd, row: Row, created_ms: int) -> CardEvent:
    return CardEvent(
        id=odd.number(row, "id"),
        kind=rules.event_kind(odd.text(row, "kind")),
        at_ms=odd.time(row, "created_at") or created_ms,
        run=odd.maybe_number(row, "run_id"),
        payload=odd.json(row, "payload"),
    )


def file(odd: Odd, row: Row, created_ms: int) -> CardFile:
    """Return the row of an attachment; ``sha256`` is not known there."""
    return CardFile(
        id=odd.number(row, "id"),
        name=odd.text(row, "filename").rsplit("/", 1)[-1] or "file",
        media_type=odd.text(row, "content_type"),
        size_bytes=max(odd.number(row, "size"), 0),
        added_by=odd.text(row, "uploaded_by"),
        created_ms=odd.time(row, "created_at") or created_ms,
    )


def _extras(odd: Odd, row: Row, known: frozenset[str]) -> dict[str, Any]:
    """Return what has no place of its own, without what is empty."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        if name not in known and name != "rowid" and value not in (None, "", 0, "[]"):
            found[name] = odd.json(row, name) if name == "skills" else plain(value)
    return found


def _whole_row(row: Row) -> dict[str, Any]:
    return {name: plain(value) for name, value in row.items() if name not in ("rowid", "task_id")}


def _last(events: Sequence[CardEvent], kinds: tuple[str, ...]) -> int | None:
    return next((each.at_ms for each in reversed(events) if each.kind in kinds), None)


def _gave_up(events: Sequence[Row]) -> bool:
    return next((row["kind"] == "gave_up" for row in reversed(events) if row.get("kind") in _BLOCKS), False)


def _reason(events: Sequence[Row], kind: str) -> str | None:
    """Return what the payload of the last such event says."""
    for row in reversed(events):
        if row.get("kind") == kind:
            try:
                payload = msgspec.json.decode(row["payload"] or "null")  # type: ignore[arg-type]
            except (msgspec.DecodeError, UnicodeError, TypeError, RecursionError):
                return None
            if isinstance(payload, dict):
                found = payload.get("reason") or payload.get("error")
                return str(clean(found)) if isinstance(found, str) else None
            return None
    return None


_BLOCKS = ("blocked", "unblocked", "gave_up", "completed")
