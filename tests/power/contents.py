"""The whole content of a database, commit by commit: what is recorded, and what an image holds."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any

from recorder import Recorder
from replay import Promises

from holdfast.sqlite.core import Core
from holdfast.sqlite.transactions import Reading
from holdfast.sqlite.wal import Wal
from rows import statement

Run = Callable[[str], list[tuple[Any, ...]]]

EMPTY = b"no tables"
_TABLES = "SELECT name, sql FROM sqlite_schema ORDER BY type, name"
_STORED = "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 ORDER BY name"


def content(run: Run) -> bytes:
    """Return a digest of every row and every definition of a database."""
    schema = run(_TABLES)
    if not schema:
        return EMPTY
    digest = blake2b(repr(schema).encode(), digest_size=16)
    for (name,) in run(_STORED):
        digest.update(repr(run(f'SELECT * FROM "{name}"')).encode())
    return digest.digest()


def content_of(tx: Reading) -> bytes:
    return content(lambda sql: tx.tuples(statement(sql)))


def check_integrity(tx: Reading) -> None:
    answer = tx.tuples(statement("PRAGMA integrity_check(3)"))
    assert answer == [("ok",)], f"integrity_check: {answer}"


@contextmanager
def commits_marked(log: Recorder) -> Iterator[None]:
    """Note each COMMIT as it returned, with what the database then held, and each log that was emptied."""
    real_committed, real_truncate = Core.committed, Wal.truncate

    def committed(core: Core, members: int) -> None:
        real_committed(core, members)
        writer = core.writer
        assert writer is not None
        log.mark(f"commit {os.path.basename(core.path)}", content(lambda sql: writer.execute(sql).fetchall()))

    def truncate(wal: Wal) -> bool:
        done = real_truncate(wal)
        if done:
            log.mark(f"checkpoint {os.path.basename(wal._core.path)}")
        return done

    Core.committed, Wal.truncate = committed, truncate  # type: ignore[method-assign]
    try:
        yield
    finally:
        Core.committed, Wal.truncate = real_committed, real_truncate  # type: ignore[method-assign]


class Commits:
    """Compares what an image holds with the commits of a log: one of those that may be the last, and whole."""

    def __init__(
        self, log: Recorder, name: str = "state.db", *, durability: str = "full", first: bytes = EMPTY
    ) -> None:
        self._key = f"commit {name}"
        self._durability = durability
        self._floor = [0]
        self._states = [first]
        self._name = name
        checkpoints = [0]
        for op in log.ops:
            what, value = getattr(op, "what", None), getattr(op, "value", None)
            if what == self._key:
                self._states.append(value)
            elif what == f"checkpoint {name}":
                checkpoints.append(len(self._states) - 1)
        self._checkpoints = checkpoints

    def __len__(self) -> int:
        return len(self._states) - 1

    def judge(self, seen: bytes, promises: Promises) -> str:
        """Return what is wrong with an image that holds ``seen``, or ""."""
        done = len(promises[self._key])
        kept = done if self._durability == "full" else self._checkpoints[len(promises[f"checkpoint {self._name}"])]
        # The commit that was under way may be in, though nobody was told.
        if seen in self._states[kept : done + 2]:
            return ""
        if seen in self._states:
            found = self._states.index(seen)
            return f"{self._name} holds commit {found}, while {kept} were to last and {done} were done"
        return f"{self._name} holds what was true after no commit (of {done})"
