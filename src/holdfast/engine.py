"""What a store sees of a database: a transaction to read in, or one to write in.

Every store function takes a ``Read`` or a ``Write`` first; the type says
whether it may write. Functions join the caller's transaction, so they compose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from holdfast.clock import Clock
from holdfast.sql import Statement

if TYPE_CHECKING:
    from holdfast.waking import Changes

Row = Mapping[str, Any]
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Read(Protocol):
    """A consistent view of the database. Nothing done here changes it."""

    @property
    def now_ms(self) -> int:
        """When this transaction began, in ms since the epoch. SQL never reads a clock."""
        ...

    def row(self, statement: Statement, /, **params: object) -> Row | None:
        """Return the first row, or None."""
        ...

    def rows(self, statement: Statement, /, **params: object) -> list[Row]:
        """Return every row. All are fetched before this returns: a live cursor would pin the WAL."""
        ...

    def tuples(self, statement: Statement, /, **params: object) -> list[tuple[Any, ...]]:
        """Return every row as a tuple, columns in the statement's order: half the price where rows are many."""
        ...


class Write(Read, Protocol):
    """The one writer. Everything done here becomes visible at once, or not at all."""

    def run(self, statement: Statement, /, **params: object) -> int:
        """Execute, and return how many rows changed."""
        ...

    def run_many(self, statement: Statement, params: Iterable[Mapping[str, object]], /) -> int:
        """Execute once per mapping, and return how many rows changed in all."""
        ...

    def hint(self) -> None:
        """Have those who wait for changes look at once, when this is kept; without it they look a little later."""
        ...


class Submission(Protocol[T_co]):
    """Work handed to ``submit``: wait for it with ``result()`` or with ``await``."""

    def result(self, timeout: float | None = None) -> T_co:
        """Return what ``fn`` returned, or raise what it raised. ``timeout`` in seconds."""
        ...

    def __await__(self) -> Any: ...


class Engine(Protocol):
    """One database, held open by this process."""

    kind: Literal["sqlite", "postgres"]
    path: str
    """Where the database is, for people: the path of a file, or a URL without its password."""

    @property
    def clock(self) -> Clock | None:
        """What gives ``tx.now_ms``; None: the server."""
        ...

    @property
    def read_only(self) -> bool:
        """Whether every write is ``Refused``."""
        ...

    def read(self) -> AbstractContextManager[Read]:
        """Begin a read transaction in the caller's thread; a read inside a read joins it."""
        ...

    def write(self, *, wait_ms: int = ..., reserve: bool = ...) -> AbstractContextManager[Write]:
        """Begin a write transaction in the caller's thread. Commits on leaving, rolls back on an exception.

        ``reserve`` is for a write that frees something (renew, finish, release):
        it may use the room that is kept for it when everyone else gets ``Full``.

        Never retries. Raises ``Busy`` after ``wait_ms`` without the writer's
        seat, ``Refused`` inside another write of the same thread.
        """
        ...

    def submit(self, fn: Callable[[Write], T], *, wait_ms: int = ..., reserve: bool = ...) -> Submission[T]:
        """Run ``fn(tx)`` in a write transaction on another thread, again when it was ``Busy``, until ``wait_ms``.

        ``fn`` may run more than once, and must have no effect but through ``tx``.
        """
        ...

    def submit_read(self, fn: Callable[[Read], T]) -> Submission[T]:
        """Run ``fn(tx)`` in a read transaction on another thread."""
        ...

    def changes(self) -> Changes:
        """Return a waiter: ``.wait(timeout_s)`` returns when something may have changed, by any process.

        SQLite notices every commit, PostgreSQL those that asked for it (``tx.hint()``). Look at intervals of
        yours, too: a change that is not told is no error. One thread per store, as long as anybody waits.
        """
        ...

    def close(self) -> None:
        """Give up this handle. The last handle of a process closes the database."""
        ...
