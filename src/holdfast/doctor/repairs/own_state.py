"""What the repairs of our own state directory share: ``state.db``, opened through its own doors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from holdfast import schema
from holdfast.clock import wall_ms
from holdfast.doctor.model import Finding, Target
from holdfast.engine import Engine
from holdfast.errors import Refused
from holdfast.sqlite import Store
from holdfast.threads import homes
from holdfast.threads.model import Home

STATE_DB, SEARCH_DB = "state.db", "search.db"


def is_about(finding: Finding, target: Target) -> bool:
    """Whether a finding is about this state directory."""
    return target.kind == "holdfast" and (
        finding.path == target.path or finding.path.startswith(f"{target.path.rstrip('/')}/")
    )


def path_of(target: Target, name: str) -> str:
    """Return a file of the state directory."""
    return os.path.join(target.path, name)


@contextmanager
def opened(path: str) -> Iterator[Engine]:
    """Open ``state.db`` as it is. Raises ``Refused`` when it is not there, or of another version of holdfast."""
    if not os.path.isfile(path):
        raise Refused(f"there is no {path}", remedy="`holdfast index` makes it.")
    with Store.open(path, clock=wall_ms) as engine:
        if not schema.check(engine):
            raise Refused(f"{path} has not the shape of this version", remedy="Open it once with `holdfast status`.")
        engine.clock = schema.anchored_clock(engine)
        yield engine


def homes_of(engine: Engine, named: object = None) -> list[Home]:
    """Return the indexed homes that are there; only the one at the path ``named``, when a path is."""
    with engine.read() as tx:
        known = [home for home in homes.listing(tx) if home.indexed_ms is not None and os.path.isdir(home.path)]
    return [home for home in known if home.path == named] if isinstance(named, str) else known
