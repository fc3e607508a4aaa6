"""A conversation as people read it: on a terminal in colour and wrapped, on a pipe the same words plain."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from holdfast.cli.render import out, safe, words

if TYPE_CHECKING:
    from holdfast.rollouts.transcript import Entry, Turn
    from holdfast.threads.model import Thread

_LINES = 8  # of what a tool answered, unless all of it was asked for
_LINE_CHARS = 400
_INDENT = "    "
_STYLES = {
    "title": "bold",
    "fact": "dim",
    "rule": "dim",
    "user": "bold green",
    "agent": "bold blue",
    "problem": "yellow",
}


@dataclass(frozen=True)
class Shown:
    """What is printed of a thread, from an index or from a lone file."""

    thread: Thread | None
    turns: Sequence[Turn]
    problems: Sequence[tuple[str, str]]


class Piece(NamedTuple):
    """One line of output without indentation (``body`` empty), or a heading and indented text under it."""

    kind: str
    head: str
    body: str = ""


def conversation_document(shown: Shown, *, turns: int | None) -> dict[str, Any]:
    """Return the conversation as plain values."""
    from holdfast.cli.render.threads import thread_document

    return {
        "thread": None if shown.thread is None else thread_document(shown.thread),
        "turns_total": len(shown.turns),
        "turns": msgspec.to_builtins(list(_last(shown.turns, turns))),
        "problems": [{"code": code, "detail": detail} for code, detail in shown.problems],
    }


def print_conversation(shown: Shown, *, turns: int | None, full: bool) -> None:
    """Print the conversation, its last ``turns`` only if a number is given."""
    if out.is_terminal():
        _print_rich(pieces(shown, turns=turns, full=full))
        return
    for piece in pieces(shown, turns=turns, full=full):
        if piece.head or not piece.body:
            out.line(piece.head)
        for text in piece.body.splitlines():
            out.line((_INDENT + text).rstrip())


def pieces(shown: Shown, *, turns: int | None, full: bool) -> Iterator[Piece]:
    """Yield what is to be printed, made safe, in order."""
    if shown.thread is not None:
        yield from _about(shown.thread)
    kept = _last(shown.turns, turns)
    skipped = len(shown.turns) - len(kept)
    if skipped:
        yield Piece("fact", "")
        yield Piece("fact", f"the last {len(kept)} of {words.count(len(shown.turns), 'turn')}; --all shows every one")
    for number, turn in enumerate(kept, start=skipped + 1):
        yield Piece("rule", "")
        yield Piece("rule", _rule(number, len(shown.turns), turn))
        for entry in turn.entries:
            yield from _entry(entry, full)
        if turn.error:
            yield Piece("problem", "error:", safe.block(turn.error))
    if not shown.turns:
        yield Piece("fact", "")
        why = "none could be read" if shown.problems else "nobody has said anything in this thread yet"
        yield Piece("fact", f"no turns: {why}")
    for code, detail in shown.problems:
        yield Piece("problem", safe.line(f"not shown: {code} {detail}"))


def _about(thread: Thread) -> Iterator[Piece]:
    yield Piece("title", safe.line(thread.label))
    facts = (
        ("id", thread.id),
        ("title", thread.title if thread.name else None),
        ("cwd", thread.cwd and words.tilde(thread.cwd)),
        ("git", " ".join(text for text in (thread.git_branch, (thread.git_sha or "")[:12]) if text)),
        (
            "model",
            " ".join(text for text in (thread.model, thread.model_provider and f"({thread.model_provider})") if text),
        ),
        ("from", f"{thread.source_kind} {thread.cli_version or ''}"),
        ("agent", thread.agent_nickname),
        ("parent", thread.parent_thread_id),
        ("begun", words.local(thread.created_at_ms)),
        ("last", words.local(thread.updated_at_ms)),
        ("tokens", f"{thread.tokens_used:,}" if thread.tokens_used else None),
        ("state", _state(thread)),
        ("file", words.tilde(thread.rollout_path)),
    )
    for name, value in facts:
        if value:
            yield Piece("fact", f"{name:<8}{safe.line(value)}")


def _state(thread: Thread) -> str | None:
    if thread.missing_since_ms is not None:
        return f"its file is gone since {words.local(thread.missing_since_ms)}"
    return "archived" if thread.archived else None


def _rule(number: int, total: int, turn: Turn) -> str:
    parts = [f"turn {number} of {total}"]
    if turn.started_ms is not None:
        parts.append(words.local(turn.started_ms))
    took = f" in {words.duration(turn.duration_ms)}" if turn.duration_ms is not None else ""
    parts.append("no end was written" if turn.status == "open" else safe.line(turn.status) + took)
    return f"── {' · '.join(parts)} ──"


def _entry(entry: Entry, full: bool) -> Iterator[Piece]:
    from holdfast.rollouts import transcript

    match entry:
        case transcript.Words():
            who = "you" if entry.role == "user" else "agent"
            yield Piece(entry.role, f"{who}:", safe.block(entry.text) + _attached(entry.images, entry.audio))
        case transcript.Thought():
            yield Piece("thought", "thought:", _cut(safe.block(entry.text), full))
        case transcript.Tool():
            yield Piece("tool", _call(entry.name, entry.arguments, full), _cut(safe.block(entry.output or ""), full))
        case transcript.Summary():
            yield Piece("thought", "what came before, summed up:", _cut(safe.block(entry.text), full))


def _attached(images: int, audio: int) -> str:
    parts = [words.count(number, one) for number, one in ((images, "image"), (audio, "recording")) if number]
    return f"\n[{' and '.join(parts)}]" if parts else ""


def _call(name: str, arguments: str, full: bool) -> str:
    called = safe.line(_readable(arguments))
    if not full and len(called) > _LINE_CHARS:
        called = called[:_LINE_CHARS] + "…"
    return f"{safe.line(name) or 'answer'}: {called}" if called else f"{safe.line(name) or 'answer'}:"


def _readable(arguments: str) -> str:
    """Return the arguments of a call with their letters as letters: JSON may spell them ``\\u00e9``."""
    if "\\u" not in arguments:
        return arguments
    try:
        return json.dumps(json.loads(arguments), ensure_ascii=False)
    except (ValueError, RecursionError):
        return arguments


def _cut(text: str, full: bool) -> str:
    lines = text.strip("\n").splitlines()
    if full:
        return "\n".join(lines)
    kept = [one if len(one) <= _LINE_CHARS else one[:_LINE_CHARS] + "…" for one in lines[:_LINES]]
    more = len(lines) - len(kept)
    if more > 0:
        kept.append(f"(… {words.count(more, 'more line')}; --full shows them)")
    return "\n".join(kept)


def _last(turns: Sequence[Turn], number: int | None) -> Sequence[Turn]:
    return turns if number is None else turns[-number:]


def _print_rich(pieces: Iterator[Piece]) -> None:
    from rich.padding import Padding
    from rich.text import Text

    console = out.console()
    for piece in pieces:
        dim = "dim" if piece.kind in ("thought", "tool", "fact") else ""
        if piece.head or not piece.body:
            style = _STYLES.get(piece.kind, "cyan" if piece.kind == "tool" else dim)
            console.print(Text(piece.head, style=style), soft_wrap=True)
        if piece.body:
            console.print(Padding(Text(piece.body, style=dim), (0, 0, 0, len(_INDENT))))
