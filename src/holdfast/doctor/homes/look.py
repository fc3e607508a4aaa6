"""What a probe through SQLite gets: one target, and its databases, opened one at a time."""

from __future__ import annotations

import os
import time
from functools import cached_property
from types import TracebackType
from typing import NamedTuple, Self

from holdfast import rollouts
from holdfast.doctor.model import Database, Target
from holdfast.rollouts import Entry
from holdfast.sqlite.inspecting import Inspection, Unread, UnreadError


class Rollouts(NamedTuple):
    """The rollouts of a home. ``whole``: it is there, and every folder of it could be listed."""

    entries: list[Entry]
    whole: bool


class SqlLook:
    """The look at one target in the SQLite phase. ``deadline_ns`` (``time.monotonic_ns``) is the running probe's:
    whoever runs the probes sets it before each.

    ``unread`` keeps, by path, why a database could not be opened; ``told``, what was said of that already.
    """

    def __init__(self, target: Target, *, deep: bool = False, deadline_ns: int | None = None) -> None:
        self.target = target
        self.deep = deep
        self.deadline_ns = time.monotonic_ns() + 5_000_000_000 if deadline_ns is None else deadline_ns
        self.unread: dict[str, Unread] = {}
        self.told: set[tuple[str, str]] = set()
        self.large: list[tuple[Database, str]] = []
        """Tables that were too large to be checked in one read."""
        self.path = target.path
        """Of the database that was asked for last."""
        self._open: Inspection | None = None

    def open(self, database: Database) -> Inspection | None:
        """Return a look at the database; None when it is not there or cannot be read, which ``unread`` then says.

        The one opened before is closed, unless it is the same.
        """
        self.path = database.path
        if self._open is not None and self._open.path == database.path:
            return self._open
        self.close()
        if not os.path.lexists(database.path):
            return None
        try:
            self._open = Inspection(database.path, lambda: self.deadline_ns)
        except UnreadError as error:
            self.unread[database.path] = error.unread
            return None
        return self._open

    def database(self, role: str) -> Database | None:
        """Return the newest database of this role whose generation we know, None without one."""
        found = [each for each in self.target.databases if each.role == role and each.known]
        return max(found, key=lambda each: each.generation or 0, default=None)

    @cached_property
    def rollouts(self) -> Rollouts:
        """The rollouts that lie in the target, walked once for all probes. 50,000: 0.4 s."""
        walk = rollouts.walk(self.target.path)
        entries = list(walk)
        return Rollouts(entries, whole=not walk.gone and not walk.unreadable)

    def is_over(self) -> bool:
        """Whether the time of the running probe is over."""
        return time.monotonic_ns() >= self.deadline_ns

    def close(self) -> None:
        """Close what is open."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
