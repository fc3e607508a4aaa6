"""Hear that other processes wrote, and tell them: LISTEN on a connection of its own, NOTIFY after the commit.

A NOTIFY inside a transaction makes its COMMIT take a lock of the whole cluster
(async.c, PreCommit_Notify), so none is sent there. A write that asks for it
leaves a word with the thread of its store, which sends one for all of the last
moment, in a transaction of its own that waits for no disk. What is lost on the
way costs a waiter one look at its own interval.

LISTEN lives in a session, which a pooler in transaction mode lends to others: it
is accepted and never answered. Such a pooler invents the number of its session,
so nothing is asked of it; and what does not hear its own first word is not
trusted either.
"""

from __future__ import annotations

import os
import time
from typing import Literal

import psycopg

from holdfast.errors import Busy, HoldfastError
from holdfast.postgres import codes
from holdfast.postgres.address import Address
from holdfast.postgres.beginning import begin, roll_back
from holdfast.postgres.connections import Connection, Connections
from holdfast.postgres.settings import Limits
from holdfast.waking import Bell, Waiting

CHANNEL = "holdfast"  # of a database; the payload is the schema

_HINT_EVERY_S = 0.02
_LINGER_S = 0.25  # how long the thread waits for the next hint
_PATIENCE_MS = 2_000  # for a connection, and so for a close
_TEST_S = 5.0  # within which the first word must come back
_RETRY_S = (0.1, 5.0)  # after a connection was lost: the first pause, the longest
_DEAF_RETRY_S = 60.0  # a standby may have been promoted, a pooler may be gone

_inherited: list[Connection] = []
"""Of the parent: never closed here, because closing says goodbye on a socket that is not ours."""


class Listening(Waiting):
    """Hears and sends for one store. The thread runs while somebody waits, and for a moment after a hint."""

    def __init__(self, connections: Connections, address: Address, limits: Limits) -> None:
        self._connections = connections
        self._address = address
        self._limits = limits
        self._ear: Connection | None = None
        super().__init__()

    def _begin(self) -> None:
        super()._begin()
        if self._ear is not None:
            _inherited.append(self._ear)
        self._hinted = False
        self._until_s = 0.0
        self._forget_ear()
        self._retry_at_s = 0.0
        self._retry_s = _RETRY_S[0]

    def hint(self) -> None:
        """Send a word soon: at most 50 a second, one for all that asked meanwhile. Takes a lock, or nothing."""
        self.after_fork()
        if self._hinted:
            return
        with self._lock:
            self._hinted = not self._ended
            if self._hinted:
                self.wake_thread()

    def has_more(self) -> bool:
        """See ``Waiting``."""
        return self._hinted or (not self._ended and time.monotonic() < self._until_s)

    def watch(self, bell: Bell) -> None:
        """See ``Waiting``."""
        next_hint_s = 0.0
        try:
            while not self.is_over():
                now_s = time.monotonic()
                if self._hinted and (now_s >= next_hint_s or self._ended):
                    self._hinted = False  # before it is sent: what is asked for from here on is another
                    self._say("")
                    now_s = time.monotonic()
                    next_hint_s, self._until_s = now_s + _HINT_EVERY_S, now_s + _LINGER_S
                self._see_to_ear(now_s)
                if bell.wait(self._pause_s(next_hint_s), self._ear.pgconn.socket if self._ear else -1):
                    self._receive()
        finally:
            self._close_ear()

    def _pause_s(self, next_hint_s: float) -> float | None:
        if self._ended:
            return 0
        due = []
        if self._hinted:
            due.append(next_hint_s)
        if self.is_anybody_waiting:
            due += [self._retry_at_s] if self._ear is None else [self._test_until_s] if self._test else []
        else:
            due.append(self._until_s)
        return max(0, min(due) - time.monotonic()) if due else None

    # --- hearing -------------------------------------------------------------------

    def _see_to_ear(self, now_s: float) -> None:
        if not self.is_anybody_waiting:
            self._close_ear()
        elif self._ear is None and now_s >= self._retry_at_s:
            self._open_ear()
        elif self._test and now_s >= self._test_until_s:
            self._lost("deaf")

    def _open_ear(self) -> None:
        try:
            ear = self._connections.alone(time.monotonic_ns() + _PATIENCE_MS * 1_000_000)
        except HoldfastError:
            self._lost("gone")
            return
        self._ear = ear
        try:
            (pid,) = ear.execute("SELECT pg_backend_pid()").fetchall()[0]
            if pid != ear.info.backend_pid:
                self._lost("deaf")
                return
            ear.execute(f"LISTEN {CHANNEL}")
        except psycopg.Error as error:
            self._lost("gone" if ear.broken else _how(error))
            return
        self._test, self._test_until_s = os.urandom(8).hex(), time.monotonic() + _TEST_S
        if not self._say(self._test):
            self._lost("gone")

    def _receive(self) -> None:
        assert self._ear is not None  # it has something to read
        try:
            self._ear.pgconn.consume_input()
        except psycopg.Error:
            self._lost("gone")
            return
        while (said := self._ear.pgconn.notifies()) is not None:
            schema, _, test = said.extra.decode(errors="replace").partition(" ")
            if schema != self._address.schema:
                continue
            if not test:
                self.tell()
            elif test == self._test:
                self._test, self._retry_s, self.hears = "", _RETRY_S[0], True
                self.tell()  # what was said before is not known

    def _lost(self, how: Literal["gone", "deaf"]) -> None:
        self._close_ear()
        self._retry_at_s = time.monotonic() + (_DEAF_RETRY_S if how == "deaf" else self._retry_s)
        self._retry_s = min(2 * self._retry_s, _RETRY_S[1])

    def _close_ear(self) -> None:
        ear = self._ear
        self._forget_ear()
        if ear is not None:
            ear.close()

    def _forget_ear(self) -> None:
        self._ear = None
        self._test = ""
        self._test_until_s = 0.0
        if self.hears:
            self.hears = False
            self.tell()  # so that each looks by itself from now on

    # --- saying --------------------------------------------------------------------

    def _say(self, test: str) -> bool:
        payload = f"{self._address.schema} {test}".strip()
        try:
            connection, _ = begin(self._connections, self._address, self._limits, "write", _PATIENCE_MS)
            try:
                connection.execute(f"SET LOCAL synchronous_commit TO off; NOTIFY {CHANNEL}, '{payload}'; COMMIT")
            except psycopg.Error:
                roll_back(self._connections, connection)
                return False
            self._connections.put(connection)
        except HoldfastError:
            return False
        return True


def _how(error: psycopg.Error) -> Literal["gone", "deaf"]:
    # A standby cannot listen at all.
    return "deaf" if error.sqlstate and codes.kind_of(error.sqlstate) is not Busy else "gone"
