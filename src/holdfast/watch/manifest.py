"""Which process watches what, as small files in the state directory: for the doctor, where the kernel does not tell.

``watches/<pid>-<n>.json``, at most 4 KiB, written when a root comes or goes and
only where there is a state directory. It lies where nothing is ever watched.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from contextlib import suppress

import msgspec

from holdfast import holds
from holdfast.holds import Owner
from holdfast.watch.walls import Key

FOLDER = "watches"
_BYTES_MAX = 4096
_numbers = itertools.count(1)


class Watched(msgspec.Struct, frozen=True):
    """One watcher: whose it is, and its roots as ``(path, (device, inode) or null, "kernel" or "poll")``."""

    owner: Owner
    roots: tuple[tuple[str, Key | None, str], ...]
    more: int = 0
    """Roots that did not fit."""


class Manifest:
    """The file of one watcher. A state directory that cannot be written costs nothing but the file."""

    def __init__(self, state_dir: str) -> None:
        self._state_dir = state_dir
        self._pid = os.getpid()
        self._path = os.path.join(state_dir, FOLDER, f"{self._pid}-{next(_numbers)}.json")
        self._is_first = True

    def write(self, roots: Iterable[tuple[str, Key | None, str]]) -> None:
        """Write which roots there are, in place of what was written before; not at all without a state directory."""
        if not os.path.isdir(self._state_dir):
            return
        fitting = [root for root in roots if root[0].isprintable()]
        data, count = b"", len(fitting)
        while count >= 0:
            data = msgspec.json.encode(Watched(holds.me("watcher"), tuple(fitting[:count]), len(fitting) - count))
            if len(data) <= _BYTES_MAX:
                break
            count = count * _BYTES_MAX // len(data)
        with suppress(OSError):
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            fd = os.open(f"{self._path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                os.write(fd, data)
            finally:
                os.close(fd)
            os.rename(f"{self._path}.new", self._path)
        if self._is_first:  # who is killed takes nothing away
            self._is_first = False
            self._clean()

    def remove(self) -> None:
        """Take the file away, and those of processes that are gone."""
        with suppress(OSError):
            os.unlink(self._path)
        self._clean()

    def _clean(self) -> None:
        for path, watched in _all(self._state_dir):
            if watched is None or holds.is_dead(watched.owner):
                with suppress(OSError):
                    os.unlink(path)


def listing(state_dir: str) -> list[Watched]:
    """Return what the living watch: files of processes that are gone are passed over, by pid and start time."""
    return [each for _, each in _all(state_dir) if each is not None and not holds.is_dead(each.owner)]


def _all(state_dir: str) -> Iterable[tuple[str, Watched | None]]:
    folder = os.path.join(state_dir, FOLDER)
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return
    for name in names:
        if name.endswith(".json"):
            path = os.path.join(folder, name)
            try:
                with open(path, "rb") as file:
                    yield path, msgspec.json.decode(file.read(_BYTES_MAX), type=Watched)
            except FileNotFoundError:
                continue
            except (OSError, msgspec.DecodeError):
                yield path, None
