"""Search over what people and agents said, and over titles and names. Its index can be made again at any time.

index = search.open_index(path, clock)
search.feed(engine, index, homes)          # in the background; one process at a time
for hit in search.find(engine, index, homes, 'parser "open file" need*'):
    print(hit.thread.label, hit.snippet)
"""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.engine import Engine
from holdfast.errors import Damaged
from holdfast.search import store
from holdfast.search.feeding import feed
from holdfast.search.finding import find
from holdfast.search.index import Index, open_index, peek_index
from holdfast.search.model import FeedProgress, FeedReport, Filters, Hit, Hits, OnProgress, SearchStatus
from holdfast.search.rows import NOWHERE
from holdfast.threads.model import Home

__all__ = [
    "FeedProgress",
    "FeedReport",
    "Filters",
    "Hit",
    "Hits",
    "Index",
    "OnProgress",
    "SearchStatus",
    "feed",
    "find",
    "messages_of",
    "open_index",
    "peek_index",
    "status",
]


def messages_of(engine: Engine, index: Index, ns: Sequence[int]) -> dict[int, int]:
    """Return how many messages of these threads (row ids of state.db) are in the index; none of a damaged one."""
    with store.reading(engine) as state:
        try:
            with index.read() as tx:
                if store.fed_identity(tx) == store.identity(state):
                    return {n: fed.messages for n, fed in store.fed(tx, ns).items()}
        except store.StateDamaged:
            raise
        except Damaged:
            index.suspect()
    return {}


def status(engine: Engine, index: Index, homes: Sequence[Home]) -> SearchStatus:
    """Return how much of ``homes`` is in the index, and how many threads are behind. Two scans, 5 ms for 50,000."""
    ids = [home.home_id for home in homes]
    threads = messages = 0
    places = dict.fromkeys(ids, NOWHERE)
    with store.reading(engine) as state:
        try:
            with index.read() as tx:
                if store.fed_identity(tx) == store.identity(state):
                    places = store.places(tx, ids)
                    threads, messages = store.count(tx, ids)
        except store.StateDamaged:
            raise
        except Damaged:
            index.suspect()
        behind = sum(store.count_behind(state, home_id, place) for home_id, place in places.items())
    return SearchStatus(messages=messages, threads=threads, behind=behind)
