"""What a store of this engine is limited to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of the server one process may use, and for how long."""

    connections: int = 10
    """At most so many at once; none while nothing is done."""
    statement_ms: int = 60_000
    """A statement that runs longer is ended, and raises ``Busy``."""
    idle_ms: int = 60_000
    """A transaction of a process that stopped in the middle of it is ended: others wait for its rows."""
    read_wait_ms: int = 5_000
    """How long a read waits for a connection."""
    token_ms: int = 3_600_000
    """How long a COMMIT can be asked for (``committing.py``)."""
