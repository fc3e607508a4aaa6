"""``state.compress``: cold rollouts made small, and the index told of it in the same call.

Compressing changes no content, so nothing is folded again: a row of the ledger
that described the plain file describes the ``.zst`` from then on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from holdfast.errors import HoldfastError, Refused
from holdfast.ingest import gate, ledger
from holdfast.ingest.survey import entry_at
from holdfast.rollouts import Compressed, compress_cold
from holdfast.threads.model import Home

if TYPE_CHECKING:
    from holdfast.state.handle import State

_TOLD_AT_ONCE = 100  # files; so many rows lag at most when this process is killed, until the next index
_PATIENCE_MS = 2_000


class CompressProgress(msgspec.Struct, frozen=True):
    """``file`` was looked at: the ``files_done``-th of the ``files`` plain ones in ``home``."""

    home: str
    files_done: int
    files: int
    file: Compressed


class CompressReport(msgspec.Struct, frozen=True):
    """What became of the rollouts of a home, or with ``dry_run`` would become.

    ``outcomes`` counts them all; ``files`` lists those that are not merely ``not-cold``, with why not.
    ``bytes_before`` and ``bytes_after`` are of the compressed ones. ``stopped``: ``stop`` was set before the end.
    ``notes`` are for a person.
    """

    home: str
    dry_run: bool
    outcomes: dict[str, int]
    files: tuple[Compressed, ...]
    bytes_before: int
    bytes_after: int
    stopped: bool
    duration_ms: int
    notes: tuple[str, ...] = ()


OnProgress = Callable[[CompressProgress], None]


def compress(
    state: State,
    *,
    older_than_s: float,
    in_home: bool,
    dry_run: bool,
    on_progress: OnProgress | None,
    stop: threading.Event | None,
) -> tuple[CompressReport, ...]:
    """Compress what is cold; see ``State.compress``."""
    if older_than_s < 0:
        raise Refused(f"older_than_s is a number of seconds, got {older_than_s}")
    state.engine_to_write()  # a handle that only reads changes no home either
    homes = state.homes if in_home else (state.own_home,)
    reports = []
    for home in homes:
        reports.append(_one(state, home, round(older_than_s * 1000), dry_run, on_progress, stop))
        if reports[-1].stopped:
            break
    return tuple(reports)


def _one(
    state: State, home: Home, cold_ms: int, dry_run: bool, on_progress: OnProgress | None, stop: threading.Event | None
) -> CompressReport:
    began = time.monotonic()
    untold: list[Compressed] = []
    notes: dict[str, None] = {}

    def tell() -> None:
        files, untold[:] = untold[:], []
        try:
            _tell(state, home, files)
        except HoldfastError as error:  # the files are as they should be; the next index sees it
            notes[f"The index follows later: {error}."] = None

    def seen(done: Compressed, at: int, of: int) -> None:
        if done.outcome == "compressed":
            untold.append(done)
        if len(untold) == _TOLD_AT_ONCE:
            tell()
        if on_progress is not None:
            on_progress(CompressProgress(home.path, at, of, done))

    try:
        run = compress_cold(home.path, cold_ms=cold_ms, dry_run=dry_run, on_progress=seen, stop=stop)
    finally:
        if untold:
            tell()
    return CompressReport(
        home=home.path,
        dry_run=dry_run,
        outcomes=run.outcomes,
        files=tuple(run.files),
        bytes_before=run.bytes_before,
        bytes_after=run.bytes_after,
        stopped=run.stopped,
        duration_ms=round((time.monotonic() - began) * 1000),
        notes=tuple(notes),
    )


def _tell(state: State, home: Home, files: Sequence[Compressed]) -> None:
    with state.write() as tx:
        known = next(each for each in state.look_up_homes(tx) if each.path == home.path)
        if not known.home_id:
            return  # never indexed: there is nothing to set right
        other = [
            each.path
            for each in files
            if (now := entry_at(home.path, each.path)) is None
            or not ledger.set_packed(tx, known.home_id, now, size=each.bytes_before, inode=each.inode_before)
        ]
    if other:  # written to since they were folded, or since they were compressed
        gate.refold(state.engine_to_write(), home.path, other, wait_ms=_PATIENCE_MS)
