"""Notice that a file was changed, by any process: a look at its version every few ms.

That is the head of the -shm, which counts commits; or, where it cannot be read,
``PRAGMA data_version`` (sqlite.org/pragma.html#pragma_data_version). After a sleep
the first costs 20 us, a read with the PRAGMA 270: at 40 looks a second that is the
difference between half a percent of a CPU and 1.4.
"""

from __future__ import annotations

from collections.abc import Callable

from holdfast.errors import HoldfastError
from holdfast.sqlite.reads import Readers
from holdfast.waking import Bell, Waiting

_PAUSE_S = (0.002, 0.025)  # after a change; when nothing has changed for a while
_SLOWER = 1.2
_ERROR_PAUSE_S = 1.0


class Looking(Waiting):
    """Looks as long as somebody waits."""

    def __init__(self, readers: Callable[[], Readers]) -> None:
        self._readers = readers
        super().__init__()

    def watch(self, bell: Bell) -> None:
        """See ``Waiting``."""
        seen: object = None
        pause_s = _PAUSE_S[0]
        while not self.is_over():
            try:
                version = self._readers().version()
            except HoldfastError:
                # Whoever waits looks, too, and is told what is wrong.
                version, pause_s = None, _ERROR_PAUSE_S
            else:
                pause_s = min(pause_s * _SLOWER, _PAUSE_S[1]) if version == seen else _PAUSE_S[0]
            self.hears = version is not None
            if version != seen:
                seen = version
                self.tell()
            bell.wait(pause_s)
