"""The log of a state, for those who read it. Nothing is opened before it is asked for."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from holdfast.errors import Refused
from holdfast.logs.matching import LogQuery
from holdfast.state.directory import LOGS

if TYPE_CHECKING:
    from holdfast.logs.model import Record
    from holdfast.logs.stats import LogStats


class Logs:
    """What ``state.logs`` is: doors to the log in the state directory, with a ``LogQuery`` or its fields by name."""

    def __init__(self, state_dir: str) -> None:
        self.directory = os.path.join(state_dir, LOGS)
        """Where the log is, whether or not there is one yet."""

    def query(self, asked: LogQuery | None = None, **fields: Any) -> list[Record]:
        """Return the records wanted: ``query(min_level="WARN", newest_first=True, limit=100)``. See ``LogQuery``.

        Creates and changes nothing. Raises ``Refused`` for what cannot be meant.
        """
        from holdfast.logs.query import query

        return query(self.directory, _meant(asked, fields))

    def max_id(self, asked: LogQuery | None = None, **fields: Any) -> int:
        """Return the largest id of the records wanted, whatever limit and order; 0 when there is none."""
        from holdfast.logs.query import max_id

        return max_id(self.directory, _meant(asked, fields))

    def tail(
        self,
        asked: LogQuery | None = None,
        *,
        follow: bool = True,
        stop: threading.Event | None = None,
        **fields: Any,
    ) -> Iterator[Record]:
        """Yield the last ``limit`` records wanted, then each that is written, by any process, until ``stop`` is set."""
        from holdfast.logs.tail import tail

        return tail(self.directory, _meant(asked, fields), follow=follow, stop=stop)

    def stats(self) -> LogStats:
        """Return how much is logged, of what level, since when, and what was dropped."""
        from holdfast.logs.stats import stats

        return stats(self.directory)


def _meant(asked: LogQuery | None, fields: dict[str, Any]) -> LogQuery:
    if asked is None:
        return LogQuery(**fields)
    if fields:
        raise Refused(
            f"a query and {', '.join(fields)} beside it cannot both be meant",
            remedy="Change the query: dataclasses.replace(query, ...).",
        )
    return asked
