"""Watching files and directories, in a way that cannot see itself: no state directory, no database, no read."""

from holdfast.watch.model import Changed, Degraded, Event, Rescan, RootGone, WatchStatus
from holdfast.watch.subscription import Subscription
from holdfast.watch.walls import Protected
from holdfast.watch.watcher import Watcher

__all__ = [
    "Changed",
    "Degraded",
    "Event",
    "Protected",
    "Rescan",
    "RootGone",
    "Subscription",
    "WatchStatus",
    "Watcher",
]
