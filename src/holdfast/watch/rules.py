"""What is told, when, and what never. Pure: no files, no clock."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from holdfast.watch.model import Changed, Degraded, Event, Rescan, RootGone

PATHS_MAX = 4_096
"""Paths in one event; more become a ``Rescan`` of their root."""

PENDING_BYTES_MAX = 4 * 1024 * 1024
"""Characters of paths that wait for a subscriber; more become a ``Rescan``."""

RATE_MAX = 1_000
"""Events in a second on one root that are told one by one."""

RATE_S = 5
"""Seconds above ``RATE_MAX`` before a root is only rescanned."""

WARN_S = 600.0
"""A root that is too busy is called degraded at most this often."""

RESCAN_S = 1.0
"""While it is too busy: one ``Rescan`` in this time."""

IGNORED = frozenset(
    (
        *(".git", ".hg", ".svn", ".jj"),
        *("node_modules", "bower_components", "__pycache__", ".venv", "venv", ".tox", ".nox"),
        *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".cache", ".direnv", ".gradle", ".terraform"),
    )
)
"""Names that are neither told nor entered unless ``ignore=`` says otherwise: many files, of no interest."""

_DATABASE = re.compile(r".*\.(sqlite|db).*", re.IGNORECASE | re.DOTALL)


def is_database(name: str) -> bool:
    """Return True for a name of a database's family: ``x.sqlite``, ``x.db-wal``, ``x.db.seat``.

    Reading a database writes its ``-shm``: to tell of it is to make whoever reads it on each event read it for ever.
    """
    return _DATABASE.fullmatch(name) is not None


def due_s(first_s: float, told_s: float, debounce_s: float, throttle_s: float) -> float:
    """Return when a batch is to be told that began at ``first_s``, when the last was told at ``told_s``.

    The window begins with the first event, so a file that is written without end is told all the same.
    """
    return max(first_s + debounce_s, told_s + throttle_s)


@dataclass(slots=True)
class Pending:
    """What waits to be told to one subscriber. Bounded, whatever happens."""

    paths: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Each path, and the roots for which it is told: one root may lie in another."""
    bytes: int = 0
    rescans: dict[str, str] = field(default_factory=dict)
    notices: list[RootGone | Degraded] = field(default_factory=list)
    """Told without waiting for anything."""

    def __bool__(self) -> bool:
        return bool(self.paths or self.rescans or self.notices)

    @property
    def only_notices(self) -> bool:
        """Whether nothing waits that has a time of its own."""
        return not self.paths and not self.rescans

    def change(self, root: str, paths: Iterable[str]) -> None:
        """Add paths below ``root``; of a root to be looked at as a whole, none."""
        if root in self.rescans:
            return
        for path in paths:
            roots = self.paths.get(path, ())
            if not roots:
                self.bytes += len(path)
            if root not in roots:
                self.paths[path] = (*roots, root)
        if len(self.paths) > PATHS_MAX or self.bytes > PENDING_BYTES_MAX:
            count = len(self.paths)
            for each in {each for roots in self.paths.values() for each in roots}:
                self.rescans.setdefault(each, f"{count} paths or more changed at once")
            self.paths, self.bytes = {}, 0

    def rescan(self, root: str, why: str) -> None:
        """Have all of ``root`` looked at; the first reason is told."""
        self._forget_paths(root)
        self.rescans.setdefault(root, why)

    def gone(self, root: str) -> None:
        """Tell that ``root`` is gone. What was to be told of it is not."""
        self._forget_paths(root)
        self.rescans.pop(root, None)
        self._notice(RootGone(root))

    def degraded(self, root: str, why: str) -> None:
        """Tell that ``root`` is watched less well."""
        self._notice(Degraded(root, why))

    def forget(self, root: str) -> None:
        """Tell nothing of ``root``."""
        self._forget_paths(root)
        self.rescans.pop(root, None)
        self.notices = [notice for notice in self.notices if notice.root != root]

    def take(self, *, only_notices: bool) -> list[Event]:
        """Take what waits, as events in the order in which they are told."""
        events: list[Event] = [*self.notices]
        self.notices = []
        if only_notices:
            return events
        events += [Rescan(root, why) for root, why in sorted(self.rescans.items())]
        if self.paths:
            events.append(Changed(tuple(sorted(self.paths))))
        self.paths, self.rescans, self.bytes = {}, {}, 0
        return events

    def _notice(self, notice: RootGone | Degraded) -> None:
        same = [each for each in self.notices if (each.root, each.kind) == (notice.root, notice.kind)]
        if not same:
            self.notices.append(notice)

    def _forget_paths(self, root: str) -> None:
        left = {path: tuple(each for each in roots if each != root) for path, roots in self.paths.items()}
        self.paths = {path: roots for path, roots in left.items() if roots}
        self.bytes = sum(map(len, self.paths))


@dataclass(slots=True)
class Breaker:
    """Judges one root: whether so much happens there that it is only to be rescanned."""

    second: int = 0
    events: int = 0
    busy_seconds: int = 0
    rescanned_s: float = float("-inf")
    warned_s: float = float("-inf")

    def is_open(self, now_s: float, events: int) -> bool:
        """Count ``events`` more at ``now_s``; return True while more than ``RATE_MAX`` came in each of ``RATE_S`` s."""
        second = int(now_s)
        if second != self.second:
            # A second in which nothing came was a calm one.
            calm = self.events <= RATE_MAX or second != self.second + 1
            self.busy_seconds = 0 if calm else self.busy_seconds + 1
            self.second, self.events = second, 0
        self.events += events
        return self.busy_seconds >= RATE_S

    def may_rescan(self, now_s: float) -> bool:
        """Return True when the last rescan is long enough ago, and note this one."""
        if now_s - self.rescanned_s < RESCAN_S:
            return False
        self.rescanned_s = now_s
        return True

    def may_warn(self, now_s: float) -> bool:
        """Return True when the last warning is long enough ago, and note this one."""
        if now_s - self.warned_s < WARN_S:
            return False
        self.warned_s = now_s
        return True
