"""Threads as a table for a person, as lines for a pipe, and as JSON."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.cli.render import out, safe, words

if TYPE_CHECKING:
    from rich.table import Table

    from holdfast.threads.model import Found, Home, Page, Thread

_PREFIX = 13  # xxxxxxxx-xxxx: the 48 bits of a UUIDv7's time; two threads of one millisecond are rare
_GAP = 2
_TITLE_MIN = 8
_CWD_FROM_COLUMNS = 60  # a narrower terminal leaves out the column,
_SOURCE_FROM_COLUMNS = 40  # and this one


def thread_document(thread: Thread) -> dict[str, Any]:
    """Return ``thread`` as plain values; its fields are the stable keys."""
    return dict(msgspec.to_builtins(thread))


def page_document(page: Page) -> dict[str, Any]:
    """Return a page of threads as plain values."""
    return {
        "threads": [thread_document(thread) for thread in page.threads],
        "next_cursor": page.next_cursor,
        "complete": page.complete,
        "source": page.source,
    }


def found_document(found: Found) -> dict[str, Any]:
    """Return where a rollout lies as plain values."""
    return dict(msgspec.to_builtins(found))


def print_threads(threads: Sequence[Thread], *, sort: str = "updated") -> None:
    """Print threads: a table that fits a terminal, or a line each with fields between tabs."""
    if not threads:
        return
    if out.is_terminal():
        console = out.console()
        console.print(_table(threads, sort, console.width, time.time_ns() // 1_000_000))
        return
    for thread in threads:
        time_of = words.utc(_ms(thread, sort))
        out.fields(thread.id, time_of, thread.source_kind, state_of(thread), thread.cwd or "", thread.label)


def note_after(page: Page, homes: Sequence[Home], *, looked: bool) -> None:
    """Say on stderr what a reader of the page should know; ``looked``: the files were looked at just now."""
    if not page.threads:
        out.note("No thread matches." if any(home.indexed_ms for home in homes) else "There are no threads here yet.")
    if not page.complete:
        out.note("The home is still being indexed: more threads may come.")
    elif out.is_terminal() and not looked:
        out.note("Only the newest files were looked at; --refresh looks at all of them first.")


def state_of(thread: Thread) -> str:
    """Return ``missing`` when the thread's file is gone, else ``archived`` or ``active``."""
    if thread.missing_since_ms is not None:
        return "missing"
    return "archived" if thread.archived else "active"


def short_ids(threads: Sequence[Thread]) -> list[str]:
    """Return a beginning of each id that no other of these threads shares."""
    length = _PREFIX
    while length < 36 and len({thread.id[:length] for thread in threads}) < len({thread.id for thread in threads}):
        length += 1
    return [thread.id[:length] for thread in threads]


def _ms(thread: Thread, sort: str) -> int:
    return {"created": thread.created_at_ms, "recency": thread.recency_at_ms}.get(sort, thread.updated_at_ms)


def _table(threads: Sequence[Thread], sort: str, width: int, now_ms: int) -> Table:
    """Return a table of exactly ``width`` columns: the title gets what the others leave."""
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    columns = {
        "ID": short_ids(threads),
        "AGE": [f"{words.age(_ms(thread, sort), now_ms):>3}" for thread in threads],
    }
    if width >= _SOURCE_FROM_COLUMNS:
        columns["SOURCE"] = [safe.line(thread.source_kind) for thread in threads]
    if width >= _CWD_FROM_COLUMNS:
        columns["CWD"] = [words.tail(safe.line(thread.cwd or ""), width // 4) for thread in threads]
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
    left = width
    for name, texts in columns.items():
        taken = max(map(cell_len, [name, *texts]))
        left -= taken + _GAP
        table.add_column(name, no_wrap=True, width=taken, style="cyan" if name == "ID" else "")
    table.add_column("TITLE", no_wrap=True, overflow="ellipsis", width=max(left, _TITLE_MIN))
    for *cells, thread in zip(*columns.values(), threads, strict=True):
        table.add_row(*map(Text, cells), _label(thread))
    return table


def _label(thread: Thread) -> Any:
    from rich.text import Text

    label = Text(safe.line(thread.label), style="bold" if thread.name else "")
    state = state_of(thread)
    if state == "active":
        return label
    return Text.assemble((f"{state} ", "yellow"), label)
