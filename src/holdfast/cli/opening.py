"""How commands come to a state: indexed as far as the command needs it, or only looked at."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from holdfast.cli.failing import Interrupted
from holdfast.cli.given import Given
from holdfast.cli.render import out
from holdfast.errors import Busy, Full, HoldfastError, Unsupported

if TYPE_CHECKING:
    from holdfast.ingest.model import OnProgress
    from holdfast.search.model import FeedReport
    from holdfast.state import State

_PATIENCE_MS = 1_000
_SMALL_FILES = 2_000  # looked through again in 20 ms


@contextmanager
def opened(given: Given, *, refresh: bool | None = None, only_look: bool = False) -> Iterator[State]:
    """Open the state, with a bar on a terminal while it indexes.

    A home never indexed is indexed. ``refresh`` None: a small home is looked
    through again, and a large one only where new threads mostly are, because a
    look at 50,000 files takes longer than the answer. ``state.reports`` is
    empty when nobody looked at all of it.

    ``only_look`` is for commands that change nothing: where the state cannot be written (a full disk, no
    permission), they answer from what is indexed, and say so.
    """
    from holdfast.cli.render.progress import bar

    with ExitStack() as closing:
        with interruptible(), bar() as on_progress:
            state = closing.enter_context(_open(given, on_progress, refresh=bool(refresh), only_look=only_look))
            if refresh is not None or state.reports or state.read_only:
                pass
            elif not _is_small(state):
                state.catch_up()
            else:
                # Who indexes it just now will be done in a moment; if not, the index answers as it is.
                with suppress(Busy):
                    state.reports = state.index(on_progress=on_progress, wait_ms=_PATIENCE_MS)
        yield state


def _open(given: Given, on_progress: OnProgress | None, *, refresh: bool, only_look: bool) -> State:
    import holdfast

    try:
        return holdfast.open(
            given.home, state_dir=given.state_dir, refresh=refresh, search=False, on_progress=on_progress
        )
    except (Full, Unsupported) as error:
        if refresh or not only_look:
            raise
        try:
            state = holdfast.peek(given.home, state_dir=given.state_dir)
        except HoldfastError:
            raise error from None
        if state.engine is None:  # nothing was ever kept there: a wrong path, more likely than a full disk
            state.close()
            raise
        out.note(f"Only looked, nothing was indexed: {error}")
        return state


@contextmanager
def interruptible() -> Iterator[None]:
    """Make Ctrl-C during an index say what became of the work."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(
            "interrupted; what was committed stays", remedy="`holdfast index` goes on from there."
        ) from None


def note_unfed(fed: FeedReport) -> None:
    """Say on stderr why the index of words is not up to date, when it is not."""
    if fed.by is not None:
        out.note(f"Words are still being indexed by {fed.by}: not all can be found yet.")
    elif fed.problem:
        out.note(f"Not all words could be indexed: {fed.problem}")


def peeked(given: Given) -> State:
    """Open the state without creating or changing anything, for those of the homes that are there."""
    import holdfast

    return holdfast.peek(_places(given), state_dir=given.state_dir)


def now_ms(state: State) -> int:
    """Return the time on the clock that the state counts by; 0 when nothing is kept there."""
    if state.engine is None:
        return 0
    with state.read() as tx:
        return tx.now_ms


def opened_without_homes(given: Given) -> State:
    """Open the state without its homes: jobs have nothing to do with threads."""
    import holdfast

    return holdfast.open([], state_dir=given.state_dir, search=False)


def _places(given: Given) -> list[str]:
    """Return the homes named, else the real paths of those of $CODEX_HOME and ~/.codex that are there."""
    if given.homes:
        return list(given.homes)
    named = filter(None, (os.environ.get("CODEX_HOME"), "~/.codex"))
    real = (os.path.realpath(os.path.expanduser(path)) for path in named)
    return [path for path in dict.fromkeys(real) if os.path.isdir(path)]


def _is_small(state: State) -> bool:
    from holdfast.ingest import ledger

    with state.read() as tx:
        return all(ledger.is_small(tx, home.home_id, _SMALL_FILES) for home in state.homes)
