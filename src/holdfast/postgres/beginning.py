"""How a transaction begins: in one round trip, with everything that is ours said inside it.

Nothing is left in the session: behind a pooler the next transaction may run on
another server connection. So schema, limits and clock are asked for each time,
in one message of several statements (0.1 ms on a local socket, as BEGIN alone).
"""

from __future__ import annotations

import time
from typing import Literal

import psycopg

from holdfast.errors import Busy
from holdfast.postgres import codes
from holdfast.postgres.address import Address
from holdfast.postgres.connections import Connection, Connections
from holdfast.postgres.settings import Limits

Mode = Literal["read", "write"]
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
            read_only, server_ms = _begin(connection, text)
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
    try:
        if not connection.broken:
            connection.execute("ROLLBACK")
    except psycopg.Error:
        pass  # the server rolls back what loses its connection
    finally:
        connections.put(connection)


def _begin(connection: Connection, text: str) -> tuple[str, int]:
    cursor = connection.execute(text)
    cursor.nextset()
    row = cursor.fetchone()
    assert row is not None  # a select without FROM has one row
    return row[0], row[1]


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
        f" CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint), {said}"
    )
