"""Which threads may have a needle in their name, title or preview, so that a list need not look at all of them.

Those whose trigrams have it, and those that changed since theirs were put in.
Whoever asks compares the needle itself: it never matters here how far the index is.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from contextlib import suppress

from holdfast.engine import Read
from holdfast.errors import Damaged, HoldfastError, Refused
from holdfast.search import store, trigrams
from holdfast.search.index import Index
from holdfast.search.rows import NOWHERE
from holdfast.threads import store as threads

CANDIDATES_MAX = 5_000
"""So many are compared in 5 ms. Where more may have it, a list mostly finds its page sooner by looking."""


def candidates(
    tx: Read, index: Index, homes: Sequence[int], needle: str, limit: int = CANDIDATES_MAX
) -> list[int] | None:
    """Return the row ids of all threads of ``homes`` that may have ``needle``, and of some that do not.

    None when the index cannot say: more than ``limit`` threads may have it, the
    index is not that of ``tx`` (a read of state.db), ahead of it, or broken.
    Raises nothing. 0.3 ms; up to 10 when every trigram is in most of 100,000
    titles, but not the needle.
    """
    if not trigrams.is_answerable(needle) or not homes or index.damaged:
        return None
    used = None
    try:
        used = index.store
        with index.read() as own:
            return _candidates(store.OfState(tx), own, homes, needle, limit)
    except store.StateDamaged:
        pass  # the list itself will meet it, or not
    except Damaged:
        with suppress(Refused):  # closed meanwhile
            if index.store is used:
                index.suspect()
    except HoldfastError:
        pass
    return None


def _candidates(tx: Read, own: Read, homes: Sequence[int], needle: str, limit: int) -> list[int] | None:
    made = store.made_of(own)
    if made is None or made.identity != store.identity(tx) or made.revision > threads.revision(tx):
        return None  # of another state.db, or of a later moment than `tx` sees
    if made.unicode != unicodedata.unidata_version and not needle.isascii():
        return None  # another Python, to which other characters are upper case
    begun = store.places(own, homes)
    since = min(begun.values())
    if since == NOWHERE:
        return None
    changed = store.changed(tx, since, limit + 1)
    if len(changed) > limit:
        return None
    found = dict.fromkeys([*changed, *store.titles_with(own, needle, limit + 1)])
    return list(found) if len(found) <= limit else None
