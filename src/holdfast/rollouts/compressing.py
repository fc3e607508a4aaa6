"""Cold rollouts made small: ``.jsonl`` to ``.jsonl.zst``, as Codex does it, without a moment in which neither is there.

A crash at any point leaves the plain file (which hides a ``.zst`` beside it) or
the finished ``.zst``; and a temporary file, which the next run removes.
"""

from __future__ import annotations

import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, Literal

import msgspec

from holdfast import folders, ids, lockfiles
from holdfast.clock import wall_ms
from holdfast.errors import Busy, HoldfastError
from holdfast.rollouts import paths, pieces
from holdfast.rollouts.find import Walk
from holdfast.rollouts.opening import NotRegular, open_file
from holdfast.rollouts.reading import verify
from holdfast.rollouts.writing.lock import lock_path, writer_lock
from holdfast.rollouts.writing.materializing import TEMP, discard, drop_stale, finish, put, same_text, write_all

COLD_MS = 7 * 24 * 3600 * 1000
LEVEL = 3

Outcome = Literal["compressed", "cold", "not-cold", "changed", "already", "busy", "failed"]
"""What became of a file. ``cold`` is the answer of a dry run: it would be compressed."""


class Compressed(msgspec.Struct, frozen=True):
    """What became of one file. ``path`` is relative to the home and plain; ``detail`` says why not.

    ``inode_before`` is that of the plain file that went.
    """

    path: str
    outcome: Outcome
    bytes_before: int = 0
    bytes_after: int = 0
    detail: str = ""
    inode_before: int = 0


class Run(msgspec.Struct):
    """What became of a home. ``stopped``: it was asked to stop before it had seen every file.

    ``files`` are all that were looked at but those that are simply not cold.
    """

    outcomes: dict[str, int]
    bytes_before: int = 0
    bytes_after: int = 0
    temps_removed: int = 0
    files: list[Compressed] = []
    stopped: bool = False

    @property
    def failed(self) -> list[Compressed]:
        """Those that could not be compressed."""
        return [each for each in self.files if each.outcome == "failed"]


def compress_cold(
    home: str | os.PathLike[str],
    *,
    cold_ms: int = COLD_MS,
    level: int = LEVEL,
    dry_run: bool = False,
    on_progress: Callable[[Compressed, int, int], None] | None = None,
    stop: threading.Event | None = None,
) -> Run:
    """Compress every cold rollout of ``home``, archived ones too, one after the other; remove what crashes left.

    ``on_progress`` is called with each file's outcome, how many were done, and of how many. With ``stop`` set it
    ends after the file at hand. Ctrl-C ends it at once; nothing is left broken. ``dry_run`` only looks.
    """
    home = os.path.abspath(home)
    run = Run({})
    if not dry_run:
        run.temps_removed = _remove_temps(home)
    plain = [entry.path for entry in Walk(home) if not entry.zst]
    for at, path in enumerate(plain, 1):
        if stop is not None and stop.is_set():
            run.stopped = True
            break
        done = _judge(home, path, cold_ms) if dry_run else compress(home, path, cold_ms=cold_ms, level=level)
        run.outcomes[done.outcome] = run.outcomes.get(done.outcome, 0) + 1
        run.bytes_before += done.bytes_before
        run.bytes_after += done.bytes_after
        if done.outcome != "not-cold":
            run.files.append(done)
        if on_progress is not None:
            on_progress(done, at, len(plain))
    return run


def compress(home: str | os.PathLike[str], path: str, *, cold_ms: int = COLD_MS, level: int = LEVEL) -> Compressed:
    """Compress one rollout (``path`` relative to ``home``, plain) if nobody wrote to it for ``cold_ms``.

    Holds the thread's writer's lock meanwhile, and does not wait for it. The
    ``.zst`` is decoded and compared, forced to the disk, and gets mode and
    times of the file it replaces. Reads the file twice. Never raises for what it finds.
    """
    home = os.path.abspath(home)
    full = f"{home}/{path}"
    try:
        before = os.stat(full, follow_symlinks=False)
        if wall_ms() - before.st_mtime_ns // 1_000_000 < cold_ms:
            return Compressed(path, "not-cold")
        id16 = verify(full)
        if id16 is None:
            return Compressed(path, "failed", detail="no session_meta in it says whose it is")
        with writer_lock(home, ids.text(id16)):
            return _compress(full, path, before, level)
    except Busy as busy:
        return Compressed(path, "busy", detail=str(busy))
    except FileNotFoundError:
        return Compressed(path, "changed", detail="it is gone")
    except NotRegular:
        return Compressed(path, "failed", detail="it is no regular file")
    except (OSError, HoldfastError) as error:
        return Compressed(path, "failed", detail=getattr(error, "strerror", None) or str(error))


def _judge(home: str, path: str, cold_ms: int) -> Compressed:
    """Say what would become of a file. Takes no lock: who has it is asked of the system."""
    full = f"{home}/{path}"
    try:
        there = os.stat(full, follow_symlinks=False)
        if wall_ms() - there.st_mtime_ns // 1_000_000 < cold_ms:
            return Compressed(path, "not-cold")
        id16 = verify(full)
    except FileNotFoundError:
        return Compressed(path, "changed", detail="it is gone")
    except (NotRegular, OSError) as error:
        return Compressed(path, "failed", detail=getattr(error, "strerror", None) or "it is no regular file")
    if id16 is None:
        return Compressed(path, "failed", detail="no session_meta in it says whose it is")
    writers = lockfiles.holders(lock_path(home, ids.text(id16)))
    if writers:
        return Compressed(path, "busy", detail=f"{', '.join(map(str, writers))} is writing it")
    return Compressed(path, "cold", there.st_size)


def _compress(full: str, path: str, before: os.stat_result, level: int) -> Compressed:
    packed, temp = full + paths.ZST, full + paths.ZST + TEMP
    fd, began = open_file(full)
    try:
        if _marks(began) != _marks(before):
            return Compressed(path, "changed", detail="somebody wrote to it just now")
        if os.path.lexists(packed) and not _is_packed(packed, full) and not drop_stale(full):
            return Compressed(path, "already", detail=f"{path}{paths.ZST} is there, and holds something else")
        # One that is there and holds the same is of a run that died between its last two steps.
        if not os.path.lexists(packed):
            _pack(fd, began, temp, level)
            if not _is_packed(temp, full) or _marks(os.stat(full, follow_symlinks=False)) != _marks(before):
                return Compressed(path, "changed", detail="somebody wrote to it meanwhile")
            put(temp, packed)
            folders.sync(os.path.dirname(full))
        if _marks(os.stat(full, follow_symlinks=False)) != _marks(before):
            os.unlink(packed)
            return Compressed(path, "changed", detail="somebody wrote to it meanwhile")
        after = os.stat(packed).st_size
        os.unlink(full)
        folders.sync(os.path.dirname(full))
    finally:
        os.close(fd)
        discard(temp)
    return Compressed(path, "compressed", before.st_size, after, inode_before=before.st_ino)


def _pack(fd: int, began: os.stat_result, temp: str, level: int) -> None:
    discard(temp)
    out = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        for piece in _packed(fd, began.st_size, level):
            write_all(out, piece)
        finish(out, began)
    finally:
        os.close(out)


def _is_packed(packed: str, full: str) -> bool:
    fd, _ = open_file(packed)
    try:
        return same_text(full, pieces.Zst(fd))
    finally:
        os.close(fd)


def _marks(info: os.stat_result) -> tuple[int, int, int, int, int]:
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, stat.S_IMODE(info.st_mode)


def _packed(fd: int, size: int, level: int) -> Iterator[bytes]:
    packer = _packer(level)
    for piece in pieces.plain(fd, 0, size):
        if packed := packer.compress(piece):
            yield packed
    yield packer.flush()


def packed(text: bytes, level: int = LEVEL) -> bytes:
    """Return ``text`` as a compressed rollout holds it."""
    packer = _packer(level)
    return bytes(packer.compress(text) + packer.flush())


def _packer(level: int) -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    # With a checksum, so that a bit that flips on the disk is seen when it is read.
    parameter = zstd.CompressionParameter
    options: dict[int, int] = {parameter.compression_level: level, parameter.checksum_flag: 1}
    return zstd.ZstdCompressor(options=options)


def _remove_temps(home: str) -> int:
    """Remove files a crash left half made: whoever was making one held the lock that we take."""
    removed = 0
    for root in (paths.SESSIONS, paths.ARCHIVED):
        for folder, _, names in os.walk(f"{home}/{root}"):
            for name in names:
                id16 = paths.name_id(name.removesuffix(TEMP)) if name.endswith(TEMP) else None
                if id16 is None:
                    continue
                try:
                    with writer_lock(home, ids.text(id16)):
                        discard(f"{folder}/{name}")
                    removed += 1
                except (Busy, OSError):
                    continue
    return removed
