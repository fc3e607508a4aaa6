"""What a search found: a title and a snippet each for a person, lines for a pipe, and JSON."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.cli.render import out, safe, words
from holdfast.cli.render.threads import short_ids

if TYPE_CHECKING:
    from rich.text import Text

    from holdfast.search.model import Hit, Hits


def hits_document(hits: Hits) -> dict[str, Any]:
    """Return the hits as plain values."""
    return dict(msgspec.to_builtins(hits))


def print_hits(hits: Hits) -> None:
    """Print the hits, with the words that matched set off on a terminal."""
    if not hits.hits:
        out.note("Nothing was found.")
    elif out.is_terminal():
        _print_rich(hits)
    else:
        for hit in hits.hits:
            out.fields(hit.thread.id, words.utc(_ms(hit)), hit.role, hit.thread.label, hit.snippet)


def _ms(hit: Hit) -> int:
    return hit.thread.updated_at_ms if hit.timestamp_ms is None else hit.timestamp_ms


def _print_rich(hits: Hits) -> None:
    from rich.padding import Padding
    from rich.text import Text

    console = out.console()
    now_ms = time.time_ns() // 1_000_000
    for hit, short in zip(hits.hits, short_ids([hit.thread for hit in hits.hits]), strict=True):
        age = words.age(_ms(hit), now_ms)
        head = Text.assemble((short, "cyan"), f"  {age:>3}  ", (safe.line(hit.thread.label), "bold"))
        console.print(head, no_wrap=True, overflow="ellipsis")
        console.print(Padding(Text.assemble((f"{hit.role}: ", "dim"), _snippet(hit), _more(hit)), (0, 0, 0, 2)))


def _more(hit: Hit) -> tuple[str, str]:
    more = hit.messages - 1
    return (f"  (and {words.count(more, 'more message')})" if more > 0 else "", "dim")


def _snippet(hit: Hit) -> Text:
    """Return the snippet with its matches set off. Made safe piece by piece, so that the places stay right."""
    from rich.text import Text

    text = Text()
    at = 0
    for begin, end in sorted(hit.matches):
        text.append(safe.block(hit.snippet[at:begin]))
        text.append(safe.block(hit.snippet[begin:end]), style="bold yellow")
        at = end
    text.append(safe.block(hit.snippet[at:]))
    return text
