"""What a delete takes out of sight, as lines and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.cli.render import out, safe, words

if TYPE_CHECKING:
    from holdfast.threads.model import Deleted, DeletePreview, Doomed


def document(previews: Sequence[DeletePreview], deleted: Sequence[Deleted]) -> dict[str, Any]:
    """Return both as plain values."""
    return {"previews": msgspec.to_builtins(list(previews)), "deleted": msgspec.to_builtins(list(deleted))}


def summary(previews: Sequence[DeletePreview]) -> str:
    """Return what would go in one line, each thread named once."""
    ids = dict.fromkeys(each.id for preview in previews for each in preview.threads)
    return f"{words.count(len(ids), 'thread')}: {', '.join(ids)}"


def print_previews(previews: Sequence[DeletePreview], *, err: bool = False) -> None:
    """Print what would go, a line for each thread, children before who spawned them."""
    say = out.note if err else out.line
    for preview in previews:
        for each in preview.threads:
            say(safe.line(f"{each.id} {each.label}: {', '.join(_with(each))}"))
    if err:
        out.note("The files stay; `holdfast threads undelete` brings the threads back.")


def print_deleted(deleted: Sequence[Deleted]) -> None:
    """Print what went."""
    for each in deleted:
        also = len(each.thread_ids) - 1
        out.line(f"{each.thread_id} is deleted" + (f", and {words.count(also, 'thread')} it spawned" if also else ""))


def _with(each: Doomed) -> Iterator[str]:
    yield f"{words.size(each.bytes)} in {each.file}"
    if each.messages:
        yield f"{words.count(each.messages, 'message')} in the index of words"
    if each.tools:
        yield words.count(each.tools, "tool")
    if each.edges:
        yield f"{words.count(each.edges, 'edge')} said of it"
    yield from (f"held: {hold}" for hold in each.holds)
