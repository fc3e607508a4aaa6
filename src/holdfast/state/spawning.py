"""Which thread spawned which: what is said of it, and who is below whom."""

from __future__ import annotations

from holdfast import ids
from holdfast.engine import Row, Write
from holdfast.errors import Refused
from holdfast.state.doors import Doors, choice, row_ids, thread_id_of
from holdfast.threads import edges, store
from holdfast.threads.model import Spawn, SpawnStatus


class Spawning(Doors):
    """Doors of ``state.threads``. What is said wins over what the rollout of the child says."""

    def spawned(self, parent: str, child: str, status: SpawnStatus | str = SpawnStatus.OPEN) -> Spawn | None:
        """Say that ``parent`` spawned ``child`` (a thread id: it need not have a rollout yet). None: no such parent.

        Said again, the last word counts. Raises ``Refused`` when that would
        make a circle.
        """
        child_id, value = thread_id_of(child), choice(SpawnStatus, status).value
        thread = self._meant(parent)
        if thread is None:
            return None
        parent_id = thread_id_of(thread.id)

        def change(tx: Write) -> Spawn:
            edges.say(tx, self._home_of(tx, thread), parent_id, child_id, value, store.next_revision(tx))
            return Spawn(id=ids.text(child_id), parent_id=thread.id, status=value, said=True)

        return self._write(change)

    def set_spawn_status(self, child: str, status: SpawnStatus | str) -> Spawn | None:
        """Say whether ``child`` (a thread id) is open or closed; its parent stays. None when nobody says it has one."""
        child_id, value = thread_id_of(child), choice(SpawnStatus, status).value
        with self._reading() as tx:
            if tx is None or edges.spawn_of(tx, row_ids(self._state.look_up_homes(tx)), child_id) is None:
                return None

        def change(tx: Write) -> Spawn | None:
            found = edges.spawn_of(tx, row_ids(self._state.look_up_homes(tx)), child_id)
            if found is None:
                return None
            home_id, spawn = found
            edges.say(tx, home_id, thread_id_of(spawn.parent_id), child_id, value, store.next_revision(tx))
            return Spawn(id=spawn.id, parent_id=spawn.parent_id, status=value, said=True)

        return self._write(change)

    def children(self, text: str, status: SpawnStatus | str | None = None) -> list[Spawn] | None:
        """Return whom the thread spawned, the oldest id first, or None when there is no such thread.

        Deleted ones are left out. ``status`` asks for open or closed ones only.
        """
        return self._family(text, status, below=False)

    def descendants(self, text: str, status: SpawnStatus | str | None = None) -> list[Spawn] | None:
        """Return all below the thread, the nearest first (then the oldest id), or None when there is no such thread.

        ``status`` leaves out the others, not those below them. A statement for each generation.
        """
        return self._family(text, status, below=True)

    def _family(self, text: str, status: SpawnStatus | str | None, *, below: bool) -> list[Spawn] | None:
        wanted = None if status is None else choice(SpawnStatus, status).value
        thread = self.resolve(text)
        if thread is None:
            return None
        id16 = thread_id_of(thread.id)
        with self._reading() as tx:
            home_id = self._home_of(tx, thread) if tx is not None else 0
            if tx is None or not home_id:
                raise Refused(
                    f"who was spawned by {thread.id} is not indexed yet",
                    remedy="Open the state, or call state.index().",
                )
            rows: list[Row] = edges.below(tx, home_id, id16) if below else edges.children(tx, home_id, [id16])
        return [
            edges.spawn(row)
            for row in rows
            if row["deleted_said_ms"] is None and (wanted is None or row["status"] == wanted)
        ]
