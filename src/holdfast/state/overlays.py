"""What only a person says of a thread beside its name and its archive mark: git, memory, tools, deleted."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final

from holdfast import holds, ids
from holdfast.engine import Read, Row, Write
from holdfast.errors import Refused
from holdfast.rollouts import scan
from holdfast.state.doors import Doors, choice, row_ids, thread_id_of
from holdfast.threads import deletion, rules, store
from holdfast.threads.model import Deleted, DeletePreview, Doomed, MemoryMode, Thread
from holdfast.tools import rules as tool_rules
from holdfast.tools import store as tool_rows
from holdfast.tools.model import Tool


class Unset(Enum):
    """The value of what was not given: None means "take it away"."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET


class Overlays(Doors):
    """Doors of ``state.threads``. The home is never touched, and no index undoes what was said."""

    def set_git(
        self,
        text: str,
        *,
        sha: str | Unset | None = UNSET,
        branch: str | Unset | None = UNSET,
        origin_url: str | Unset | None = UNSET,
    ) -> Thread | None:
        """Say where the work of the thread stands in git: what is not given stays, None takes it away.

        None: no such thread. Raises ``Refused`` when nothing is given.
        """
        given = {"sha": sha, "branch": branch, "origin_url": origin_url}
        fields = {name: value for name, value in given.items() if not isinstance(value, Unset)}
        if not fields:
            raise Refused("nothing to set was given", remedy="Give sha, branch or origin_url; None takes one away.")
        return self._say(text, lambda tx, homes, id16: store.set_git(tx, homes, id16, fields))

    def set_memory_mode(self, text: str, mode: MemoryMode | str) -> Thread | None:
        """Say whether the thread may be remembered: enabled, disabled or polluted. None: no such thread."""
        value = choice(MemoryMode, mode).value
        return self._say(text, lambda tx, homes, id16: store.set_memory_mode(tx, homes, id16, value))

    def tools(self, text: str) -> list[Tool] | None:
        """Return the tools the harness offers in the thread; None when nobody says, or there is no such thread."""
        thread = self.resolve(text)
        with self._reading() as tx:
            if thread is None:
                return None
            home_id = self._home_of(tx, thread) if tx is not None else 0
            id16 = thread_id_of(thread.id)
            if tx is not None and home_id and store.get(tx, [home_id], id16) is not None:
                return tool_rows.get(tx, home_id, id16)
        facts = scan(thread.rollout_path).facts  # not indexed yet
        return tool_rules.decode(facts.tools) if facts is not None and facts.tools is not None else None

    def set_tools(self, text: str, tools: Iterable[Tool] | None) -> Thread | None:
        """Say which tools the thread has: the whole list at once, in this order; an empty one is one, too.

        ``tools`` None takes back what was said: what the rollout says counts
        again. None: no such thread. Raises ``Refused`` for two tools of one
        name, and over 256 KiB.
        """
        listed = None if tools is None else list(tools)
        thread = self._meant(text)
        if thread is None:
            return None
        id16 = thread_id_of(thread.id)
        self._write(lambda tx: tool_rows.say(tx, self._home_of(tx, thread), id16, listed))
        return thread

    def preview_delete(self, text: str, *, descendants: bool = True) -> DeletePreview | None:
        """Return what ``delete`` would take out of sight, measured; None when there is no such thread."""
        thread = self._meant(text)
        if thread is None:
            return None
        with self._reading() as tx:
            assert tx is not None  # it has a row
            home_id = self._home_of(tx, thread)
            rows = deletion.doomed(tx, home_id, thread_id_of(thread.id), descendants=descendants)
            messages = self._state.words.messages_of(self._state, [row["n"] for row in rows])
            doomed = tuple(self._doomed(tx, thread, row, messages.get(row["n"], 0)) for row in rows)
        return DeletePreview(thread_id=thread.id, home=thread.home, threads=doomed)

    def delete(self, text: str, *, descendants: bool = True) -> Deleted | None:
        """Take the thread, and all it spawned, out of every list, search and look-up. None: no such thread.

        An overlay: the home is not touched, and whatever is written to the
        rollout later, the thread stays away until ``undelete``. Its words leave
        the index with the next feed; its row, tools and edges stay, since
        without them the next index would bring it back, and nobody else. What
        it spawned and has no rollout yet is not deleted. All in one transaction.
        """
        thread = self._meant(text)
        if thread is None:
            return None
        id16 = thread_id_of(thread.id)

        def change(tx: Write) -> Deleted:
            gone = deletion.delete(tx, self._home_of(tx, thread), id16, descendants=descendants)
            return Deleted(thread_id=thread.id, home=thread.home, thread_ids=tuple(gone), deleted_at_ms=tx.now_ms)

        deleted = self._write(change)
        if self._tx is None:
            self._state.words.feed_in_background(self._state)
        return deleted

    def undelete(self, text: str) -> Thread | None:
        """Bring back a deleted thread, and those that were deleted with it, as they were.

        ``text`` means one of the deleted threads. None when there is none such.
        """
        with self._reading() as tx:
            if tx is None:
                return None
            homes = row_ids(self._state.look_up_homes(tx))
            thread = rules.meant(text, deletion.listing(tx, homes))
        if thread is None:
            return None
        id16 = thread_id_of(thread.id)

        def change(tx: Write) -> Thread | None:
            home_id = self._home_of(tx, thread)
            deletion.undelete(tx, home_id, id16)
            return store.get(tx, [home_id], id16)

        return self._write(change)

    def _doomed(self, tx: Read, thread: Thread, row: Row, messages: int) -> Doomed:
        tools = tool_rows.get(tx, row["home_id"], row["thread_id"])
        id = ids.text(row["thread_id"])
        return Doomed(
            id=id,
            label=row["label"] or id,
            file=f"{thread.home}/{row['path']}{'.zst' if row['zst'] else ''}",
            bytes=row["size"] if row["missing_since_ms"] is None else 0,
            messages=messages,
            tools=None if tools is None else len(tools),
            edges=row["edges"],
            holds=tuple(
                f"{hold.resource} by {holds.describe(hold.owner)}"
                for hold in holds.listing(tx)
                if id in hold.resource and not holds.over(hold, now_ms=tx.now_ms)
            ),
        )
