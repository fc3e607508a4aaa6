"""One dispatcher: it leads or stands by, claims, starts workers, and sees them to their end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from holdfast.board.dispatching.model import How, Report
from holdfast.engine import Engine


class Dispatcher:
    """Runs ``command`` for each task: a line for ``/bin/sh``, or the words of a command.

    ``board`` None: every board. ``folder`` is where this machine keeps logs,
    workspaces and what is known of living workers; ``named`` is what workers
    find in ``HOLDFAST_STATE``. ``tell`` is given a line about each thing that happens.
    """

    def __init__(
        self,
        engine: Engine,
        command: str | Sequence[str],
        *,
        folder: str,
        named: str,
        board: str | None = "default",
        how: How | None = None,
        tell: Callable[[str], object] = lambda _line: None,
    ) -> None:
        raise NotImplementedError

    @property
    def report(self) -> Report:
        """What was done so far."""
        raise NotImplementedError

    def run(self, *, until_idle: bool = False) -> Report:
        """Dispatch until ``drain`` or ``stop``; ``until_idle``: until nothing is ready and nobody works.

        In the main thread the first SIGTERM or SIGINT drains, and a second one stops.
        """
        raise NotImplementedError

    def drain(self) -> None:
        """Start no more; wait ``grace_s`` for those who work, then end them and give their tasks back."""
        raise NotImplementedError

    def stop(self) -> None:
        """Drain, without the wait."""
        raise NotImplementedError
