"""Where the roots are: each is watched where it is now, and who asked for it is told when that is another place."""

from __future__ import annotations

import os
import time

from holdfast.watch.folder import Watch
from holdfast.watch.reach import must_poll
from holdfast.watch.tree import Tree
from holdfast.watch.walls import Place, Protected, Walls, key_of, place_of


class Roots:
    """Settles the roots of one watcher. Call it with the watcher's lock held."""

    def __init__(self, tree: Tree, walls: Walls, *, poll: bool | None, poll_s: float) -> None:
        self._tree = tree
        self._walls = walls
        self._poll = poll
        self._poll_s = poll_s
        self.settled: set[Watch] = set()
        """Whose root came, went or moved since what happened was last delivered."""

    def settle(self, watch: Watch, *, is_new: bool = False) -> None:
        """Watch the root where it is now. One stat when it is where it was."""
        watch.is_unsure = False
        old = watch.place
        if not is_new and watch.top is not None and watch.top.key == old.key and self.is_where_it_was(watch):
            return
        place = place_of(watch.root)
        if place == old and (watch.top is not None or place.key is None):
            return
        if not is_new:
            self.settled.add(watch)
        if watch.top is not None:
            self._tree.leave(watch.top)
        was_there, watch.place = watch.is_there, place
        # What is to be watched with all below it may become a directory: nothing is watched in its stead.
        waits = place.name is not None and watch.recursive and not os.path.exists(watch.root)
        watch.is_there = place.key is not None and not waits
        if watch.is_there:
            self._enter(watch, place)
        if not watch.is_there:
            if was_there or is_new:
                watch.feed.put(lambda pending: pending.gone(watch.root))
        elif not is_new:
            self._say_where(watch, old, place, was_there=was_there)

    def look_again(self, watch: Watch) -> None:
        """Watch the root as if it were new: what was known of it may be wrong."""
        if watch.top is not None:
            self._tree.leave(watch.top)
        watch.place = Place(watch.place.folder, None, "")
        self.settle(watch, is_new=True)

    def mind_the_walls(self, watch: Watch) -> None:
        """Leave a root that lies behind a wall by now; that is said when it is settled next."""
        try:
            self._walls.check(watch.root, watch.place)
        except Protected:
            if watch.top is not None:
                self._tree.leave(watch.top)

    def is_where_it_was(self, watch: Watch) -> bool:
        """Return True when the root is still the one that is watched. Two or three system calls."""
        place = watch.place
        if place.name is None:
            return os.path.realpath(watch.root) == place.folder and key_of(place.folder) == place.key
        path = f"{place.folder}/{place.name}"
        return os.path.realpath(watch.root) == path and not os.path.isdir(path) and key_of(place.folder) == place.key

    def _enter(self, watch: Watch, place: Place) -> None:
        try:
            self._walls.check(watch.root, place)
        except Protected as error:  # a link that led elsewhere when it was subscribed to
            watch.is_there = False
            if str(error) != watch.refused:
                watch.refused = str(error)
                self.degraded(watch, watch.refused)
            return
        watch.refused = ""
        watch.poll = self._poll is True or (self._poll is None and must_poll(place))
        watch.shortfall = ""
        self._tree.enter(watch, None, watch.root.rstrip("/"), None)
        watch.is_there = watch.top is not None

    def _say_where(self, watch: Watch, old: Place, place: Place, *, was_there: bool) -> None:
        feed = watch.feed
        if place.name is None:
            feed.put(lambda pending: pending.rescan(watch.root, "it came, or another directory is there now"))
        elif was_there and old.name is None:
            feed.put(lambda pending: pending.gone(watch.root))
        else:
            feed.put(lambda pending: pending.change(watch.root, [watch.root]))

    def rescan(self, watch: Watch, why: str) -> None:
        """Have whoever asked for the root look at all of it."""
        watch.feed.put(lambda pending: pending.rescan(watch.root, why))

    def degraded(self, watch: Watch, why: str) -> None:
        """Say that the root is watched less well."""
        watch.feed.put(lambda pending: pending.degraded(watch.root, why))

    def tell_shortfall(self, watch: Watch) -> None:
        """Say once that the kernel does not watch all of it, and when to ask it again."""
        if watch.shortfall and not watch.retry_s:
            watch.backoff_s = 1.0
            watch.retry_s = time.monotonic() + watch.backoff_s
            self.degraded(watch, f"{watch.shortfall}; what is not watched is polled every {self._poll_s:g} s or more")
