"""Either engine by the place of its data: a path is SQLite's, a URL PostgreSQL's."""

from __future__ import annotations

from typing import Any

from holdfast import postgres
from holdfast.clock import wall_ms
from holdfast.sqlite import Store


def open_engine(where: str, clock: Any = None, **options: Any) -> Any:
    """Return a store of the engine that ``where`` names. Without ``clock``: the wall's, or the server's."""
    if postgres.is_url(where):
        return postgres.Store.open(where, clock=clock, **options)
    return Store.open(where, clock=clock or wall_ms, **options)
