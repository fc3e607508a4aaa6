"""Notice that a file was changed, by any process: a look at ``PRAGMA data_version`` every few ms.

It is the number of commits this connection has seen others make
(sqlite.org/pragma.html#pragma_data_version). Readers never commit, so those of
this process count, too. One look is 12 us.
"""

from __future__ import annotations

from collections.abc import Callable

import apsw

from holdfast.errors import HoldfastError
from holdfast.sqlite import settings
from holdfast.sqlite.reads import Readers, ReadScope
from holdfast.waking import Bell, Waiting

_PAUSE_S = (0.002, 0.015)  # after a change; when nothing has changed for a while
_SLOWER = 1.2
_ERROR_PAUSE_S = 1.0
_CONNECTIONS_MAX = 8


class Looking(Waiting):
    """Looks as long as somebody waits. ``readers`` raises when the store was closed."""

    def __init__(self, readers: Callable[[], Readers]) -> None:
        self._readers = readers
        super().__init__()

    def watch(self, bell: Bell) -> None:
        """See ``Waiting``."""
        seen: dict[apsw.Connection, int] = {}
        pause_s = _PAUSE_S[0]
        while not self.is_over():
            try:
                changed = self._look(seen)
            except HoldfastError:
                # Whoever waits looks, too, and is told what is wrong.
                changed, self.hears, pause_s = self.hears, False, _ERROR_PAUSE_S
            else:
                self.hears = True
                pause_s = _PAUSE_S[0] if changed else min(pause_s * _SLOWER, _PAUSE_S[1])
            if changed:
                self.tell()
            bell.wait(pause_s)

    def _look(self, seen: dict[apsw.Connection, int]) -> bool:
        with ReadScope(self._readers(), lambda: 0) as tx:
            connection = tx.bare()
            version = settings.pragma_int(connection, "data_version")
        # Numbers of two connections cannot be compared, and a new one may have missed something.
        if (before := seen.get(connection)) is None and len(seen) > _CONNECTIONS_MAX:
            seen.clear()  # closed ones are among them: a fork replaces all
        seen[connection] = version
        return before != version
