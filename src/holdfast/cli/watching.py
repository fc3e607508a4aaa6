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
