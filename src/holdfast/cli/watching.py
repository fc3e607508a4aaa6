"""What ``board watch`` looks at: a board's tasks and events, read again when something changed."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from holdfast.errors import Busy

if TYPE_CHECKING:
    from holdfast.board import Event
    from holdfast.cli.render.board_watch import View
    from holdfast.engine import Read
    from holdfast.state import State
    from holdfast.waking import Changes

_EVENTS = 200
_TASKS = 60  # of a status: no screen has more lines
_TITLES_MAX = 5_000
_AGAIN_S = 5.0


class Titles(dict[int, str]):
    """The titles of tasks by their numbers, looked up once each."""

    def learn(self, tx: Read, events: Iterable[Event]) -> None:
        """Look up those of ``events`` that are not known yet. An edit is told by an event, and looked up again."""
        from holdfast import board as boards

        if len(self) > _TITLES_MAX:
            self.clear()
        for event in events:
            if event.task_id not in self or event.kind == "edited":
                task = boards.get(tx, event.task_id)
                self[event.task_id] = "" if task is None else task.title


class Look:
    """Looks at a board again when something changed, else says how it was, a little later."""

    def __init__(self, state: State, slug: str, changes: Changes) -> None:
        self._state = state
        self._slug = slug
        self._changes = changes
        self._titles = Titles()
        self._events: list[Event] = []
        self._view: View | None = None
        self._looked = 0.0

    def seen(self, changed: bool) -> View:
        """Return what there is to be shown. Four milliseconds where it must look again."""
        from dataclasses import replace

        since = time.monotonic() - self._looked
        if changed or self._view is None or not self._changes.hears or since > _AGAIN_S:
            try:
                self._view, self._looked, since = self._look(), time.monotonic(), 0.0
            except Busy as busy:  # a server that is away comes back
                if self._view is None:
                    raise
                self._view = replace(self._view, trouble=str(busy))
        return replace(self._view, now_ms=self._view.now_ms + round(since * 1_000))

    def _look(self) -> View:
        from holdfast import board as boards
        from holdfast.cli.render.board_watch import COLUMNS, View

        with self._state.read() as tx:
            stats = boards.stats(tx, self._slug)
            self._follow(tx)
            of_status = {
                status: boards.listing(tx, self._slug, status=status, limit=_TASKS).tasks
                if stats.counts[status]
                else ()
                for statuses in COLUMNS.values()
                for status in map(boards.Status, statuses)
            }
            dispatcher = self._dispatcher(tx)
            now_ms = tx.now_ms
        return View(
            slug=self._slug,
            now_ms=now_ms,
            counts={str(status): count for status, count in stats.counts.items()},
            columns={
                name: [task for status in statuses for task in of_status[boards.Status(status)]]
                for name, statuses in COLUMNS.items()
            },
            running=sorted(of_status[boards.Status.RUNNING], key=lambda task: task.taken_ms),
            events=tuple(self._events),
            titles=dict(self._titles),
            dispatcher=dispatcher,
        )

    def _follow(self, tx: Read) -> None:
        from holdfast import board as boards

        if self._events:
            new = boards.events(tx, board=self._slug, after=self._events[-1].event_id)
        else:
            new = boards.recent(tx, self._slug, limit=_EVENTS)
        self._titles.learn(tx, new)
        self._events = [*self._events, *new][-_EVENTS:]

    def _dispatcher(self, tx: Read) -> str:
        from holdfast.board.dispatching.leading import leaders
        from holdfast.cli.render.board_dispatch import in_short

        return in_short([each for each in leaders(tx) if each.board in (None, self._slug)])
