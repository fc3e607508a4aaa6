"""How a program begins, takes up and forks the threads of its own home."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from holdfast import folders, ids
from holdfast.errors import Refused
from holdfast.ingest.live import LiveThread
from holdfast.rollouts import RolloutWriter, ThreadFacts, find_by_id, history_base, items_of, paths, scan
from holdfast.rollouts.writing.model import Sync
from holdfast.state.directory import BACKUPS
from holdfast.state.doors import row_ids, thread_id_of
from holdfast.threads import deletion, store
from holdfast.threads.model import Thread

if TYPE_CHECKING:
    from holdfast.state.handle import State

KEPT = 32
"""Torn lines in ``backups/``; the oldest goes first."""

_PREFIX = "torn-"
_COPIED_AT_ONCE = 500  # lines of a fork's origin


def create(state: State, *, sync: Sync, meta: Mapping[str, Any]) -> LiveThread:
    """Return the writer of a new thread of the own home; see ``Threads.create``."""
    home = state.own_home
    id16 = ids.parse(str(meta.get("id", "")))
    # What was said of a thread that is gone, its being deleted too, would be said of the new one.
    if id16 is not None and (row := _row(state, id16)) is not None:
        raise Refused(
            f"thread {row.id} exists already: {row.rollout_path}",
            remedy="Resume that thread, or create one with another id, or with none.",
        )
    return _live(state, RolloutWriter.create(home.path, meta, sync=sync))


def resume(state: State, text: str, *, sync: Sync, wait_ms: float) -> LiveThread | None:
    """Go on with a thread of the own home; see ``Threads.resume``."""
    home = state.own_home
    found = state.threads.find(text)
    if found is None:
        known = state.threads.resolve(text)  # by name, perhaps, and its file is gone
        id16 = ids.parse(text if known is None else known.id)
        row = None if id16 is None else _row(state, id16)
        if row is not None:
            _check_resumable(row, is_there=False)
        return None
    if found.home != home.path:
        raise Refused(
            f"thread {found.thread_id} lies in {found.home}, and this handle writes in {home.path} only",
            remedy="Fork it into your own home: `state.threads.fork(...)`.",
        )
    row = _row(state, thread_id_of(found.thread_id))
    if row is not None:
        _check_resumable(row, is_there=True)
    writer = RolloutWriter.resume(home.path, found.path, keep=_keep_in(state.path), wait_ms=wait_ms, sync=sync)
    try:
        return _live(state, writer)
    except BaseException:
        writer.discard()
        raise


def fork(state: State, text: str, *, at: int | None, sync: Sync, meta: Mapping[str, Any]) -> LiveThread | None:
    """Begin a thread with the lines of another; see ``Threads.fork``."""
    home = state.own_home
    found = state.threads.find(text)
    meant = text if found is None else found.thread_id
    for live in state.live_threads():
        if live.id == meant:
            live.flush()  # what waits in memory belongs to it, too
            if not live.made:
                raise Refused(f"thread {live.id} has no item yet: there is nothing to fork")
            found = found or state.threads.find(text)
    if found is None:
        return None
    facts = scan(found.file).facts or ThreadFacts()
    like = {"cwd": facts.cwd, "model_provider": facts.model_provider, "history_mode": facts.history_mode}
    meta = {name: value for name, value in like.items() if value} | dict(meta)
    # Codex 0.169 continues a file of the same home by pointing at it; of a legacy file, or one that lies elsewhere,
    # a fork has a copy.
    points = found.home == home.path and meta["history_mode"] == facts.history_mode == "paginated"
    base = history_base(found.file, at) if points else None
    live = _live(
        state, RolloutWriter.create(home.path, {"forked_from_id": found.thread_id, **meta}, base=base, sync=sync)
    )
    try:
        live.persist()
        if not points:
            copied = items_of(found.file, resolve_base=lambda id16: _file_of(found.home, id16), end_ordinal=at)
            while batch := list(islice(copied, _COPIED_AT_ONCE)):
                live.append(batch)
            live.flush()
    except BaseException:
        live.discard()
        raise
    return live


def _row(state: State, id16: bytes) -> Thread | None:
    """Return the row the own home has of a thread, also of one whose file is gone, or that somebody deleted."""
    with state.read() as tx:
        rows = row_ids([each for each in state.look_up_homes(tx) if each.path == state.own_home.path])
        deleted = (each for each in deletion.listing(tx, rows) if each.id == ids.text(id16))
        return store.get(tx, rows, id16) or next(deleted, None)


def _check_resumable(row: Thread, *, is_there: bool) -> None:
    """Raise ``Refused``, with how it could be gone on with, unless it can be as it is."""
    if row.deleted_at_ms is not None:
        why, remedy = "was deleted", f"Bring it back first: `state.threads.undelete({row.id!r})`."
    elif not is_there:
        why, remedy = f"has lost its file, {row.rollout_path}", "Bring the file back; or begin a new thread."
    elif f"/{paths.ARCHIVED}/" in row.rollout_path:
        why, remedy = "is archived", f"Move it back first: `state.in_home.unarchive({row.id!r})`."
    elif row.archived:
        why, remedy = "is archived", f"Put it back first: `state.threads.unarchive({row.id!r})`."
    else:
        return
    raise Refused(f"thread {row.id} {why}, and is not gone on with", remedy=remedy)


def _file_of(home: str, id16: bytes) -> str | None:
    found = find_by_id(home, id16)
    return None if found is None else found.file


def _live(state: State, writer: RolloutWriter) -> LiveThread:
    live = LiveThread(
        state.engine_to_write(),
        state.own_home,
        writer,
        later=state.chores.promise,
        noted=state.promise_words,
    )
    state.keep_live(live)
    return live


def _keep_in(state_dir: str) -> Callable[[str, int, bytes], None]:
    """Return what puts a torn line aside before it is cut off its file."""

    def keep(path: str, offset: int, data: bytes) -> None:
        folder = os.path.join(state_dir, BACKUPS)
        folders.make(folder)
        stem = os.path.basename(path).removesuffix(".jsonl")
        partial = os.path.join(folder, f".{_PREFIX}{os.getpid()}")
        fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, os.path.join(folder, f"{_PREFIX}{stem}-{offset}.bin"))
        folders.sync(folder)
        for old in _oldest(folder):
            with suppress(FileNotFoundError):
                os.unlink(old)

    return keep


def _oldest(folder: str) -> Sequence[str]:
    kept = [entry for entry in os.scandir(folder) if entry.name.startswith(_PREFIX)]
    kept.sort(key=lambda entry: entry.stat().st_mtime_ns)
    return [entry.path for entry in kept[:-KEPT]]
