"""What only people said (names, archived), kept a second time: small snapshots beside the database.

Everything else in ``state.db`` can be folded again from the rollouts; this
cannot. So each change is followed by a snapshot, and a rebuild reads the
newest one that is whole.
"""

from __future__ import annotations

import os
import time

import msgspec

from holdfast import ids
from holdfast.engine import Engine, Read, Write
from holdfast.holds import epoch
from holdfast.state.directory import BACKUPS
from holdfast.threads import homes, store

KEPT = 8
"""Snapshots in ``backups/``; the oldest goes first."""

_PREFIX = "said-"


class Said(msgspec.Struct, frozen=True):
    """What a person said of one thread."""

    home: str
    thread_id: str
    name: str | None = None
    archived: bool | None = None
    archived_ms: int | None = None


class Snapshot(msgspec.Struct, frozen=True):
    """Everything people said, the homes that were known, and the epoch of the fences."""

    epoch: int
    homes: tuple[str, ...]
    said: tuple[Said, ...]
    version: int = 1


def read(tx: Read) -> Snapshot:
    """Return what people said, from the database. Scans the threads of every home."""
    rows = tx.rows(store.SAID)
    said = tuple(
        Said(
            home=row["home"],
            thread_id=ids.text(row["thread_id"]),
            name=row["name_said"],
            archived=None if row["archived_said"] is None else bool(row["archived_said"]),
            archived_ms=row["archived_said_ms"],
        )
        for row in rows
    )
    return Snapshot(epoch(tx), tuple(home.path for home in homes.listing(tx)), said)


def save(engine: Engine, state_dir: str) -> None:
    """Write a snapshot, whole or not at all, and let the oldest go. Two syncs."""
    with engine.read() as tx:
        snapshot = read(tx)
    folder = os.path.join(state_dir, BACKUPS)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    name = f"{_PREFIX}{time.time_ns() // 1_000_000:015d}.json"
    partial = os.path.join(folder, f".{name}.{os.getpid()}")
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(snapshot), indent=1))
            file.flush()
            os.fsync(file.fileno())
        os.rename(partial, os.path.join(folder, name))
    except BaseException:
        os.unlink(partial)
        raise
    _sync_folder(folder)
    for old in _names(folder)[KEPT:]:
        os.unlink(os.path.join(folder, old))


def newest(state_dir: str) -> Snapshot | None:
    """Return the newest snapshot that can be read, or None."""
    folder = os.path.join(state_dir, BACKUPS)
    for name in _names(folder):
        try:
            with open(os.path.join(folder, name), "rb") as file:
                return msgspec.json.decode(file.read(), type=Snapshot)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            continue
    return None


def restore(tx: Write, snapshot: Snapshot) -> int:
    """Say again what ``snapshot`` holds, where nothing newer was said; return how many threads it was for."""
    known = {home.path: home.home_id for home in homes.listing(tx)}
    return store.restore_said(
        tx,
        [
            {
                "home_id": known[said.home],
                "thread_id": id16,
                "name_said": said.name,
                "archived_said": None if said.archived is None else int(said.archived),
                "archived_said_ms": said.archived_ms,
            }
            for said in snapshot.said
            if said.home in known and (id16 := ids.parse(said.thread_id)) is not None
        ],
    )


def _names(folder: str) -> list[str]:
    try:
        found = os.listdir(folder)
    except OSError:
        return []
    return sorted((name for name in found if name.startswith(_PREFIX) and name.endswith(".json")), reverse=True)


def _sync_folder(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
