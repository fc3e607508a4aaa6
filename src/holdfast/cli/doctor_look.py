"""How ``holdfast doctor`` comes to a report: which paths, how long, and what is shown meanwhile."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from holdfast.cli.failing import Interrupted
from holdfast.cli.given import Given

if TYPE_CHECKING:
    from holdfast.doctor.model import Report


def look(given: Given, paths: Sequence[str], *, deep: bool, limit: float | None, only: Sequence[str]) -> Report:
    """Return what is found at ``paths``, else at the homes and the state that were named, else at the usual places.

    ``only``: nothing but findings of these ids, rows or repairs.
    """
    from holdfast.cli.render.progress import look_bar
    from holdfast.doctor.examining import examine

    _check_known(only)
    try:
        with look_bar() as on_progress:
            report = examine(
                named(given, paths),
                deep=deep,
                limit_ms=None if limit is None else round(limit * 1000),
                on_progress=on_progress,
            )
    except KeyboardInterrupt:
        raise Interrupted("interrupted; nothing was changed") from None
    return _only(report, only) if only else report


def named(given: Given, paths: Sequence[str]) -> list[str]:
    """Return the paths that were given in whatever way; none means the usual places."""
    from holdfast.postgres import is_url

    state = [given.state_dir] if given.state_dir and not is_url(given.state_dir) else []
    return list(paths) or [*given.homes, *(path for path in state if os.path.isdir(path) or not given.homes)]


def _check_known(only: Sequence[str]) -> None:
    from difflib import get_close_matches

    from holdfast.doctor.probes.catalogue import IDS, is_known
    from holdfast.doctor.repairs.repair import NAMES

    for text in only:
        if not is_known(text):
            alike = get_close_matches(text.lower(), [*IDS, *NAMES], n=1)
            meant = f" Did you mean {alike[0]!r}?" if alike else ""
            raise click.UsageError(f"no finding, row or repair is called {text!r}.{meant}")


def _only(report: Report, only: Sequence[str]) -> Report:
    import msgspec

    from holdfast.doctor.model import overall

    wanted = {text.lower() for text in only}
    found = tuple(each for each in report.findings if {each.id.lower(), each.row.lower(), each.repair} & wanted)
    return msgspec.structs.replace(report, findings=found, overall=overall(found, report.cut))
