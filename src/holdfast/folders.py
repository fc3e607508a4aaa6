"""Folders, and names in them, that are still there after a power cut.

What was written to a file is safe once the file was synced; that it has a name
is safe once the folder was synced that the name is in (fsync(2)). That holds for
folders, too: a new one can vanish with everything in it.
"""

from __future__ import annotations

import os
from contextlib import suppress


def default_state() -> str:
    """Return ``$HOLDFAST_STATE``, else ``$XDG_STATE_HOME/holdfast``, else what the platform keeps for this."""
    named = os.environ.get("HOLDFAST_STATE")
    if named and "://" not in named:  # a URL names a database
        return named
    import platformdirs  # 3 ms, for those who did not say

    return platformdirs.user_state_dir("holdfast", appauthor=False)


def make(path: str) -> None:
    """Make the folder for this user alone (0700), and those above it that are missing.

    One sync for each that is made, nothing when it exists. Raises ``OSError``.
    """
    above = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(above):
        make(above)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if not os.path.isdir(path):
            raise
        return
    with suppress(PermissionError):  # one may write into a folder and not read it: then it cannot be synced
        sync(above)


def sync(path: str) -> None:
    """Have every name in the folder last, those that are gone included. One sync. Raises ``OSError``."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def put(path: str, data: bytes) -> None:
    """Have a file of this content at ``path``, for this user alone (0600), whole or not at all. Two syncs.

    What was there goes, a link included. Raises ``OSError``: then it is there still.
    """
    made = f"{path}.{os.urandom(4).hex()}.new"
    fd = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(made, path)
    except BaseException:  # also of Ctrl-C nothing is left
        with suppress(OSError):
            os.unlink(made)
        raise
    with suppress(PermissionError):  # as above
        sync(os.path.dirname(os.path.abspath(path)))
