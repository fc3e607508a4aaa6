"""What every door of ``state.threads`` stands on: a transaction of its own or the caller's, and the thread meant."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar, cast

from holdfast import ids
from holdfast.engine import Read, Write
from holdfast.errors import Refused
from holdfast.state import said
from holdfast.threads import store
from holdfast.threads.model import Home, Thread

if TYPE_CHECKING:
    from holdfast.state.handle import State

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)


class Doors:
    """The base of ``Threads``. ``tx`` None: each door begins a transaction of its own."""

    def __init__(self, state: State, tx: Read | None = None) -> None:
        self._state = state
        self._tx = tx

    def resolve(self, text: str) -> Thread | None:
        """See ``Threads.resolve``."""
        raise NotImplementedError

    def _say(self, text: str, say: Callable[[Write, Sequence[int], bytes], object]) -> Thread | None:
        """Have ``say`` change the thread meant; return it as it is then, or None when there is none."""
        thread = self._meant(text)
        if thread is None:
            return None

        def change(tx: Write) -> Thread | None:
            homes, id16 = row_ids(self._state.look_up_homes(tx)), thread_id_of(thread.id)
            say(tx, homes, id16)
            return store.get(tx, homes, id16)

        return self._write(change)

    def _write(self, change: Callable[[Write], T]) -> T:
        """Run ``change``, which says something; what was said is kept a second time a moment later."""
        with self._writing() as tx:
            answer = change(tx)
            said_at = said.moment(tx)
        self._state.promise_snapshot(said_at)
        return answer

    def _meant(self, text: str) -> Thread | None:
        """Return the thread that ``text`` means, with a row in the index, or None. Raises ``Refused``."""
        thread = self.resolve(text)
        if thread is None or self._known(thread_id_of(thread.id)):
            return thread
        if self._tx is not None:
            raise Refused(
                f"thread {thread.id} is younger than the index, which cannot be changed inside a transaction",
                remedy="Call state.index() before, or do it outside of the transaction.",
            )
        self._state.index_thread(thread)
        return thread

    def _known(self, id16: bytes) -> bool:
        with self._reading() as tx:
            return tx is not None and store.get(tx, row_ids(self._state.look_up_homes(tx)), id16) is not None

    def _home_of(self, tx: Read, thread: Thread) -> int:
        return next(home.home_id for home in self._state.look_up_homes(tx) if home.path == thread.home)

    @contextmanager
    def _reading(self) -> Iterator[Read | None]:
        if self._tx is not None or self._state.engine is None:
            yield self._tx
            return
        with self._state.engine.read() as tx:
            yield tx

    @contextmanager
    def _writing(self) -> Iterator[Write]:
        if self._tx is not None:
            if not hasattr(self._tx, "run"):
                raise Refused("this transaction is for reading: use state.write() or state.submit()")
            yield cast("Write", self._tx)
            return
        with self._state.write() as tx:
            yield tx


def row_ids(homes: Sequence[Home]) -> list[int]:
    """Return the ids of those homes that have rows."""
    return [home.home_id for home in homes if home.home_id]


def thread_id_of(text: str) -> bytes:
    """Return the 16 bytes of a thread id. Raises ``Refused`` for other text."""
    id16 = ids.parse(text)
    if id16 is None:
        raise Refused(f"{text!r} is no thread id", remedy="A thread id is a UUID; `resolve` takes names, too.")
    return id16


def choice(kind: type[E], value: str) -> E:
    """Return the member of ``kind`` with this value. Raises ``Refused`` for another."""
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(each.value for each in kind)
        raise Refused(f"{value!r} is not one of: {known}") from None
