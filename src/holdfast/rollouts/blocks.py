"""Folding a block of whole lines at once, without taking apart what cannot matter. Pure.

One glance per line reads its outside and the kind of its payload, and checks
that it is JSON; most lines need no more. Gives the same facts as folding
``parse(line)`` line by line, which is what a test compares it with.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from holdfast.rollouts import fold
from holdfast.rollouts.dialects import codex, codex_events
from holdfast.rollouts.dialects.loose import INT_MAX, Broken
from holdfast.rollouts.dialects.times import ms
from holdfast.rollouts.facts import ThreadFacts
from holdfast.rollouts.items import SessionMeta, SettingsApplied, TokenCount, TurnContext, TurnStarted, Unread


class _Payload(Struct, gc=False):
    type: str | None = None


class _Glance(Struct, gc=False):
    type: str
    payload: _Payload
    timestamp: str | None = None
    ordinal: int | None = None


_SETTINGS = (SessionMeta, SettingsApplied, TurnContext)  # each changes something that the others do, too
_glance = msgspec.json.Decoder(_Glance).decode


def fold_block(facts: ThreadFacts, block: bytes, begin: int = 0) -> None:
    """Fold every line of ``block``, which lies at ``begin`` of its file, into ``facts`` itself."""
    ascii_only = block.isascii()
    stamps: list[str | int | None] = []  # of the lines read; the last one that is a time counts
    ordinal: int | None = None
    before_meta = 0 if facts.thread_id is not None else -1
    later = _Later()
    at = begin
    for line in block.split(b"\n"):
        seen = None
        # At 0 stands the session_meta: it is wanted whole, no need to glance.
        if at and (ascii_only or line.isascii() or _is_utf8(line)):
            try:  # noqa: SIM105  # a context manager per line would cost as much as the glance
                seen = _glance(line)
            except Broken:
                pass  # `parse` says what is wrong with it
        if seen is not None and (seen.type in codex.PASSED_OVER or later.takes(seen, line, facts)):
            stamps.append(seen.timestamp)
            if seen.ordinal is not None and 0 <= seen.ordinal <= INT_MAX:
                ordinal = seen.ordinal
        elif line.strip():
            item = codex.parse(line)
            if isinstance(item, _SETTINGS):
                later.fold_contexts(facts)
            if isinstance(item, SessionMeta | TurnStarted):
                later.fold_turns(facts)
            if isinstance(item, TokenCount):
                later.tokens.clear()
            fold.change(facts, item, at=at)
            if not isinstance(item, Unread):
                if before_meta < 0 and facts.thread_id is not None:
                    before_meta = len(stamps)
                stamps.append(item.timestamp_ms)
                if item.ordinal is not None:
                    ordinal = item.ordinal
        at += len(line) + 1
    later.fold(facts)
    fold.count(
        facts,
        lines=len(stamps),
        before_meta=before_meta if before_meta >= 0 else len(stamps),
        timestamp_ms=_last_ms(stamps),
        ordinal=ordinal,
    )


class _Later:
    """Lines of which only the last matters, mostly: put off until something else has to be folded."""

    def __init__(self) -> None:
        self.tokens: list[bytes] = []
        self.contexts: list[bytes] = []
        self.turns: list[tuple[str | None, bytes]] = []

    def takes(self, seen: _Glance, line: bytes, facts: ThreadFacts) -> bool:
        """Return True for a line that can change nothing but the counts, or that is put off."""
        if seen.type == "turn_context":
            if not facts.cwd:
                return False
            self.contexts.append(line)
            return True
        if seen.type != "event_msg":
            return False
        what = seen.payload.type
        if what in codex_events.PASSED_OVER:
            return True
        if what in codex_events.WORDS:
            return bool(facts.title and facts.first_user_message)
        if what == "token_count":
            self.tokens.append(line)
        elif what in codex_events.TURN_STARTS:
            self.turns.append((seen.timestamp, line))
        else:
            return False
        return True

    def fold(self, facts: ThreadFacts) -> None:
        """Fold what was put off, as if it had been folded in its turn."""
        self.fold_turns(facts)
        self.fold_contexts(facts)
        for line in reversed(self.tokens):
            item = codex.parse(line)
            if isinstance(item, TokenCount):
                fold.change(facts, item)
                return  # each has the sum so far

    def fold_turns(self, facts: ThreadFacts) -> None:
        """Fold the starts of turns: the last one that has a time counts."""
        facts.turns += len(self.turns)
        for stamp, line in reversed(self.turns):
            began_ms = ms(stamp)
            if not began_ms:
                turn = codex.parse(line)
                began_ms = turn.started_ms if isinstance(turn, TurnStarted) else None
            if began_ms:
                facts.recency_ms = began_ms
                break
        self.turns.clear()

    def fold_contexts(self, facts: ThreadFacts) -> None:
        """Fold what turns ran with: the last one says everything that those before it could, mostly."""
        if not self.contexts:
            return
        last = codex.parse(self.contexts[-1])
        if isinstance(last, TurnContext) and last.model and last.sandbox_policy and last.approval_mode:
            fold.change(facts, last)
        else:
            for line in self.contexts:
                fold.change(facts, codex.parse(line))
        self.contexts.clear()


def _last_ms(stamps: list[str | int | None]) -> int | None:
    for stamp in reversed(stamps):
        found = ms(stamp) if isinstance(stamp, str) else stamp
        if found is not None:
            return found
    return None


def _is_utf8(data: bytes) -> bool:
    # The glance does not look at the bytes of texts it passes over.
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
