"""The two ends of a move: a directory or a database, opened whether or not a mark is on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

from holdfast import postgres, schema
from holdfast.clock import wall_ms
from holdfast.errors import Refused
from holdfast.holds import owner as owners
from holdfast.sqlite import Store
from holdfast.state import directory, moved

_SLOW_MS = 3_600_000  # while one side is read, a transaction of the other has nothing to do

AnyStore: TypeAlias = Store | postgres.Store


class Place:
    """Where a state is, was, or will be."""

    def __init__(self, where: str | os.PathLike[str] | None) -> None:
        self.url = directory.database(None, where)
        self.directory = directory.real(where)
        self.shown = postgres.parse(self.url).shown if self.url else self.directory
        """For people, and for a mark; with ``host`` it is this place and no other."""
        self.host = "" if self.url else owners.host()

    def open(self, *, peek: bool = False) -> AnyStore:
        """Open what is there, ``peek``: only to look. Raises ``Refused`` when nothing is."""
        if self.url is None and not os.path.exists(self._file):
            raise Refused(f"nothing is kept at {self.shown} that could be moved", remedy="Name another with --from.")
        store = self.store(peek=peek)
        with _closed_on_error(store):
            if not is_migrated(store):
                raise Refused(f"nothing is kept at {self.shown} that could be moved", remedy="Name it with --from.")
        return store

    def make(self) -> AnyStore:
        """Open what is to be filled, with all tables."""
        if self.url is None:
            directory.prepare(self.directory)
        store = self.store()
        with _closed_on_error(store):
            schema.migrate(store)
        return store

    def exists(self) -> bool:
        """Return False when there is certainly nothing."""
        return self.url is not None or os.path.exists(self._file)

    @property
    def _file(self) -> str:
        return os.path.join(self.directory, directory.STATE_DB)

    def store(self, *, peek: bool = False) -> AnyStore:
        """Open it, whatever it is. Without ``peek`` a file is made when there is none."""
        if self.url is None:
            return (Store.peek if peek else Store.open)(self._file, clock=wall_ms)
        if peek:
            return postgres.Store.peek(self.url)
        return postgres.Store.open(self.url, limits=postgres.Limits(statement_ms=_SLOW_MS, idle_ms=_SLOW_MS))


def is_migrated(store: AnyStore) -> bool:
    """Return True when there is a state of ours, of whatever age."""
    with store.read() as tx:
        return moved.read(tx) is not None or schema.applied(tx, store.path, store.kind) > 0


@contextmanager
def _closed_on_error(store: AnyStore) -> Iterator[None]:
    try:
        yield
    except BaseException:
        store.close()
        raise
