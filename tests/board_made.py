"""Boards with everything in them, made by our own functions, and boards as they can be compared: by title."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgspec

from holdfast import board, holds
from holdfast.board import attaching, gates, saying
from holdfast.board.exchange import reading
from holdfast.errors import HoldfastError, Refused

WORDS = ("héllo", "# a heading", "```", "> quoted", "a | b", "[x](y)", "line\nbreak", "日本", "'\"\\", "  ", "𝔘")


def fill(engine: Any, slug: str, seed: int, *, steps: int = 120, clock: Any = None) -> None:
    """Do what people and workers do to a board, as ``seed`` says. Whatever is refused is refused."""
    draw = random.Random(seed)
    made: list[int] = []
    claims: dict[int, int] = {}

    def text() -> str:
        return " ".join(draw.choices(WORDS, k=draw.randint(1, 4))).strip() or "x"

    def create(tx: Any) -> None:
        parents = [(each, draw.choice(("none", "done", "passed", "failed", "ended"))) for each in
                   draw.sample(made, min(len(made), draw.choice((0, 0, 1, 2))))]  # fmt: skip
        task = board.create(
            tx,
            f"task {seed} {len(made)}",
            board=slug,
            body=text(),
            parents=parents,
            assignee=draw.choice(("", "ann", "bob")),
            tenant=draw.choice(("", "acme")),
            priority=draw.randint(-3, 3),
            status=draw.choice((None, None, None, "triage", "blocked")),
            due_ms=draw.choice((None, None, tx.now_ms + 1_000_000)),
            request=draw.choice((None, f"key {seed} {len(made)}")),
            request_scope=draw.choice(("any", "open")),
            alias=draw.choice((None, f"a_{seed}_{len(made)}")),
            metadata=draw.choice((None, {"a": [1, None, "ü"]})),
            workspace=draw.choice(("scratch", "worktree", "directory:/somewhere")),
            branch=draw.choice((None, "feat/x")),
            time_max_ms=draw.choice((None, 1000)),
            created_by="ann",
        ).task
        made.append(task.task_id)

    def claim(tx: Any) -> None:
        found = board.claim_next(tx, slug, holds.me(), lease_ms=60_000_000)
        if isinstance(found, board.Claimed):
            claims[found.task.task_id] = found.fence

    def end(tx: Any) -> None:
        task_id, fence = claims.popitem()
        verdict, kind = draw.choice((None, "fail", "ok")), draw.choice(("needs_input", "children", "dependency"))
        draw.choice((
            lambda: board.done(tx, task_id, fence=fence, summary=text(), result={"n": 1}, verdict=verdict),
            lambda: board.review(tx, task_id, fence=fence, summary=text()),
            lambda: board.fail(tx, task_id, fence=fence, error=text(), exit_code=3),
            lambda: board.release(tx, task_id, fence=fence),
            lambda: board.block(tx, task_id, text(), kind=kind, fence=fence),
        ))()  # fmt: skip

    def some() -> int:
        return draw.choice(made)

    doings: list[Callable[[Any], Any]] = [
        create,
        create,
        claim,
        claim,
        end,
        lambda tx: board.done(tx, some(), summary=text()),
        lambda tx: board.cancel(tx, some(), text()),
        lambda tx: board.archive(tx, some()),
        lambda tx: board.reopen(tx, some()),
        lambda tx: board.unblock(tx, some(), text()),
        lambda tx: board.link(tx, some(), some(), draw.choice(("done", "passed"))),
        lambda tx: saying.comment(tx, some(), text(), author=draw.choice(("ann", ""))),
        lambda tx: attaching.attach(tx, some(), f"{draw.randint(0, 9)}.bin", draw.randbytes(draw.choice((0, 1, 5000)))),
        lambda tx: attaching.detach(tx, draw.randint(1, 9)),
    ]
    with engine.write() as tx:
        create(tx)
    for _ in range(steps):
        doing = draw.choice(doings)
        if clock is not None:
            clock.advance(draw.randint(0, 2000))
        try:
            if doing is not end or claims:
                with engine.write() as tx:
                    doing(tx)
        except Refused:
            pass  # what the rules forbid just now


def cards(engine: Any, slug: str) -> list[Any]:
    with engine.read() as tx:
        return [card for page in reading.pages(tx, reading.there(tx, slug)) for card in page]


def as_seen(engine: Any, slug: str, *, after_import: bool = False) -> dict[str, Any]:
    """Return the tasks of a board by title, without what a database gives itself; a claim does not come along.

    ``after_import``: as they are to be once they were imported elsewhere.
    """
    found = cards(engine, slug)
    titles = {card.id: card.title for card in found}
    with engine.read() as tx:
        tasks = {card.id: board.get(tx, card.id) for card in found}
    return {card.title: _as_seen(card, titles, tasks[card.id] if after_import else None) for card in found}


def counts(engine: Any, slug: str) -> dict[str, tuple[int, ...]]:
    """Return what each task counts of its neighbours."""
    with engine.read() as tx:
        tasks = [board.get(tx, card.id) for card in cards(engine, slug)]
    return {task.title: (task.gates_open, task.gates_vetoed, task.children_open, task.links) for task in tasks}


def bytes_of(engine: Any, slug: str) -> dict[tuple[str, str, str], bytes]:
    """Return every file's bytes, by task, name and hash."""
    found = {}
    with engine.read() as tx:
        for card in cards(engine, slug):
            for about in card.attachments:
                data = b"".join(attaching.read_attachment(tx, about.id))
                found[card.title, about.name, about.sha256] = data
    return found


def _as_seen(card: Any, titles: dict[Any, str], to_be: board.Task | None) -> dict[str, Any]:
    plain = msgspec.to_builtins(card)
    attempts = {run.id: run.attempt for run in card.runs}
    for name in ("id", "origins", "claim", "attempts"):
        plain.pop(name, None)
    plain["parents"] = sorted((titles[parent.id], parent.gate) for parent in card.parents)
    for name in ("runs", "comments", "attachments"):
        for each in plain.get(name, ()):
            del each["id"]
    for each, event in zip(plain.get("events", ()), card.events, strict=True):
        del each["id"]
        each["run"] = attempts.get(event.run)
    if card.status == "running" and to_be is not None:
        plain["status"], kind = map(str, gates.place(to_be.stage, to_be.gates_open, to_be.gates_vetoed))
        plain["block_kind"] = kind if plain["status"] == "blocked" else plain.get("block_kind")
        plain["runs"][-1] |= {"outcome": "reclaimed", "ended_ms": "then"}
    elif to_be is None and plain.get("events") and plain["events"][-1]["kind"] == "imported":
        del plain["events"][-1]
        for run in plain.get("runs", ())[-1:]:
            if run["outcome"] == "reclaimed":
                run["ended_ms"] = "then"
    if plain.get("block_kind") == "veto":
        plain["block_reason"] = None  # names the parent by its number
    return {name: value for name, value in plain.items() if value is not None}


__all__ = ["HoldfastError", "as_seen", "bytes_of", "cards", "counts", "fill"]
