"""How many lines a second one logger, or one template, may write. Off unless asked for.

Threads may get a few lines more than the limit past it; what is dropped is counted exactly.
"""

from __future__ import annotations

import logging

_KEYS_MAX = 1_024


class Rates:
    """Limits in lines per second; None is no limit."""

    def __init__(self, per_target: int | None, per_template: int | None) -> None:
        self._per_target = per_target
        self._per_template = per_template
        self._seen: dict[object, list[int]] = {}

    def allow(self, record: logging.LogRecord) -> bool:
        """Return False for a line beyond a limit. An ERROR is never beyond one."""
        if record.levelno >= logging.ERROR:
            return True
        second = int(record.created)
        if self._per_template is not None:
            template = record.msg if isinstance(record.msg, str) else None
            if not self._below(self._per_template, (record.pathname, record.lineno, template), second):
                return False
        return self._per_target is None or self._below(self._per_target, record.name, second)

    def _below(self, limit: int, key: object, second: int) -> bool:
        seen = self._seen.get(key)
        if seen is None or seen[0] != second:
            if len(self._seen) >= _KEYS_MAX:
                self._seen = {}
            seen = self._seen[key] = [second, 0]
        seen[1] += 1
        return seen[1] <= limit
