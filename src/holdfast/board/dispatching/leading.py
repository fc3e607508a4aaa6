"""Who leads: one dispatcher per board claims, the others stand by. What a leader tells of itself is in its hold."""

from __future__ import annotations

import os
from collections.abc import Callable

import msgspec

from holdfast import holds
from holdfast.board.dispatching.model import Leader, Told
from holdfast.clock import boot_ms
from holdfast.engine import Engine, Read
from holdfast.holds import Hold, Keeper, Watch

LEASE_MS = 5_000
_LOOK_MS = 1_000
_RESOURCE = "board:dispatcher:"
_ALL = "*"  # no board is called so


class Lead:
    """The right to dispatch one board (None: all), or the wish for it."""

    def __init__(self, engine: Engine, board: str | None, *, watch: Watch, wake: Callable[[], object]) -> None:
        # Two dispatchers of one process are two: a hold may be extended by its owner.
        self.owner = holds.me(f"dispatcher {os.urandom(4).hex()}")
        self._engine = engine
        self._resource = _RESOURCE + (_ALL if board is None else board)
        self._watch = watch
        self._wake = wake
        self._keeper: Keeper | None = None
        self._looked_ms = -_LOOK_MS
        self._told = Told()

    @property
    def hold(self) -> Hold | None:
        """What we lead by; None: we stand by."""
        if self._keeper is not None and self._keeper.lost.is_set():
            self._keeper.stop()
            self._keeper = None
        return None if self._keeper is None else self._keeper.hold

    def look(self) -> bool:
        """Lead, if nobody else does; return whether we do. A read each second while we stand by."""
        if self.hold is not None:
            return True
        if boot_ms() - self._looked_ms < _LOOK_MS:
            return False
        self._looked_ms = boot_ms()
        with self._engine.read() as tx:
            seen = holds.get(tx, self._resource)
            if seen is not None and not holds.over(seen, now_ms=tx.now_ms) and not holds.is_dead(seen.owner):
                return False
        with self._engine.write() as tx:
            got = holds.take(tx, self._resource, self.owner, lease_ms=LEASE_MS)
        if not isinstance(got, Hold):
            return False
        self._keeper = Keeper(self._engine, got, LEASE_MS, watch=self._watch, on_lost=self._wake)
        self.tell(self._told)
        return True

    def tell(self, told: Told) -> None:
        """Have others know, with the next renewal."""
        self._told = told
        if self._keeper is not None:
            self._keeper.note = msgspec.json.encode(told).decode()

    def leave(self) -> None:
        """Lead no more: another may, at once."""
        if (hold := self.hold) is None or self._keeper is None:
            return
        self._keeper.stop()
        self._keeper = None
        with self._engine.write(reserve=True) as tx:
            holds.release(tx, hold)
            tx.hint()


def leaders(tx: Read) -> list[Leader]:
    """Return who dispatches which board, and what each told last. One read."""
    return [
        Leader(
            None if (slug := hold.resource.removeprefix(_RESOURCE)) == _ALL else slug,
            hold.owner,
            hold.taken_ms,
            hold.renewed_ms,
            not holds.over(hold, now_ms=tx.now_ms) and not holds.is_dead(hold.owner),
            _told(hold.note),
        )
        for hold in holds.listing(tx)
        if hold.resource.startswith(_RESOURCE)
    ]


def _told(note: str) -> Told:
    try:
        return msgspec.json.decode(note, type=Told) if note else Told()
    except msgspec.MsgspecError:  # of another version
        return Told()
