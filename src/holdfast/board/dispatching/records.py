"""The workers of this machine that are not yet seen to their end: a file each, for whoever comes after us.

A record is there before its command begins, and goes after the end of the run
was written. When the dispatcher that started a worker dies, the next one on
this machine adopts it. Nothing is synced: after a power cut no worker lives.
"""

from __future__ import annotations

import os
from contextlib import suppress

import msgspec

from holdfast import lockfiles
from holdfast.holds import Owner
from holdfast.holds import owner as owners

_WAIT_MS = 5_000


class Record(msgspec.Struct, frozen=True):
    """A worker, and for what it was started. ``began_ms`` is by the boot clock.

    ``keeper`` is the dispatcher that sees to it; None: it ended without its workers.
    """

    run_id: int
    task_id: int
    board: str
    assignee: str
    attempt: int
    fence: int
    worker: Owner
    keeper: Owner | None
    began_ms: int
    time_max_ms: int | None
    silence_max_ms: int | None
    log: str


class Records:
    """The records in one folder."""

    def __init__(self, folder: str) -> None:
        self._folder = os.path.join(folder, "living")
        os.makedirs(self._folder, mode=0o700, exist_ok=True)

    def end_path(self, run_id: int) -> str:
        """Return where the exit code of the run comes to be."""
        return self._path(run_id, "end")

    def prompt_path(self, run_id: int) -> str:
        """Return where a prompt is that is too long for an environment."""
        return self._path(run_id, "prompt.md")

    def put(self, record: Record) -> None:
        """Write the record, in one step."""
        path = self._path(record.run_id, "json")
        made = f"{path}.new"
        with open(made, "wb") as file:
            file.write(msgspec.json.encode(record))
        os.replace(made, path)

    def leave(self, record: Record) -> None:
        """Have the next dispatcher of this machine adopt it."""
        self.put(msgspec.structs.replace(record, keeper=None))

    def drop(self, run_id: int) -> None:
        """Forget a run, and what was written for it."""
        for ending in ("json", "json.new", "prompt.md", "end"):
            with suppress(FileNotFoundError):
                os.unlink(self._path(run_id, ending))

    def all(self) -> list[Record]:
        """Return every record; one that cannot be read is no record."""
        found = []
        for name in sorted(os.listdir(self._folder)):
            if name.endswith(".json"):
                with (
                    suppress(FileNotFoundError, msgspec.MsgspecError),
                    open(os.path.join(self._folder, name), "rb") as file,
                ):
                    found.append(msgspec.json.decode(file.read(), type=Record))
        return found

    def adopt(self, me: Owner) -> list[Record]:
        """Return the records whose keeper is gone, mine from now on. No lock is taken when there are none."""
        if not self._orphans():
            return []
        with lockfiles.take(os.path.join(self._folder, ".lock"), wait_ms=_WAIT_MS):
            adopted = [msgspec.structs.replace(record, keeper=me) for record in self._orphans()]
            for record in adopted:
                self.put(record)
        return adopted

    def _orphans(self) -> list[Record]:
        return [
            record
            for record in self.all()
            if (record.keeper is None or owners.is_gone(record.keeper))
            and (owners.is_near(record.worker) or owners.is_gone(record.worker))
        ]

    def _path(self, run_id: int, ending: str) -> str:
        return os.path.join(self._folder, f"{run_id}.{ending}")
