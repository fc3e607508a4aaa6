"""One step: doing it, undoing it. Each may be repeated after a kill at any point."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, Protocol

from holdfast import folders
from holdfast.changes import Append, Mode, Move, Remove, Replace, Rewrite, Rows, Seen, paths_of
from holdfast.errors import Busy, Refused
from holdfast.receipts import families
from holdfast.receipts.families import seen
from holdfast.receipts.keeping import copy_file
from holdfast.receipts.model import Receipt, Standing, Step
from holdfast.receipts.standing import Databases, content_of, given

Note = Callable[[], None]
"""Puts on disk what was just noted in the step."""


class Replacing(Protocol):
    """Who gives a database other content, and holds it meanwhile. Repeatable after a kill at any point.

    Raises ``HoldfastError``; with ``Busy`` and ``Refused`` its bytes are as before.
    """

    def put(self, receipt: Receipt, step: Step, note: Note) -> None:
        """Have the new content in place, and in the step what is there then."""

    def put_back(self, receipt: Receipt, step: Step, note: Note) -> None:
        """Have the bytes of the copy in place."""


class Hands(NamedTuple):
    """Who does what the receipts themselves cannot."""

    databases: Databases | None = None
    replacing: Replacing | None = None


def _replacing(hands: Hands) -> Replacing:
    if hands.replacing is None:
        raise Refused("this receipt gives a database other content, and nobody was given who could")
    return hands.replacing


def do(receipt: Receipt, step: Step, note: Note, hands: Hands) -> None:
    """Do one step, or the rest of it."""
    plan = receipt.plan
    match step.change:
        case Move(source, target, mtime_ns):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            _rename(source, target, plan.before(source).mtime_ns if mtime_ns is None else mtime_ns)
            for folder in receipt.folders:
                folders.sync(os.path.dirname(folder))
        case Remove(path):
            os.unlink(path)
        case Append(path, data):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            before = plan.before(path)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            try:
                rest = data[os.fstat(fd).st_size - before.size :]
                while rest:
                    rest = rest[os.write(fd, rest) :]
                os.fsync(fd)
            finally:
                os.close(fd)
        case Rewrite(path, data):

            def note_put(new: Seen) -> None:
                step.put = new
                note()

            _replace(receipt, path, data, step.change.mtime_ns, note_put)
        case Mode(path, _, after):
            _set_mode(path, after)
        case Rows():
            given(hands.databases).turn(step.change)
        case Replace():
            _replacing(hands).put(receipt, step, note)
    _sync_folders(step)


def undo(receipt: Receipt, step: Step, note: Note, hands: Hands) -> None:
    """Put back what one step, or a part of it, changed."""
    plan = receipt.plan

    def note_put_back(new: Seen) -> None:
        step.put_back = new
        note()

    match step.change:
        case Move(source, target, _):
            os.makedirs(os.path.dirname(source), exist_ok=True)
            _rename(target, source, plan.before(source).mtime_ns)
        case Remove(path):
            assert step.copy is not None  # written with the receipt
            os.makedirs(os.path.dirname(path), exist_ok=True)
            _put_back(receipt, os.path.join(receipt.at, step.copy), path)
        case Append(path, data):
            before = plan.before(path)
            went_on = _size(path) - before.size - len(data)
            if went_on > 0:
                content = content_of(path)
                content = content[: before.size] + content[before.size + len(data) :]
                _replace(receipt, path, content, None, note_put_back)
            elif before.is_there:
                _cut(path, before)
            else:
                os.unlink(path)
        case Rewrite(path, data):
            assert step.copy is not None  # written with the receipt
            tail = content_of(path)[len(data) :]
            old = content_of(os.path.join(receipt.at, step.copy))
            mtime_ns = None if tail else plan.before(path).mtime_ns
            _replace(receipt, path, old + tail, mtime_ns, note_put_back)
        case Mode(path, before_mode, _):
            _set_mode(path, before_mode)
        case Rows():
            given(hands.databases).turn(step.change, back=True)
        case Replace(path, rows=rows):
            by_rows = bool(rows) and families.standing(plan, step) is Standing.CHANGED
            try:
                if not by_rows:
                    _replacing(hands).put_back(receipt, step, note)
            except Busy:
                if not (by_rows := bool(rows)):
                    raise
            if by_rows:
                given(hands.databases).turn(Rows(path, rows), back=True)
    _sync_folders(step)


def clear_partial(receipt: Receipt, step: Step) -> None:
    """Remove the half-written file that a kill in this step may have left beside its path."""
    if isinstance(step.change, Append | Rewrite | Remove):
        with suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(_partial(receipt, step.change.path))


def _rename(source: str, target: str, mtime_ns: int) -> None:
    """Give a file another name, never over another file; goes on where a killed one stopped."""
    if os.path.lexists(source):
        try:
            os.link(source, target, follow_symlinks=False)
        except FileExistsError:
            if not seen(source).same_file(seen(target)):
                raise
        except OSError:  # a disk that knows no links
            if os.path.lexists(target):
                raise
            os.rename(source, target)
        with suppress(FileNotFoundError):
            os.unlink(source)
    if seen(target).mtime_ns != mtime_ns:
        os.utime(target, ns=(os.stat(target).st_atime_ns, mtime_ns), follow_symlinks=False)


def _put_back(receipt: Receipt, copy: str, path: str) -> None:
    try:
        os.link(copy, path, follow_symlinks=False)
        return
    except FileExistsError:
        raise
    except OSError:  # another disk
        partial = _partial(receipt, path)
        copy_file(copy, partial)
    try:
        os.link(partial, path)
    except FileExistsError:
        raise
    except OSError:
        if os.path.lexists(path):
            raise
        os.rename(partial, path)
    with suppress(FileNotFoundError):
        os.unlink(partial)


def _replace(receipt: Receipt, path: str, content: bytes, mtime_ns: int | None, note: Callable[[Seen], None]) -> None:
    """Put a file with this content in the place of another of the same mode; ``note`` hears of it before."""
    partial = _partial(receipt, path)
    old = os.stat(path)
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        os.fchmod(file.fileno(), old.st_mode & 0o7777)
        file.write(content)
        file.flush()
        if mtime_ns is not None:
            os.utime(file.fileno(), ns=(old.st_atime_ns, mtime_ns))
        os.fsync(file.fileno())
    note(seen(partial))
    os.rename(partial, path)


def _set_mode(path: str, mode: int) -> None:
    # By its name: closing a descriptor of a database would cancel the locks this process has on it.
    os.chmod(path, mode)


def _cut(path: str, before: Seen) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.ftruncate(fd, before.size)
        os.utime(fd, ns=(os.fstat(fd).st_atime_ns, before.mtime_ns))
        os.fsync(fd)
    finally:
        os.close(fd)


def _partial(receipt: Receipt, path: str) -> str:
    return os.path.join(os.path.dirname(path), f".holdfast-{receipt.id}")


def _size(path: str) -> int:
    return os.stat(path).st_size


def _sync_folders(step: Step) -> None:
    for folder in {os.path.dirname(path) for path in paths_of(step.change)}:
        folders.sync(folder)
