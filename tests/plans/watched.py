"""A transaction that remembers what it was asked, and how SQLite goes about it."""

from __future__ import annotations

from holdfast.sql import Statement


class Watched:
    """A transaction that keeps what it was asked."""

    def __init__(self, tx):
        self._tx = tx
        self.now_ms = tx.now_ms
        self.hint = tx.hint
        self.asked = {}

    def __getattr__(self, name):
        def ask(statement, /, **params):
            self.asked[statement.sqlite] = (statement, params)
            return getattr(self._tx, name)(statement, **params)

        return ask

    def plans(self):
        """Return how SQLite goes about each statement, as lines."""
        for statement, params in self.asked.values():
            text = f"EXPLAIN QUERY PLAN {statement.sqlite}"
            rows = self._tx.rows(Statement("plan", text, text, statement.params, frozenset()), **params)
            yield statement.name, [row["detail"] for row in rows]
