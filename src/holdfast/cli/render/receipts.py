"""Changes in a home, and their receipts, for a person and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from holdfast.cli.render import out, safe, words

if TYPE_CHECKING:
    from holdfast.receipts import Receipt
    from holdfast.state.carrying import InHomeChange


def changes_document(changes: Sequence[InHomeChange]) -> dict[str, Any]:
    """Return changes just made, or planned, as plain values."""
    from holdfast.cli.render.threads import thread_document

    return {
        "threads": [thread_document(change.thread) for change in changes],
        "changes": [
            {
                "title": change.plan.title,
                "receipt": change.receipt,
                "steps": _steps(change),
                "left_out": [{"thread_id": id, "why": why} for id, why in change.left_out],
                "notes": list(change.notes),
            }
            for change in changes
        ],
    }


def print_change(change: InHomeChange, what: str, *, dry_run: bool) -> None:
    """Print what was done, or would be, and what undoes it."""
    steps = _steps(change)
    if dry_run:
        out.line(safe.line(f"Would {change.plan.title}:" if steps else f"{change.thread.id}: nothing to do"))
        for step in steps:
            out.line("  " + safe.line(step["what"]))
    else:
        out.line(safe.line(f"{change.thread.id} {what} {change.thread.label}"))
        if change.receipt:
            out.note(f"Undo: holdfast undo {change.receipt}")
    for thread_id, why in change.left_out:
        out.note(f"Left out: {thread_id}: {why}")
    for note in change.notes:
        out.note(note)


def summary_document(receipt: Receipt) -> dict[str, Any]:
    """Return a receipt in short as plain values."""
    return {
        "id": receipt.id,
        "written_ms": receipt.written_ms,
        "state": receipt.state,
        "title": receipt.title,
        "home": receipt.plan.folder,
        "thread_ids": list(receipt.plan.subjects),
        "path": receipt.at,
    }


def receipt_document(receipt: Receipt) -> dict[str, Any]:
    """Return a receipt with its steps, and how their files stand now, as plain values."""
    from holdfast.state.carrying import standings

    return summary_document(receipt) | {
        "steps": [
            {"what": step.what, "undo": step.undo, "done": step.done, "undone": step.undone, "files": str(files)}
            for step, files in zip(receipt.steps, standings(receipt), strict=True)
        ]
    }


def print_receipts(receipts: Sequence[Receipt]) -> None:
    """Print a line for each receipt."""
    for receipt in receipts:
        when = words.local(receipt.written_ms) if out.is_terminal() else words.utc(receipt.written_ms)
        if out.is_terminal():
            out.line(f"{receipt.id}  {when}  {receipt.state:10}  {safe.line(receipt.title)}")
        else:
            out.fields(receipt.id, when, receipt.state, receipt.title)


def print_receipt(receipt: Receipt) -> None:
    """Print the steps of a receipt."""
    from holdfast.state.carrying import standings

    out.line(f"{receipt.id}  {words.local(receipt.written_ms)}  {receipt.state}")
    out.line(safe.line(f"{receipt.title}, in {receipt.plan.folder}"))
    for number, (step, files) in enumerate(zip(receipt.steps, standings(receipt), strict=True), start=1):
        noted = "undone" if step.undone else "done" if step.done else "not noted as done"
        out.line(safe.line(f"{number}. {step.what}"))
        out.line(f"   {noted}; its files are {_FILES[files]}")
        out.line("   undo: " + safe.line(step.undo))


def print_undo(receipt: Receipt, *, dry_run: bool) -> None:
    """Print what was undone, or would be."""
    if not dry_run:
        out.line(safe.line(f"Undone: {receipt.title}"))
        return
    from holdfast.state.carrying import standings

    stand = list(zip(receipt.steps, standings(receipt), strict=True))
    changed = [step for step, files in stand if files == "changed" and not step.undone]
    if changed:
        out.line("Nothing would be undone: somebody changed the files of these steps since.")
    for step in changed:
        out.line("  " + safe.line(step.what))
    for step, files in reversed([] if changed else stand):
        if step.undone or files == "before":
            out.line(safe.line(f"Nothing to do for: {step.what}"))
        else:
            out.line(safe.line(f"Would {step.undo}"))


_FILES = {
    "before": "as they were before",
    "between": "in the middle of it",
    "after": "as it leaves them",
    "changed": "changed since, by somebody else",
}


def _steps(change: InHomeChange) -> list[dict[str, str]]:
    from holdfast.receipts.model import steps_of

    return [{"what": step.what, "undo": step.undo} for step in steps_of(change.plan)]
