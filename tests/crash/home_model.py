"""What a home and its state must look like after any sequence of operations: the simplest thing that can say so."""

from __future__ import annotations

from dataclasses import dataclass, field

SPAWNED = {0: (1, 2), 1: (3,), 2: (), 3: (), 4: ()}
"""Five threads, by number: who was spawned by whom."""


@dataclass
class One:
    """A thread: what its files say, and what was said of it beside them."""

    exists: bool = True
    archived: bool = False
    name: str | None = None
    known: bool = True
    """Whether the index has a row: a rebuild knows nothing of a file that is gone."""
    name_said: str | None = None
    archived_said: bool | None = None
    deleted: int | None = None
    """Which deletion took it away."""

    @property
    def seen(self) -> list[object]:
        name = self.name if self.name_said is None else self.name_said
        return [name or None, self.archived if self.archived_said is None else self.archived_said]


def _threads() -> list[One]:
    return [One() for _ in SPAWNED]


@dataclass
class Model:
    """The five. A method is what the operation of that name does; it returns whether there was anything to do."""

    threads: list[One] = field(default_factory=_threads)
    deletions: int = 0

    def listed(self) -> dict[int, list[object]]:
        """Return what ``list``, ``get`` and ``find`` must say of the threads that can be seen."""
        return {at: one.seen for at, one in enumerate(self.threads) if self._is_live(at)}

    def hidden(self) -> list[int]:
        return [at for at, one in enumerate(self.threads) if one.exists and one.deleted is not None]

    def files(self) -> list[tuple[object, ...]]:
        """Return what the home holds: a receipt can be undone as long as it is this."""
        return [(one.exists, one.archived, one.name) for one in self.threads]

    # --- said beside the home -------------------------------------------------------

    def rename(self, at: int, name: str) -> bool:
        one = self.threads[at]
        if not self._has_row(at):
            return False
        one.name_said = name
        return True

    def archive(self, at: int, archived: bool = True) -> bool:
        one = self.threads[at]
        if not self._has_row(at):
            return False
        one.archived_said = None if one.archived is archived else archived
        return True

    def unarchive(self, at: int) -> bool:
        return self.archive(at, False)

    def delete(self, at: int) -> bool:
        if not self._has_row(at):
            return False
        self.deletions += 1
        for each in (at, *_below(at)):
            if self._has_row(each):
                self.threads[each].deleted = self.deletions
        return True

    def undelete(self, at: int) -> bool:
        deletion = self.threads[at].deleted
        if deletion is None or not self.threads[at].known:
            return False
        for each in (at, *_below(at)):
            if self.threads[each].deleted == deletion and self.threads[each].known:
                self.threads[each].deleted = None
        return True

    # --- in the home ----------------------------------------------------------------

    def rename_in_home(self, at: int, name: str) -> bool:
        if not self._is_live(at):
            return False
        self.threads[at].name, self.threads[at].name_said = name, None
        return True

    def archive_in_home(self, at: int, archived: bool = True) -> bool:
        if not self._is_live(at):
            return False
        family = [at, *(self._live_below(at) if archived else ())]
        moved = [each for each in family if self.threads[each].archived is not archived]
        for each in {at, *moved}:
            self.threads[each].archived_said = None
        for each in moved:
            self.threads[each].archived = archived
        return bool(moved)

    def unarchive_in_home(self, at: int) -> bool:
        return self.archive_in_home(at, False)

    def delete_in_home(self, at: int) -> bool:
        if not self._is_live(at):
            return False
        for each in (at, *self._live_below(at)):
            self.threads[each].exists, self.threads[each].name = False, None
        return True

    def undo(self, before: Model) -> None:
        """The files are as they were ``before``. What was said beside them stays as it is."""
        for one, was in zip(self.threads, before.threads, strict=True):
            one.exists, one.archived, one.name = was.exists, was.archived, was.name
            one.known = one.known or one.exists

    # --- the state as a whole -------------------------------------------------------

    def rebuild(self) -> None:
        """A thread whose file is gone has no row any more; what was said of it waits for the file."""
        for one in self.threads:
            one.known = one.exists

    def restore_exact(self, then: Model) -> None:
        """Everything said is what was said ``then``."""
        for one, was in zip(self.threads, then.threads, strict=True):
            one.name_said, one.archived_said, one.deleted = was.name_said, was.archived_said, was.deleted

    def _has_row(self, at: int) -> bool:
        return self.threads[at].known and self.threads[at].deleted is None

    def _is_live(self, at: int) -> bool:
        return self.threads[at].exists and self.threads[at].deleted is None

    def _live_below(self, at: int) -> list[int]:
        """Return whom a change in the home takes along: found through those that can be seen."""
        live = [each for each in SPAWNED[at] if self._is_live(each)]
        return [*live, *(below for each in live for below in self._live_below(each))]


def _below(at: int) -> list[int]:
    return [*SPAWNED[at], *(below for each in SPAWNED[at] for below in _below(each))]
