"""How a write is kept, and what is done when the answer to COMMIT is lost.

A COMMIT was sent, and the connection broke: it may be in or not, and running
the work again blindly would do it twice. So each write that changes something
leaves a token, a row of ``commits``, in the same round trip as its COMMIT.
Whoever lost the answer inserts the same token himself, marked as not kept:
the key admits one of the two. If ours is there first, the COMMIT failed and can
never succeed any more, however late it arrives; if the other is there, it was kept.
Unlike the status of a transaction id, that is true after a crash of the server,
too, which gives ids again, and after a failover to a copy that missed the COMMIT.
"""

from __future__ import annotations

import os
import time
import uuid

import psycopg

from holdfast.errors import Busy, HoldfastError, OutcomeUnknown
from holdfast.postgres import codes
from holdfast.postgres.address import Address
from holdfast.postgres.beginning import begin, roll_back
from holdfast.postgres.connections import Connection, Connections
from holdfast.postgres.settings import Limits
from holdfast.postgres.transactions import Writing

_SWEEP_EVERY = 1024  # commits of this process between two looks for old tokens
_SWEEP_MAX = 4096
_ASK_MS = 30_000  # how long is asked what became of a COMMIT: a server recovers in that time


class Committing:
    """Ends the writes of one store."""

    def __init__(self, connections: Connections, address: Address, limits: Limits) -> None:
        self._connections = connections
        self._address = address
        self._limits = limits
        self._commits = 0
        self.kept = 0
        """Writes that were kept, those that changed nothing included."""
        self.asked = 0
        """COMMITs whose answer was lost."""

    def commit(self, tx: Writing, connection: Connection) -> None:
        """Keep what ``tx`` did. Raises ``Busy`` when it certainly was not kept, ``OutcomeUnknown`` when unsure."""
        if tx.broken is not None:
            # COMMIT would answer ROLLBACK, and say nothing else.
            roll_back(self._connections, connection)
            raise type(tx.broken)(f"nothing was kept: {tx.broken}", remedy=tx.broken.remedy)
        token = _new_token(tx.server_ms) if tx.wrote and tx.token else None
        try:
            connection.execute("COMMIT" if token is None else self._last_words(token, tx.server_ms))
        except psycopg.Error as error:
            lost = connection.broken
            failure = codes.translate(error, "commit")
            roll_back(self._connections, connection)
            if not lost:
                raise failure from error
            self._connections.forget_idle()
            if token is None:
                self._doubt(tx, failure)
            elif not self._was_kept(token, tx.server_ms, failure):
                raise Busy(f"the connection was lost in COMMIT, and nothing was kept: {failure}") from error
        else:
            self._connections.put(connection)
        self.kept += 1

    def _doubt(self, tx: Writing, failure: HoldfastError) -> None:
        if not tx.token:  # a migration
            raise OutcomeUnknown(f"the answer to COMMIT was lost: {failure}", remedy="Open it again: that looks first.")
        # Only SELECTs: nothing to lose.

    def _last_words(self, token: uuid.UUID, server_ms: int) -> str:
        self._commits += 1
        sweep = ""
        if self._commits % _SWEEP_EVERY == 0:
            sweep = (
                f"DELETE FROM commits WHERE token IN (SELECT token FROM commits WHERE made_ms <"
                f" {server_ms - self._limits.token_ms} LIMIT {_SWEEP_MAX} FOR UPDATE SKIP LOCKED); "
            )
        return f"{sweep}INSERT INTO commits (token, made_ms, kept) VALUES ('{token}', {server_ms}, 1); COMMIT"

    def _was_kept(self, token: uuid.UUID, server_ms: int, failure: HoldfastError) -> bool:
        self.asked += 1
        deadline_ns = time.monotonic_ns() + _ASK_MS * 1_000_000
        while True:
            left_ms = (deadline_ns - time.monotonic_ns()) // 1_000_000
            try:
                return self._ask(token, server_ms, max(1, left_ms))
            except HoldfastError as error:
                if not isinstance(error, Busy) or time.monotonic_ns() >= deadline_ns:
                    raise OutcomeUnknown(
                        f"the answer to COMMIT was lost ({failure}), and what became of it cannot be asked: {error}"
                    ) from error

    def _ask(self, token: uuid.UUID, server_ms: int, wait_ms: int) -> bool:
        connection, _ = begin(self._connections, self._address, self._limits, "write", wait_ms)
        try:
            # Waits for a COMMIT that is still on its way inside the server: the key decides between the two.
            cursor = connection.execute(
                f"INSERT INTO commits (token, made_ms, kept) VALUES ('{token}', {server_ms}, 0)"
                " ON CONFLICT (token) DO UPDATE SET made_ms = excluded.made_ms RETURNING kept"
            )
            (row,) = cursor.fetchall()
            connection.execute("COMMIT")
        except psycopg.Error as error:
            roll_back(self._connections, connection)
            raise codes.translate(error, self._address.shown) from error
        self._connections.put(connection)
        return bool(row[0])


def _new_token(server_ms: int) -> uuid.UUID:
    # The time first, as in a UUIDv7: tokens of one moment lie on one page of the index, which is written once.
    return uuid.UUID(bytes=server_ms.to_bytes(6) + os.urandom(10))
