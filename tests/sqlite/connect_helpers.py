"""Connections to the file of a test, and what a process has open."""

from __future__ import annotations

import os


def descriptors(path: str) -> int:
    """Return how many descriptors of this process are on ``path`` and its sidecars."""
    count = 0
    for fd in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{fd}").startswith(path)
        except OSError:
            continue  # closed since it was listed
    return count


def sidecars(path: str) -> list[str]:
    """Return which of SQLite's files lie beside ``path``."""
    return [end for end in ("-wal", "-shm", "-journal") if os.path.exists(path + end)]
