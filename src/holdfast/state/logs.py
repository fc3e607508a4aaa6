"""The log of a state, for those who read it. Nothing is opened before it is asked for."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from holdfast.errors import Refused
from holdfast.logs.matching import LogQuery
from holdfast.state.directory import LOGS

if TYPE_CHECKING:
    from typing import Unpack

    from holdfast.logs import Caps, Kept, LogHandler, Pruned
    from holdfast.logs.limits import Limits
    from holdfast.logs.model import Record
    from holdfast.logs.stats import LogStats


class Logs:
    """What ``state.logs`` is: doors to the log in the state directory, with a ``LogQuery`` or its fields by name."""

    def __init__(self, state_dir: str) -> None:
        self.directory = os.path.join(state_dir, LOGS)
        """Where the log is, whether or not there is one yet."""

    # --- writing -----------------------------------------------------------------------

    def handler(self, level: int | str = "INFO", **options: Any) -> LogHandler:
        """Return a ``logging.Handler`` that keeps records here; ``options`` as for ``holdfast.logs.handler``.

        Touches no disk before the first record. File events of the state directory are never logged.
        """
        from holdfast.logs import handler

        options.setdefault("protect", [os.path.dirname(self.directory)])
        return handler(self.directory, level, **options)

    def append(self, records: Iterable[Record], *, caps: Caps | None = None) -> Kept:
        """Keep these records with the times they have; return how many were, and why the others were not.

        A segment of its own for each call: for what comes from elsewhere, in
        batches. A program logs through ``handler``.
        """
        from holdfast.logs import SegmentWriter

        writer = SegmentWriter(self.directory, caps)
        try:
            return writer.append(list(records))
        finally:
            writer.close()

    def delete_before(self, us: int) -> int:
        """Hide every record older than ``us`` (microseconds since the epoch); return how many that are.

        Their bytes go with their segment. Raises ``Busy`` when others make room for longer than 400 ms.
        """
        from holdfast.logs.room import delete_before

        return delete_before(self.directory, us)

    def retention(self, **limits: Unpack[Limits]) -> Caps:
        """Set limits that every writer of this log keeps to: ``retention(bytes="50MB", records=10_000, age="10d")``.

        Returns those in force; without any it only tells. See ``holdfast.logs.retention``.
        """
        from holdfast.logs import retention

        return retention(self.directory, **limits)

    def prune(self, caps: Caps | None = None, *, dry_run: bool = False, **limits: Unpack[Limits]) -> list[Pruned]:
        """Let go what the limits in force do not allow, the oldest segments first; ``dry_run`` only says what would go.

        ``limits``, as for ``retention``, take the place of those in force, this once; ``caps`` of all.
        Raises ``Refused``, ``Busy``, ``OSError``.
        """
        from holdfast.logs.limits import in_force, instead
        from holdfast.logs.room import prune

        return prune(self.directory, instead(caps or in_force(self.directory), **limits), dry_run=dry_run)

    # --- reading -----------------------------------------------------------------------

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
