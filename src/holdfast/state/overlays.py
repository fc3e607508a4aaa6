"""What a person, or a harness, says of a thread and Codex keeps in its database: git, memory, tools."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final

from holdfast.errors import Refused
from holdfast.rollouts import scan
from holdfast.state.doors import Doors, choice, thread_id_of
from holdfast.threads import store
from holdfast.threads.model import MemoryMode, Thread
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
