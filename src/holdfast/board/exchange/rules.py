"""In which order cards are written: parents first. Pure."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)


class Order(NamedTuple, Generic[K]):
    """``keys``, each after its parents; ``dangling``: links to a card that is not there; ``cyclic``: links left out."""

    keys: list[K]
    dangling: list[tuple[K, K]]
    cyclic: list[tuple[K, K]]


def parents_first(keys: Sequence[K], links: Iterable[tuple[K, K]]) -> Order[K]:
    """Return ``keys`` so that of each link ``(parent, child)`` the parent comes first, else in the order given.

    Of a circle the link is left out that leads back to the card of it that
    comes first in ``keys``: then as much as possible stays.
    """
    known = set(keys)
    place = {key: at for at, key in enumerate(keys)}
    children: dict[K, list[K]] = defaultdict(list)
    waits: dict[K, set[K]] = defaultdict(set)
    dangling: list[tuple[K, K]] = []
    cyclic: list[tuple[K, K]] = []
    for parent, child in links:
        if parent not in known or child not in known:
            dangling.append((parent, child))
        elif parent == child:
            cyclic.append((parent, child))
        elif parent not in waits[child]:
            waits[child].add(parent)
            children[parent].append(child)
    done: list[K] = []
    ready = deque(key for key in keys if not waits[key])
    left = deque(keys)
    written: set[K] = set()
    while len(done) < len(keys):
        while ready:
            key = ready.popleft()
            done.append(key)
            written.add(key)
            for child in sorted(children[key], key=place.__getitem__):
                waits[child].discard(key)
                if not waits[child] and child not in written:
                    ready.append(child)
        if len(done) < len(keys):
            first = _on_a_circle(left, written, waits, place)
            below = _reached(first, children, written)
            leading_back = waits[first] & below
            cyclic += [(parent, first) for parent in sorted(leading_back, key=place.__getitem__)]
            waits[first] -= leading_back
            if not waits[first]:
                ready.append(first)
    return Order(done, dangling, cyclic)


def _on_a_circle(left: deque[K], written: set[K], waits: Mapping[K, set[K]], place: Mapping[K, int]) -> K:
    """Return a card that waits for itself: walk up from the first that is left until one comes twice."""
    while left[0] in written:
        left.popleft()
    seen: list[K] = []
    at = left[0]
    while at not in seen:
        seen.append(at)
        at = min(waits[at], key=place.__getitem__)
    return min(seen[seen.index(at) :], key=place.__getitem__)


def _reached(start: K, children: Mapping[K, list[K]], written: set[K]) -> set[K]:
    """Return every card below ``start`` that is not written yet."""
    found: set[K] = set()
    todo = [start]
    while todo:
        for child in children.get(todo.pop(), ()):
            if child not in found and child not in written:
                found.add(child)
                todo.append(child)
    return found
