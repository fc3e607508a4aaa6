"""What compressing the rollouts of a home did, as sentences and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.cli.render import safe, words

if TYPE_CHECKING:
    from holdfast.state.compressing import CompressReport

_DONE = ("compressed", "cold")


def document(report: CompressReport) -> dict[str, Any]:
    """Return ``report`` as plain values; its fields are the stable keys."""
    return dict(msgspec.to_builtins(report))


def summary(reports: Sequence[CompressReport]) -> str:
    """Return how many files of how many bytes a dry run found cold, and where."""
    files = sum(report.outcomes.get("cold", 0) for report in reports)
    total = words.size(sum(report.bytes_before for report in reports))
    return f"{words.count(files, 'rollout')} ({total}) of {', '.join(words.tilde(each.home) for each in reports)}"


def lines(report: CompressReport, *, verbose: bool) -> Iterator[str]:
    """Yield what was done to a home, each file that was left out with why, and with ``verbose`` every other, too."""
    home = safe.line(words.tilde(report.home))
    if report.dry_run:
        cold = words.count(report.outcomes.get("cold", 0), "rollout")
        yield f"Would compress {cold} of {home}: {words.size(report.bytes_before)}"
    else:
        sizes = f"{words.size(report.bytes_before)} became {words.size(report.bytes_after)}"
        done = words.count(report.outcomes.get("compressed", 0), "rollout")
        yield f"Compressed {done} of {home}: {sizes} in {words.duration(report.duration_ms)}"
    for each in report.files:
        if each.outcome not in _DONE:
            yield f"  {each.outcome}: {safe.line(each.path)}: {safe.line(each.detail)}"
        elif verbose:
            yield f"  {safe.line(each.path)}: {words.size(each.bytes_before)}"
    if fresh := report.outcomes.get("not-cold", 0):
        yield f"  {words.count(fresh, 'rollout')} left plain: written to since"
    yield from (f"  {safe.line(note)}" for note in report.notes)
