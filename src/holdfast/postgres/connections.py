"""The connections of one database in this process: made when needed, kept while idle, never carried across a fork.

Not psycopg_pool: that connects from threads of its own, so a wrong password
would be a line in a log and a timeout for the caller, and its threads do not
survive a fork. Here whoever needs a connection makes it, and gets the error.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.rows import tuple_row
from psycopg.types.string import StrDumperUnknown

from holdfast.errors import Busy, Unsupported
from holdfast.postgres import codes
from holdfast.postgres.address import Address

Connection = psycopg.Connection[tuple[Any, ...]]

_OLDEST_VERSION = 140000
_PAUSE_S = (0.02, 0.5)  # between two attempts to connect: the first, the longest
# A server that vanished without a word (tcp(7)): a statement is not waited for longer than this. In ms and s.
_TCP = {"tcp_user_timeout": 15_000, "keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3}

_inherited: list[list[Connection]] = []
"""Connections of the parent: never closed here, because closing says goodbye on a socket that is not ours."""


class Connections:
    """At most ``most`` connections, each used by one transaction at a time."""

    def __init__(self, address: Address, most: int) -> None:
        self._address = address
        self._most = most
        self.made = 0
        """Connections made so far, in this process."""
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._changed = threading.Condition()
        self._idle: list[Connection] = []
        self._out = 0
        self._closed = False

    def take(self, deadline_ns: int) -> Connection:
        """Return a connection, idle or new. It may have died while idle: the first statement tells.

        Waits for one to come back, and for a server that is down to come up.
        Raises ``Busy`` at the deadline, ``Refused`` and ``Unsupported`` at once.
        """
        self._after_fork()
        began_ns = time.monotonic_ns()
        with self._changed:
            while not self._idle and self._out >= self._most:
                if not self._changed.wait(max(0, deadline_ns - time.monotonic_ns()) / 1e9):
                    raise Busy(
                        f"waited {_ms_since(began_ns)} ms for one of the {self._most} connections of this process to"
                        f" {self._address.shown}",
                        remedy="Transactions here are long, or threads many. Open the state with more connections.",
                    )
            self._out += 1
            if self._idle:
                return self._idle.pop()
        try:
            return self._connect(began_ns, deadline_ns)
        except BaseException:
            self._back(None)
            raise

    def alone(self, deadline_ns: int) -> Connection:
        """Return a new connection that is the caller's to close: for one that must stay the same, to listen on."""
        self._after_fork()
        return self._connect(time.monotonic_ns(), deadline_ns)

    def put(self, connection: Connection) -> None:
        """Take a connection back. One that is broken, or still in a transaction, is closed."""
        if self._pid != os.getpid():
            return
        usable = not connection.broken and not connection.closed
        if usable and connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE and not self._closed:
            self._back(connection)
        else:
            connection.close()
            self._back(None)

    def forget_idle(self) -> None:
        """Close what is idle: one of them turned out to be dead, and the others died with it."""
        with self._changed:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def close(self) -> None:
        """Close what is idle; what is in use is closed when it comes back."""
        self._after_fork()
        self._closed = True
        self.forget_idle()

    def _back(self, connection: Connection | None) -> None:
        with self._changed:
            self._out -= 1
            if connection is not None:
                self._idle.append(connection)
            self._changed.notify()

    def _after_fork(self) -> None:
        if self._pid != os.getpid():
            _inherited.append(self._idle)
            self._begin()

    def _connect(self, began_ns: int, deadline_ns: int) -> Connection:
        pause_s = _PAUSE_S[0]
        while True:
            try:
                return self._connect_once(deadline_ns)
            except Busy as error:
                left_s = (deadline_ns - time.monotonic_ns()) / 1e9
                if left_s <= pause_s:
                    raise Busy(f"waited {_ms_since(began_ns)} ms: {error}", remedy=error.remedy) from error
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _PAUSE_S[1])

    def _connect_once(self, deadline_ns: int) -> Connection:
        left_s = max(1, -(-(deadline_ns - time.monotonic_ns()) // 1_000_000_000))
        shown = self._address.shown
        try:
            connection = psycopg.connect(
                self._address.url,
                autocommit=True,  # BEGIN and COMMIT are sent by us
                prepare_threshold=None,  # each BEGIN decides (`beginning.py`)
                row_factory=tuple_row,
                **_defaults(self._address.url, connect_timeout=left_s, client_encoding="UTF8", **_TCP),
            )
        except (psycopg.Error, UnicodeError, ValueError) as error:
            raise codes.translate(error, shown) from _without_url(error)
        connection.adapters.register_dumper(str, _NoNul)
        try:
            _check(connection, shown)
        except BaseException:
            connection.close()
            raise
        self.made += 1
        return connection


class _NoNul(StrDumperUnknown):
    """PostgreSQL's text holds every character but NUL. One in a transcript must not keep the rest of it out."""

    def dump(self, obj: str) -> Buffer | None:
        return super().dump(obj.replace("\0", "\ufffd") if "\0" in obj else obj)


def _defaults(url: str, **options: object) -> dict[str, Any]:
    given = psycopg.conninfo.conninfo_to_dict(url)
    return {"application_name": "holdfast", **options, **{key: given[key] for key in options if key in given}}


def _check(connection: Connection, shown: str) -> None:
    info = connection.info
    if info.server_version < _OLDEST_VERSION:
        raise Unsupported(
            f"{shown} runs PostgreSQL {info.server_version // 10_000}",
            remedy="Use PostgreSQL 14 or newer.",
        )
    if info.parameter_status("server_encoding") != "UTF8":
        raise Unsupported(
            f"the database at {shown} stores text as {info.parameter_status('server_encoding')}",
            remedy="Create a database with ENCODING 'UTF8'.",
        )


def _without_url(error: Exception) -> Exception | None:
    # psycopg quotes a URL it cannot parse, with the password in it.
    return None if isinstance(error, psycopg.ProgrammingError) else error


def _ms_since(began_ns: int) -> int:
    return (time.monotonic_ns() - began_ns) // 1_000_000
