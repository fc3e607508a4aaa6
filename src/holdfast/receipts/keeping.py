"""Where receipts lie: a folder each, written whole before anything is done, and how many are kept."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import msgspec

from holdfast import folders
from holdfast.changes import Append, Move, Plan, Remove, Replace, Rewrite, paths_of
from holdfast.errors import Busy, Refused
from holdfast.receipts import families
from holdfast.receipts.model import FILE, Receipt, Swap, steps_of

KEPT = 100
BYTES_MAX = 1 << 30
"""Receipts that are done go, the oldest first, beyond so many or so many bytes; the newest, and those stopped
in the middle, never."""

HALF = ".half-"
"""What begins so goes after an hour: its maker was killed, and nothing was done yet."""

_HOUR_S = 3_600


def write(
    folder: str, plan: Plan, *, kept: int = KEPT, bytes_max: int = BYTES_MAX, spared: Sequence[str] = ()
) -> Receipt:
    """Write the receipt of ``plan`` into ``folder``, with copies of all that will go, and return it.

    Nothing of the plan is done yet. Copies are hard links where that can be,
    so a deleted rollout of any size costs a few syncs; of a database that gets
    other content the blocks are shared where that can be, or with a copy that is
    the same, else they are copied. Raises ``OSError`` when
    a copy cannot be made: then there is no receipt, and nothing may be done. Old
    receipts go, but not those ``spared``, by id.
    """
    folders.make(folder)
    now_ms = time.time_ns() // 1_000_000
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now_ms // 1000))
    receipt = Receipt(
        id=f"{stamp}-{secrets.token_hex(3)}",
        title=plan.title,
        written_ms=now_ms,
        plan=plan,
        steps=steps_of(plan),
        folders=_missing_folders(plan),
    )
    half = os.path.join(folder, HALF + receipt.id)
    os.mkdir(half, 0o700)
    try:
        for number, step in enumerate(receipt.steps):
            match step.change:
                case Remove(path):
                    step.copy = f"copy-{number}"
                    _link_or_copy(path, os.path.join(half, step.copy))
                case Rewrite(path):
                    # Never a link: whoever still has the old file open would write into the copy.
                    step.copy = f"copy-{number}"
                    copy_file(path, os.path.join(half, step.copy))
                case Replace():
                    step.copy = f"copy-{number}"
                    step.swap = _keep_family(step.change, receipt.id, os.path.join(half, step.copy), folder)
        receipt.at = half
        put(receipt)
        receipt.at = os.path.join(folder, receipt.id)
        os.rename(half, receipt.at)
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise
    folders.sync(folder)
    _let_old_ones_go(folder, kept, bytes_max, spared)
    return receipt


def put(receipt: Receipt) -> None:
    """Write what is known of the receipt, whole or not at all. Two syncs."""
    partial = os.path.join(receipt.at, f".{FILE}")
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(msgspec.structs.replace(receipt, at="")), indent=1))
        file.flush()
        os.fsync(fd)
    os.rename(partial, os.path.join(receipt.at, FILE))
    folders.sync(receipt.at)


def listing(folder: str) -> list[Receipt]:
    """Return the receipts in ``folder``, the newest first. One that cannot be read is left out."""
    found = []
    for name in _names(folder):
        with suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
            found.append(load(os.path.join(folder, name)))
    return sorted(found, key=lambda receipt: (receipt.written_ms, receipt.id), reverse=True)


def find(folder: str, receipt_id: str) -> Receipt | None:
    """Return the receipt with this id, or with the one id that begins so; None when there is none.

    Raises ``Refused`` when several begin so, or when it cannot be read.
    """
    fitting = [name for name in _names(folder) if receipt_id and name.startswith(receipt_id)]
    if receipt_id in fitting:
        fitting = [receipt_id]
    if len(fitting) > 1:
        raise Refused(f"{receipt_id!r} is the beginning of {len(fitting)} receipts", remedy="Give more of the id.")
    if not fitting:
        return None
    at = os.path.join(folder, fitting[0])
    try:
        return load(at)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(f"the receipt {at} cannot be read: {error}") from error


def load(at: str) -> Receipt:
    """Return the receipt in the folder ``at``."""
    with open(os.path.join(at, FILE), "rb") as file:
        receipt = msgspec.json.decode(file.read(), type=Receipt)
    receipt.at = at
    return receipt


@contextmanager
def sole_hand(receipt: Receipt) -> Iterator[None]:
    """Be the only one who carries this receipt out or undoes it, and know how far it is by now."""
    fd = os.open(receipt.at, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(f"another process is at work on the receipt {receipt.id}") from None
        receipt.steps = load(receipt.at).steps
        yield
    finally:
        os.close(fd)


def discard(receipt: Receipt) -> None:
    """Forget a receipt of which nothing was done."""
    shutil.rmtree(receipt.at, ignore_errors=True)


def drop_copies(receipt: Receipt) -> None:
    """Delete the copies of a receipt that was undone, and what was to come instead: all lies where it was."""
    for entry in os.scandir(receipt.at):
        if entry.name != FILE:
            with suppress(OSError):
                os.unlink(entry.path)


def copy_file(source: str, target: str) -> None:
    """Copy content, mode and time, synced. ``target`` must not exist."""
    with open(source, "rb") as given, open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as copy:
        shutil.copyfileobj(given, copy, 1 << 20)
        info = os.fstat(given.fileno())
        os.fchmod(copy.fileno(), info.st_mode & 0o7777)
        copy.flush()
        os.utime(copy.fileno(), ns=(info.st_atime_ns, info.st_mtime_ns))
        os.fsync(copy.fileno())


def _keep_family(change: Replace, receipt_id: str, copy: str, folder: str) -> Swap:
    others: list[str] = []
    for name in _names(folder):
        with suppress(OSError):  # let go just now
            found = os.scandir(os.path.join(folder, name))
            others += [each.path for each in found if each.name.startswith("copy-") and each.is_file()]
    before = {}
    for member in change.members:
        end = member.removeprefix(change.path)
        kept = families.keep(member, copy + end, others)
        if os.path.getsize(copy + end):
            before[end] = kept
    return Swap(before=before, marker=families.marker(receipt_id))


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # another disk, or one that knows no links
        copy_file(source, target)
        return
    fd = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _missing_folders(plan: Plan) -> list[str]:
    found: list[str] = []
    for change in plan.changes:
        if isinstance(change, Move | Append):
            folder = os.path.dirname(paths_of(change)[-1])
            new = []
            while not os.path.isdir(folder) and folder not in found:
                new.append(folder)
                folder = os.path.dirname(folder)
            found += reversed(new)
    return found


def _let_old_ones_go(folder: str, kept: int, bytes_max: int, spared: Sequence[str]) -> None:
    size = 0
    counted: set[tuple[int, int]] = set()
    for number, receipt in enumerate(listing(folder)):
        size += _size(receipt.at, counted)
        too_much = number >= kept or size > bytes_max
        if number and too_much and receipt.state != "unfinished" and receipt.id not in spared:
            with suppress(Busy, OSError), sole_hand(receipt):  # nobody is just undoing it
                discard(receipt)
    for name in os.listdir(folder):
        half = os.path.join(folder, name)
        with suppress(OSError):
            if name.startswith(HALF) and time.time() - os.stat(half).st_mtime > _HOUR_S:
                shutil.rmtree(half, ignore_errors=True)  # its maker was killed, and had changed nothing yet


def _size(at: str, counted: set[tuple[int, int]]) -> int:
    size = 0
    with suppress(OSError):
        for info in [entry.stat(follow_symlinks=False) for entry in os.scandir(at)]:
            if (info.st_dev, info.st_ino) not in counted:  # two receipts may share a copy
                counted.add((info.st_dev, info.st_ino))
                size += info.st_size
    return size


def _names(folder: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if not name.startswith(".")]
    except OSError:
        return []
