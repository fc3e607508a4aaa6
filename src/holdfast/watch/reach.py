"""Where the kernel cannot tell what happens, or is not to be asked: there a watcher looks instead."""

from __future__ import annotations

import os
import sys

from holdfast.sqlite import filesystems
from holdfast.watch.walls import Place

_NEVER_ABOVE = frozenset(("/", "/etc", "/tmp", "/var/tmp", "/usr", "/var", "/home", "/root"))


def must_poll(place: Place) -> bool:
    """Return True where the kernel cannot tell what other machines write, or is not to watch in a file's stead.

    A file is watched through its directory; the large ones that everybody writes to are not watched for one file.
    """
    if place.name is not None:
        above = {os.path.realpath(os.path.expanduser("~")), os.path.realpath(os.environ.get("TMPDIR", "/tmp"))}
        if place.folder in _NEVER_ABOVE or place.folder in above:
            return True
    return cannot_tell(place.folder)


def cannot_tell(folder: str) -> bool:
    """Return True when the kernel is not told of what other machines write to the directory at this real path."""
    try:
        return sys.platform == "linux" and filesystems.is_refused(filesystems.kind_at(folder))
    except OSError:
        return False
