"""Files that are published under the fence: all of them at once, and never by who lost the claim.

Each claim writes into a folder of its own, a *generation* named by its fence and
eight digits that were drawn: fences of two jobs may be equal, and a folder that
somebody deleted must not come again with other files::

    memories -> .memories.generations/0000010000000007-5ac1f2d0     a link, for whoever reads files
    .memories.generations/0000010000000007-5ac1f2d0/                what counts
    .memories.generations/0000010000000008-e90b1c77/                being written, or left by one who lost its claim

Which generation counts is a row, written in the transaction that finishes the
job. A worker that was stopped for longer than its lease cannot write it, so
whatever is in its folder never counts. The link follows the row after the
commit. Who is killed in between leaves the link one generation behind, whole
files nevertheless; ``published`` and the next publication set it right.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass

from holdfast import folders
from holdfast.engine import Engine, Read, Write
from holdfast.errors import Refused
from holdfast.holds.owner import host
from holdfast.jobs.ending import confirm, lost
from holdfast.jobs.model import Claimed
from holdfast.jobs.rows import SQL

_GENERATION = re.compile(r"([0-9a-f]{16})(-[0-9a-f]+)?")
_KEPT = 2  # the one that counts, and the one before it, which somebody may still be reading
_LOCK_S = 2.0


@dataclass(frozen=True, slots=True)
class Staged:
    """Files written and synced, which do not count yet: ``publish`` them, then ``point`` to them."""

    claim: Claimed
    path: str
    generation: str

    @property
    def folder(self) -> str:
        """Where they lie."""
        return os.path.join(_generations(self.path), self.generation)


@contextlib.contextmanager
def stage(claim: Claimed, path: str | os.PathLike[str]) -> Iterator[Staged]:
    """Give an empty folder, ``staged.folder``, for what is to be at ``path``; synced on leaving.

    One sync for each file. After an exception the folder is removed. Raises
    ``Refused`` when something else than a link of ours is at ``path``.
    """
    real = _real(path)
    _refuse_foreign(real)
    folders.make(_generations(real))
    made = Staged(claim, real, _make(real, claim.fence))
    try:
        yield made
    except BaseException:
        shutil.rmtree(made.folder, ignore_errors=True)
        raise
    _sync_tree(made.folder)
    folders.sync(_generations(real))


def publish(tx: Write, staged: Staged) -> None:
    """Make ``staged`` what counts, in the caller's transaction: that which finishes the job, before it does.

    Raises ``Stale`` when the claim was lost; ``Refused`` when another job publishes at this path, when somebody
    removed the folder, or put something else where the link is to be.
    """
    claim = staged.claim
    if not os.path.isdir(staged.folder):
        confirm(tx, claim)  # of a claim that is over, a later publication removed it
        raise Refused(
            f"{staged.folder} was removed before it was published",
            remedy="Somebody deleted it by hand. The files are made again with the next attempt.",
        )
    _refuse_foreign(staged.path)
    written = tx.run(
        SQL["publish"],
        host=host(),
        path=staged.path,
        generation=staged.generation,
        job_id=claim.job.job_id,
        fence=claim.fence,
        now_ms=tx.now_ms,
    )
    if written == 1:
        return
    row = tx.row(SQL["get_published"], host=host(), path=staged.path)
    if row is not None and (row["kind"], row["key"]) != (claim.job.kind, claim.job.key):
        raise Refused(f"{staged.path} is published by the job {row['kind']}/{row['key']}: two jobs cannot share a path")
    raise lost(tx, claim)


def published(tx: Read, path: str | os.PathLike[str]) -> str | None:
    """Return the folder that counts for ``path``; None: nothing was published there."""
    real = _real(path)
    row = tx.row(SQL["get_published"], host=host(), path=real)
    return None if row is None else os.path.join(_generations(real), row["generation"])


def point(engine: Engine, path: str | os.PathLike[str]) -> bool:
    """Have the link at ``path`` follow the row, and remove generations that nobody needs any more.

    After the commit. Looks at the row again once the link is set, so that one
    who was stopped here for an hour sets it right when it goes on. False:
    another is at it for longer than 2 s, and does the same. Raises ``Refused``
    when something else than a link of ours is at ``path``.
    """
    real = _real(path)
    with _alone(real) as alone:
        if not alone:
            return False
        while True:
            with engine.read() as tx:
                folder = published(tx, real)
            if folder is None or (_is_link(real) and _target(real) == folder):
                break
            _set_link(real, folder)
        if folder is not None:
            _sweep(real, os.path.basename(folder))
    return True


def settle(engine: Engine, staged: Staged) -> None:
    """After the end of the job: have the link follow when ``staged`` was published, else remove it.

    Which of the two it is, the row says: also after a commit whose outcome nobody knows.
    """
    with engine.read() as tx:
        counts = published(tx, staged.path) == staged.folder
    if counts:
        point(engine, staged.path)
    else:
        shutil.rmtree(staged.folder, ignore_errors=True)


def _refuse_foreign(real: str) -> None:
    if not os.path.lexists(real) or _is_link(real):
        return
    what = "a link" if os.path.islink(real) else "a folder" if os.path.isdir(real) else "a file"
    raise Refused(
        f"{real} is {what} of somebody's, and no link to generations of files: it was left as it is",
        remedy="Move it away. What a job publishes there will be a link to the folder that counts.",
    )


def _make(real: str, fence: int) -> str:
    name = f"{fence:016x}-{os.urandom(4).hex()}"
    os.mkdir(os.path.join(_generations(real), name), 0o700)
    return name


def _sync_tree(folder: str) -> None:
    for above, _, files in os.walk(folder, topdown=False):
        for name in files:
            full = os.path.join(above, name)
            if os.path.islink(full):
                continue
            fd = os.open(full, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        folders.sync(above)


def _set_link(real: str, folder: str) -> None:
    temporary = f"{_generations(real)}/link"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)  # of one who was killed here; we are alone
    # Relative to where the link will be: the whole may be moved.
    os.symlink(os.path.relpath(folder, os.path.dirname(real)), temporary)
    # A rename replaces a link of ours so that there is always one; whatever lies there instead, it would destroy.
    _refuse_foreign(real)
    os.rename(temporary, real)
    folders.sync(os.path.dirname(real))


def _sweep(real: str, current: str) -> None:
    older = sorted(name for name in os.listdir(_generations(real)) if _fence(name) < _fence(current))
    for name in older[: max(0, len(older) - _KEPT + 1)]:
        shutil.rmtree(os.path.join(_generations(real), name), ignore_errors=True)


@contextlib.contextmanager
def _alone(real: str) -> Iterator[bool]:
    if not os.path.isdir(_generations(real)):
        yield True  # nothing was ever staged here
        return
    fd = os.open(f"{_generations(real)}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield _locked(fd)
    finally:
        os.close(fd)


def _locked(fd: int) -> bool:
    deadline = time.monotonic() + _LOCK_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.01)
        else:
            return True


def _fence(name: str) -> int:
    found = _GENERATION.fullmatch(name)
    return int(found[1], 16) if found else 1 << 63  # the lock, the link being made: never swept


def _generations(real: str) -> str:
    above, name = os.path.split(real)
    return os.path.join(above, f".{name}.generations")


def _real(path: str | os.PathLike[str]) -> str:
    # Not of the path itself: that is a link of ours.
    above, name = os.path.split(os.path.abspath(os.fspath(path)))
    return os.path.join(os.path.realpath(above), name)


def _is_link(real: str) -> bool:
    return os.path.islink(real) and os.path.dirname(_target(real)) == _generations(real)


def _target(real: str) -> str:
    return os.path.normpath(os.path.join(os.path.dirname(real), os.readlink(real)))
