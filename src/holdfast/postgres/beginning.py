"""How a transaction begins: in one round trip, with everything that is ours said inside it.

Nothing is left in the session: behind a pooler the next transaction may run on
another server connection. So schema, limits and clock are asked for each time,
in one message of several statements (0.1 ms on a local socket, as BEGIN alone).

The one thing that stays is what the server prepared: to parse and plan the
statements of a claim anew costs it twice what it takes to run them. They are
used only where the server's process is the one this connection began with,
which each BEGIN asks for: a pooler in transaction mode shows another number.
"""

from __future__ import annotations

import time
from typing import Literal, LiteralString

import psycopg

from holdfast.errors import Busy
from holdfast.postgres import codes
from holdfast.postgres.address import Address
from holdfast.postgres.connections import Connection, Connections
from holdfast.postgres.settings import Limits

Mode = Literal["read", "write"]
_PREPARE_AFTER = 5  # uses of a statement on one connection; psycopg's own choice
_MODES = {"read": "REPEATABLE READ READ ONLY", "write": "READ COMMITTED"}


def begin(
    connections: Connections, address: Address, limits: Limits, mode: Mode, wait_ms: int
) -> tuple[Connection, int]:
    """Return a connection with a transaction begun on it, and the server's clock then (ms since the epoch).

    Waits up to ``wait_ms`` for a connection; a row that somebody else changes
    is later waited for as long. Raises ``Busy``, ``Refused``, ``Unsupported``.
    """
    deadline_ns = time.monotonic_ns() + wait_ms * 1_000_000
    text = _text(address.schema, limits, mode, wait_ms)
    while True:
        connection = connections.take(deadline_ns)
        try:
            read_only, server_ms, process = _begin(connection, text)
            # Not in reads: they are a few statements with many optional filters, and a plan for all of them suits none.
            same = mode == "write" and process == connection.info.backend_pid
            connection.prepare_threshold = _PREPARE_AFTER if same else None
            if mode == "write" and read_only == "on":
                raise codes.kind_of("25006")(
                    f"{address.shown} takes no writes: it is a standby, or read-only by its settings",
                    remedy=codes.REMEDIES["25006"],
                )
            return connection, server_ms
        except psycopg.Error as error:
            dead = connection.broken
            connections.put(connection)
            failure = codes.translate(error, address.shown)
            if not dead or not isinstance(failure, Busy) or time.monotonic_ns() >= deadline_ns:
                raise failure from error
            # It died while it was idle, and nothing had begun: the server was restarted, perhaps.
            connections.forget_idle()
        except BaseException:
            roll_back(connections, connection)
            raise


def roll_back(connections: Connections, connection: Connection) -> None:
    """End what is open on ``connection`` without keeping it, and give it back. Never raises."""
    _end(connections, connection, "ROLLBACK")


def end_reading(connections: Connections, connection: Connection) -> None:
    """End a read, and give its connection back. Never raises."""
    _end(connections, connection, "COMMIT")  # after a ROLLBACK psycopg forgets what it prepared


def _end(connections: Connections, connection: Connection, word: LiteralString) -> None:
    try:
        if not connection.broken:
            connection.execute(word)
    except psycopg.Error:
        pass  # the server rolls back what loses its connection
    finally:
        connections.put(connection)


def _begin(connection: Connection, text: str) -> tuple[str, int, int]:
    cursor = connection.execute(text)
    cursor.nextset()
    row = cursor.fetchone()
    assert row is not None  # a select without FROM has one row
    return row[0], row[1], row[2]


def _text(schema: str, limits: Limits, mode: Mode, wait_ms: int) -> str:
    # A table of the same name in pg_temp would be found first, if it were not named last.
    settings = {
        "search_path": f"{schema}, pg_temp",
        "lock_timeout": min(max(1, wait_ms), 2**31 - 1),  # a C int
        "statement_timeout": limits.statement_ms,
        "idle_in_transaction_session_timeout": limits.idle_ms,
    }
    said = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items())
    return (
        f"BEGIN ISOLATION LEVEL {_MODES[mode]};"
        " SELECT current_setting('transaction_read_only'),"
        f" CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint), pg_backend_pid(), {said}"
    )
