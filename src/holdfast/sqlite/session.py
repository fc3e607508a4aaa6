"""What one connection of ``connect`` has of the shared file: its transaction, and what SQLite would remember for it.

A transaction lasts from statement to statement, so it is *held* (``baton.py``):
it joins nobody, and others wait for it with a deadline. It ends with commit,
rollback or close, when the connection is dropped, and when the thread that
began it ends: a lock that nobody can give back would stop every process.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

import apsw

from holdfast.clock import wall_ms
from holdfast.errors import Busy, Full, HoldfastError
from holdfast.sqlite import exceptions, linger, pragmas, settings, texts, upkeep
from holdfast.sqlite.baton import Baton
from holdfast.sqlite.core import Core
from holdfast.sqlite.exceptions import NotSupportedError, OperationalError, ProgrammingError
from holdfast.sqlite.reads import ReadScope
from holdfast.sqlite.running import Answer, Params, Run
from holdfast.sqlite.texts import Text
from holdfast.sqlite.transactions import Writing

_AT_EXIT_WAIT_S = 1.0


class _Life:
    """Dies with the thread it was made for."""

    __slots__ = ("__weakref__",)


_thread = threading.local()
_open: set[Session] = set()


class Session:
    """See the module. Threads may share one: each call takes ``lock`` for as long as it works."""

    def __init__(self, core: Core, wait_ms: int, implicit: bool) -> None:
        self.core = core
        self.wait_ms = wait_ms
        self.implicit = implicit
        """Whether INSERT, UPDATE, DELETE and REPLACE begin a transaction by themselves."""
        self.lock = threading.RLock()
        self.closed = False
        self.last_rowid = 0
        self.total_changes = 0
        self._foreign_keys = False  # as sqlite3 has it; PRAGMA foreign_keys turns it on
        self._tx: Writing | None = None
        self._baton: Baton = core.baton
        self._life: weakref.ref[_Life] | None = None
        self._savepoints: list[str] = []
        self._begun_by_savepoint = False
        self._lost = ""
        _open.add(self)
        linger.ensure_thread()

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is held."""
        return self._tx is not None

    def execute(self, sql: str, params: Params) -> Answer:
        """Run one statement; every row is fetched before this returns."""
        text = texts.one(sql)
        if not isinstance(params, (tuple, list, dict, Mapping, Sequence)):
            raise ProgrammingError("parameters are of unsupported type")
        with self.lock, exceptions.named():
            self._check()
            return self._dispatch(text, params)

    def execute_many(self, sql: str, params: Iterable[Params]) -> Answer:
        """Run one INSERT, UPDATE, DELETE or REPLACE for each of ``params``; in autocommit all or none."""
        text = texts.one(sql)
        if not text.changing:
            raise ProgrammingError("executemany() can only execute DML statements.")
        with self.lock, exceptions.named():
            self._check()
            if self._tx is None and not self.implicit:
                params = list(params)  # a group that another's failure took back is run again
            return self._change(Run(text, params, many=True))

    def execute_script(self, script: str) -> None:
        """Commit, then run each statement of ``script`` by itself, as if in autocommit."""
        with self.lock, exceptions.named():
            self._check()
            self.commit()
            implicit, self.implicit = self.implicit, False
            try:
                for sql in texts.split(script):
                    self._dispatch(texts.read(sql), ())
            finally:
                self.implicit = implicit

    def commit(self) -> None:
        """Make the open transaction durable. A commit that fails was rolled back."""
        with self.lock, exceptions.named():
            self._check()
            if self._tx is not None:
                self._leave(failed=False)

    def roll_back(self) -> None:
        """Take the open transaction back."""
        with self.lock, exceptions.named():
            self._lost = ""
            self._check()
            if self._tx is not None:
                self._leave(failed=True)

    def end(self) -> None:
        """Take back what is open and give up the handle. Twice is fine; any thread may."""
        with self.lock:
            if self.closed:
                return
            self.closed = True
            _open.discard(self)
            if self._tx is not None:
                with suppress(HoldfastError):
                    self._leave(failed=True)
        linger.let_go(self.core, linger.LINGER_MS)

    def _check(self) -> None:
        if self.closed:
            raise ProgrammingError("Cannot operate on a closed database.")
        if self._tx is not None and self._baton.inherited:
            self._tx = None
            self._lost = "this process was forked in the middle of a transaction, which is its parent's"
        if self._lost:
            lost, self._lost = self._lost, ""
            raise OperationalError(lost)

    def _dispatch(self, text: Text, params: Params) -> Answer:
        match text.word:
            case "BEGIN":
                if self._tx is not None:
                    raise OperationalError("cannot start a transaction within a transaction")
                self._begin()
                return Answer([])
            case "COMMIT" | "END":
                if self._tx is None:
                    raise OperationalError("cannot commit - no transaction is active")
                self._leave(failed=False)
                return Answer([])
            case "ROLLBACK" if not text.savepoint:
                if self._tx is None:
                    raise OperationalError("cannot rollback - no transaction is active")
                self._leave(failed=True)
                return Answer([])
            case "SAVEPOINT" | "RELEASE" | "ROLLBACK":
                return self._savepoint(text)
            case "PRAGMA":
                return self._pragma(text)
            case "VACUUM":
                if self._tx is not None:
                    raise OperationalError("cannot VACUUM from within a transaction")
                return upkeep.vacuum(self.core, self.wait_ms, text.sql, params)
            case "ATTACH" | "DETACH":
                raise NotSupportedError(f"{text.word} is refused: a store keeps one file; open the other by itself")
        if text.temporary:
            raise NotSupportedError("temporary tables are refused: their connection is shared, and reads do not see it")
        return self._change(Run(text, params)) if text.changing else self._ask(text, params)

    def _ask(self, text: Text, params: Params) -> Answer:
        run = Run(text, params)
        if self._tx is not None:
            return self._in_transaction(run)
        if text.asks_changes:
            raise NotSupportedError("outside of a transaction changes() is anybody's; use cursor.rowcount")
        try:
            with ReadScope(self.core.readers, wall_ms) as tx:
                return run.on(tx, self.last_rowid)
        except HoldfastError as error:
            if not isinstance(error.__cause__, apsw.ReadOnlyError):
                raise
        return self._by_itself(run)  # CREATE, WITH … INSERT and the like: a reader refuses them

    def _change(self, run: Run) -> Answer:
        if self._tx is not None:
            return self._in_transaction(run)
        if not self.implicit:
            return self._by_itself(run)
        self._begin()
        try:
            return self._in_transaction(run)
        finally:
            # A statement SQLite did not even understand began nothing that anybody would think of ending.
            if not run.ran and self.in_transaction:
                self._leave(failed=True)

    def _begin(self) -> None:
        baton = self.core.baton
        tx = baton.enter(wall_ms, self.wait_ms, reserve=False, held=True, foreign_keys=self._foreign_keys)
        self._baton, self._tx = baton, tx
        self._life = weakref.ref(_life(), self._thread_ended(threading.current_thread().name))

    def _leave(self, *, failed: bool) -> None:
        tx = self._tx
        assert tx is not None
        try:
            self._baton.leave(tx, failed=failed)
        finally:
            if self._baton.current is tx:  # Ctrl-C before it began to leave
                self._baton.leave(tx, failed=True)
            self._tx = self._life = None
            self._savepoints.clear()
            self._begun_by_savepoint = False

    def _thread_ended(self, name: str) -> Callable[[object], None]:
        # Called where a thread dies, or where the collector runs: it may only leave a note.
        def work() -> None:
            with self.lock:
                if self._tx is None or self._life is None or self._life() is not None:
                    return
                self._lost = (
                    f"the transaction was rolled back: thread {name!r} began it, and ended without commit or rollback"
                )
                with suppress(HoldfastError):
                    self._leave(failed=True)

        return lambda _ref: linger.later(work)

    def _in_transaction(self, run: Run) -> Answer:
        tx = self._tx
        assert tx is not None
        try:
            return self._noted(run, tx)
        finally:
            # SQLite ends a transaction by itself: a full disk, INSERT OR ROLLBACK.
            if tx.broken is not None and self._tx is tx:
                with suppress(HoldfastError):
                    self._leave(failed=True)

    def _by_itself(self, run: Run) -> Answer:
        deadline_ns = settings.deadline(self.wait_ms)
        baton = self.core.baton
        while True:
            left_ms = max(0, (deadline_ns - time.monotonic_ns()) // 1_000_000)
            try:
                tx = baton.enter(wall_ms, left_ms, reserve=False, foreign_keys=self._foreign_keys)
                try:
                    answer = self._noted(run, tx)
                    baton.leave(tx, failed=False)
                finally:
                    if baton.current is tx:  # an error, or Ctrl-C before it began to leave
                        baton.leave(tx, failed=True)
                return answer
            except Full:
                raise  # room does not come by asking again
            except Busy:
                if time.monotonic_ns() >= deadline_ns:
                    raise
            time.sleep(settings.jitter_s())

    def _noted(self, run: Run, tx: Writing) -> Answer:
        connection = tx.bare()
        before = connection.total_changes()
        try:
            return run.on(tx, self.last_rowid)
        finally:
            self.total_changes += connection.total_changes() - before
            self.last_rowid = connection.last_insert_rowid()

    def _savepoint(self, text: Text) -> Answer:
        name, names = text.savepoint, self._savepoints
        if text.word == "SAVEPOINT":
            if self._tx is None:
                self._begin()
                self._begun_by_savepoint = True
            answer = self._in_transaction(Run(text, ()))
            names.append(name)
            return answer
        if name not in names:
            raise OperationalError(f"no such savepoint: {name}")
        at = len(names) - 1 - names[::-1].index(name)
        if text.word == "RELEASE" and at == 0 and self._begun_by_savepoint:
            self._leave(failed=False)  # the outermost one is the transaction
            return Answer([])
        answer = self._in_transaction(Run(text, ()))
        del names[at + (text.word == "ROLLBACK") :]
        return answer

    def _pragma(self, text: Text) -> Answer:
        pragma = pragmas.read(text.sql)
        match pragma.name:
            case "foreign_keys":
                # Like SQLite: inside a transaction it changes nothing, and says nothing.
                if pragma.value is not None and self._tx is None:
                    self._foreign_keys = pragma.on
                return Answer.of("foreign_keys", [(int(self._foreign_keys),)] if pragma.value is None else [])
            case "busy_timeout":
                if pragma.value is not None:
                    self.wait_ms = pragmas.number(pragma)
                return Answer.of("timeout", [(self.wait_ms,)])
            case "wal_checkpoint":
                if self._tx is not None:
                    raise OperationalError("database table is locked")
                return upkeep.checkpoint(self.core, self.wait_ms)
            case name if name in pragmas.WRITTEN and (pragma.value is not None or name not in pragmas.ASKED):
                run = Run(text, ())
                return self._in_transaction(run) if self._tx is not None else self._by_itself(run)
            case name if name in pragmas.ASKED and (pragma.value is None or name in pragmas.CALLED):
                return self._ask(text, ())
        return Answer.of(pragma.name, pragmas.settled(pragma, self.core.durability))


def _life() -> _Life:
    life: _Life | None = getattr(_thread, "life", None)
    if life is None:
        life = _thread.life = _Life()
    return life


def _end_all() -> None:
    # The interpreter ends: what was not committed is taken back, and the files are closed after us.
    for session in tuple(_open):
        if session.lock.acquire(timeout=_AT_EXIT_WAIT_S):
            try:
                session.end()
            finally:
                session.lock.release()


def _begin_in_child() -> None:
    for session in _open:
        session.lock = threading.RLock()  # a thread that did not come along may have had it


os.register_at_fork(after_in_child=_begin_in_child)
atexit.register(_end_all)
