"""What people do with threads: name, archive and delete them. Beside the home, or by name in it, as Codex would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, overload

from holdfast import holds, ids
from holdfast.engine import Read, Row, Write
from holdfast.errors import Refused
from holdfast.state.doors import Doors, row_ids, thread_id_of
from holdfast.threads import deletion, rules, store
from holdfast.threads.model import Deleted, DeletePreview, Doomed, Thread
from holdfast.tools import store as tool_rows

if TYPE_CHECKING:
    from holdfast.state.carrying import InHomeChange
    from holdfast.state.in_home import InHome


class Changing(Doors):
    """Doors of ``state.threads``. Without ``in_home`` the home is never touched, and no index undoes what was said."""

    @overload
    def rename(self, text: str, name: str, *, in_home: Literal[False] = False) -> Thread | None: ...
    @overload
    def rename(self, text: str, name: str, *, in_home: Literal[True]) -> InHomeChange | None: ...
    def rename(self, text: str, name: str, *, in_home: bool = False) -> Thread | InHomeChange | None:
        """Call the thread ``name``; an empty one takes the name away. None when there is no such thread.

        An overlay in our state: the home is not touched, unless ``in_home`` asks for it (``InHome.rename``).
        """
        if in_home:
            return self._in_home().rename(text, name)
        return self._say(text, lambda tx, homes, id16: store.rename(tx, homes, id16, name))

    @overload
    def archive(self, text: str, *, in_home: Literal[False] = False) -> Thread | None: ...
    @overload
    def archive(self, text: str, *, in_home: Literal[True]) -> InHomeChange | None: ...
    def archive(self, text: str, *, in_home: bool = False) -> Thread | InHomeChange | None:
        """Put the thread among the archived ones. None: no such thread.

        An overlay; ``in_home`` moves its file instead, and those of its sub-agents (``InHome.archive``).
        """
        if in_home:
            return self._in_home().archive(text)
        return self._say(text, lambda tx, homes, id16: store.set_archived(tx, homes, id16, archived=True))

    @overload
    def unarchive(self, text: str, *, in_home: Literal[False] = False) -> Thread | None: ...
    @overload
    def unarchive(self, text: str, *, in_home: Literal[True]) -> InHomeChange | None: ...
    def unarchive(self, text: str, *, in_home: bool = False) -> Thread | InHomeChange | None:
        """Take the thread back from the archived ones: an overlay, or with ``in_home`` its file."""
        if in_home:
            return self._in_home().unarchive(text)
        return self._say(text, lambda tx, homes, id16: store.set_archived(tx, homes, id16, archived=False))

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

    @overload
    def delete(self, text: str, *, descendants: bool = True, in_home: Literal[False] = False) -> Deleted | None: ...
    @overload
    def delete(self, text: str, *, in_home: Literal[True]) -> InHomeChange | None: ...
    def delete(self, text: str, *, descendants: bool = True, in_home: bool = False) -> Deleted | InHomeChange | None:
        """Take the thread, and all it spawned, out of every list, search and look-up. None: no such thread.

        With ``in_home`` its files go, and those of what it spawned (``InHome.delete``); a receipt keeps a copy. Else
        an overlay: the home is not touched, and whatever is written to the
        rollout later, the thread stays away until ``undelete``. Its words leave
        the index with the next feed; its row, tools and edges stay, since
        without them the next index would bring it back, and nobody else. What
        it spawned and has no rollout yet is not deleted. All in one transaction.
        """
        if in_home:
            if not descendants:
                raise Refused("in a home a thread goes with all it spawned, as Codex does it")
            return self._in_home().delete(text)
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

    def _in_home(self) -> InHome:
        if self._tx is not None:
            raise Refused(
                "files cannot be changed inside a transaction: it could be rolled back, they could not",
                remedy="Call it on state.threads.",
            )
        return self._state.in_home
