"""Probes of Hermes' boards: what holds tasks up there, and what grows.

Each is asked of every board of the home, by itself: one that cannot be read
costs the others nothing. That a board is damaged, large or locked is said by
the probes of every database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps

from holdfast.doctor.homes.look import SqlLook
from holdfast.doctor.model import Finding
from holdfast.doctor.probes import unread
from holdfast.doctor.probes.hermes import history, tasks
from holdfast.doctor.probes.hermes.boards import Board
from holdfast.doctor.probes.probe import Probe
from holdfast.sqlite.inspecting import UnreadError


def _of_each(check: Callable[[Board], Iterator[Finding]]) -> Callable[[SqlLook], Iterator[Finding]]:
    """Return the probe that asks ``check`` of each board."""

    @wraps(check)
    def run(look: SqlLook) -> Iterator[Finding]:
        for database in look.target.databases:
            if database.role != "board":
                continue
            try:
                inspection = look.open(database)
                if inspection is not None:
                    yield from check(Board(database, inspection))
            except UnreadError as error:
                if look.is_over():
                    raise
                yield from unread.of(look, database.path, error.unread)

    return run


HERMES = tuple(
    Probe(name, _of_each(check), kinds=("hermes", "sqlite"), limit_ms=1_000)
    for name, check in (
        ("board-claims", tasks.stuck_claims),
        ("board-statuses", tasks.unknown_statuses),
        ("board-keys", tasks.duplicate_keys),
        ("board-links", tasks.dangling_links),
        ("board-circles", tasks.circles),
        ("board-gates", tasks.gates),
        ("board-runs", history.runs),
        ("board-events", history.events),
        ("board-belongings", history.belongings),
        ("board-quarantine", history.quarantine),
    )
)
"""For a Hermes home, and for one ``kanban.db`` alone."""
