"""A plan of the doctor, and what became of it, for a person and as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.cli.render import examined, safe, words
from holdfast.cli.render.paper import Paper

if TYPE_CHECKING:
    from holdfast.doctor.applying import Applied, Done
    from holdfast.doctor.model import Report
    from holdfast.doctor.repairs.repair import RepairPlan, Step

_LABEL = 8
_INDENT = 4
_NEXT = 7


def plan_document(report: Report, made: RepairPlan, saved: str) -> dict[str, Any]:
    """Return the report and its plan as plain values."""
    plan = {"file": saved, "frees_bytes": made.frees_bytes, **msgspec.to_builtins(made)}
    return examined.report_document(report) | {"plan": plan}


def applied_document(done: Applied) -> dict[str, Any]:
    """Return what became of a plan as plain values."""
    return {
        "applied": [_step_document(step) for step in done.steps],
        "receipts": list(done.receipts),
        "stopped": done.stopped,
    }


def plan_lines(
    report: Report | None,
    made: RepairPlan,
    paper: Paper,
    *,
    saved: str | None = None,
    live: bool = False,
    state: str | None = None,
) -> Iterator[str]:
    """Yield the plan. ``saved``: where it was written; ``live``: the steps of which only some will be done."""
    if report is not None:
        yield f"{paper.bold}{examined.counted(report)}.{paper.plain}"
    if not made.steps:
        yield "There is nothing that a plan could do about it." if made.left_out else "There is nothing to do."
    for step in made.steps:
        yield ""
        yield from _step(step, paper, live)
    for left in made.left_out:
        yield ""
        yield from _wrapped(paper, f"Left out: {left.repair} for {left.finding}, {words.tilde(left.path)}: {left.why}")
    if not made.steps:
        return
    frees = sum(step.action.frees_bytes or 0 for step in made.steps if step.action.live or not live)
    yield ""
    if frees:
        yield f"{paper.bold}Frees {words.size(frees)}.{paper.plain}"
    if saved is not None:
        start = ["holdfast", *(("--state", state) if state else ()), "doctor", "--apply"]
        yield from _next(paper, "Next:", shlex.join([*start, saved]))
        some = sum(step.action.live for step in made.steps)
        if some:
            which = "all of it" if some == len(made.steps) else words.count(some, "step")
            yield from _next(paper, "", shlex.join([*start, saved, "--live"]) + f" ({which}, while others run)")


def applied_lines(done: Applied, paper: Paper, *, state: str | None = None) -> Iterator[str]:
    """Yield what became of each step, with what was measured before and after it, and what undoes it."""
    for step in done.steps:
        yield from _done(step, paper)
        yield ""
    if done.stopped is not None:
        yield from _wrapped(paper, f"Stopped: {done.stopped}")
        if done.remedy:
            yield from _wrapped(paper, done.remedy)
    start = ["holdfast", *(("--state", state) if state else ()), "undo"]
    for number, receipt in enumerate(done.receipts):
        yield from _next(paper, "" if number else "Undo:", shlex.join([*start, receipt]))


def _next(paper: Paper, label: str, command: str) -> Iterator[str]:
    for number, line in enumerate(paper.wrapped(command, _NEXT, _NEXT + 2)):
        yield (" " * (_NEXT + 2) if number else f"{label:<{_NEXT}}") + line


def _step(step: Step, paper: Paper, live: bool) -> Iterator[str]:
    action = step.action
    head = f"{step.number}. {paper.bold}{safe.line(action.repair)}{paper.plain}  "
    taken = len(f"{step.number}. {action.repair}  ")
    path = words.tilde(action.path)
    if paper.columns is None or taken + len(path) <= paper.columns:
        yield head + paper.text(path)
    else:
        yield head.rstrip()
        yield " " * _INDENT + paper.cut(path, paper.columns - _INDENT)
    if live and not action.live:
        yield from _labelled(paper, "skipped", "not safe while others have it open")
        return
    yield from _labelled(paper, "does", action.what)
    if action.frees_bytes is not None:
        yield from _labelled(paper, "frees", words.size(action.frees_bytes))
    yield from _labelled(paper, "keeps", action.keeps)
    yield from _labelled(paper, "undo", "takes it back" if action.can_undo else "there is nothing to undo")
    yield from _labelled(paper, "others", "may run meanwhile" if action.live else "must not have it open meanwhile")


def _done(step: Done, paper: Paper) -> Iterator[str]:
    name = safe.line(step.repair)
    said = f"not done, {step.why}" if step.outcome is None else step.outcome.said
    first, *rest = _wrapped(paper, f"{step.number}. {name}: {said}")
    yield first.replace(name, f"{paper.bold}{name}{paper.plain}", 1)
    yield from rest
    if step.outcome is None:
        return
    yield from _labelled(paper, "before", _figures(step.outcome.before))
    yield from _labelled(paper, "after", _figures(step.outcome.after))
    if not step.outcome.gone:
        yield from _labelled(paper, "but", "what was found is still there")
    for note in step.outcome.notes:
        yield from _labelled(paper, "note", note)


def _figures(measured: dict[str, Any]) -> str:
    return ", ".join(
        f"{name.removesuffix('_bytes').replace('_', ' ')} "
        + (words.size(value) if name.endswith("bytes") and isinstance(value, int) else _figure(value))
        for name, value in measured.items()
    )


def _figure(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _labelled(paper: Paper, label: str, text: str) -> Iterator[str]:
    if not text:
        return
    before = _INDENT + _LABEL
    for number, line in enumerate(paper.wrapped(words.tildes(text), before, before)):
        named = f"{' ' * _INDENT}{paper.dim}{label:<{_LABEL}}{paper.plain}"
        yield (named if number == 0 else " " * before) + line


def _wrapped(paper: Paper, text: str) -> Iterator[str]:
    for number, line in enumerate(paper.wrapped(text, 0, _INDENT)):
        yield (" " * _INDENT if number else "") + line


def _step_document(step: Done) -> dict[str, Any]:
    outcome = step.outcome
    return {
        "number": step.number,
        "repair": step.repair,
        "path": step.path,
        "done": outcome is not None,
        "why": step.why,
        "said": outcome.said if outcome else None,
        "gone": outcome.gone if outcome else False,
        "before": outcome.before if outcome else {},
        "after": outcome.after if outcome else {},
        "receipt": outcome.receipt if outcome else None,
        "notes": list(outcome.notes) if outcome else [],
    }
