"""How a program writes threads: those of its own home, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.state.doors import Doors

if TYPE_CHECKING:
    from holdfast.ingest.live import LiveThread
    from holdfast.rollouts.writing.model import Sync


class Own(Doors):
    """Doors of ``state.threads`` for the home that ``holdfast.open`` was given as ``own``."""

    def create(self, *, cwd: str, sync: Sync = "append", **meta: Any) -> LiveThread:
        """Return the writer of a new thread in the own home, working in ``cwd`` (absolute). Nothing is there yet.

        ``meta`` are further keys of its ``session_meta``: ``source``,
        ``model_provider``, ``base_instructions``, ``history_mode``, ``id``, ...
        ``sync``: ``append`` (an item is on the disk when ``append`` returns),
        ``turn`` (when its turn ends) or ``never``. Raises ``Refused`` without an own home, and for an ``id`` that a
        thread of the home has, or had; only with an ``id`` is the home walked for it.
        """
        from holdfast.state import live  # for the few who write

        return live.create(self._state, sync=sync, meta={"cwd": cwd, **meta})

    def resume(self, text: str, *, sync: Sync = "append", wait_ms: float = 0) -> LiveThread | None:
        """Return a writer that goes on with a thread of the own home; None: no such thread.

        A torn last line is put into ``backups/`` and cut off. Raises ``Busy``
        with the name of who else writes it after ``wait_ms``, ``Refused`` for a thread of another home, and for one
        that is archived, deleted, or whose file is gone.
        """
        from holdfast.state import live

        return live.resume(self._state, text, sync=sync, wait_ms=wait_ms)

    def fork(self, text: str, *, at: int | None = None, sync: Sync = "append", **meta: Any) -> LiveThread | None:
        """Return the writer of a new thread that begins with the lines of another; None: no such thread.

        ``at``: without the lines numbered so and above. In the own home it
        points at them, as Codex does; those of another home, and of a legacy thread, are copied. A thread that is
        just being written, here or by another process, is forked where it ends now.
        """
        from holdfast.state import live

        return live.fork(self._state, text, at=at, sync=sync, meta=meta)
