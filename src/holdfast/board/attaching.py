"""Files that belong to a task, in the database with it, in parts: whoever can see the task can read them.

All bytes are read before the first is written. So a file above the limit, or one
that cannot be read to its end, leaves nothing, and nobody waits for the writer's
seat while a slow file is read: ``prepare`` it outside of the transaction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import IO

import msgspec

from holdfast.board.rows import SQL
from holdfast.board.telling import tell
from holdfast.engine import Read, Row, Write
from holdfast.errors import Damaged, Refused

PART_BYTES = 256 * 1024
SIZE_MAX = 25 * 1024 * 1024
"""Of one file, unless the caller allows more."""

NAME_CHARS_MAX = 255


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a task. ``detached_ms``: its bytes were taken away then; what it was is still known."""

    attachment_id: int
    task_id: int
    name: str
    media_type: str
    size_bytes: int
    sha256: str
    added_by: str
    created_ms: int
    detached_ms: int | None


class Prepared(msgspec.Struct, frozen=True):
    """The bytes of a file, read and measured."""

    parts: tuple[bytes, ...]
    size_bytes: int
    sha256: str


def prepare(data: bytes | IO[bytes], *, size_max: int = SIZE_MAX) -> Prepared:
    """Read ``data`` to its end. Takes as much memory as the file, at most ``size_max``.

    Raises ``Refused`` as soon as there is more than that.
    """
    if isinstance(data, bytes):
        _check_size(len(data), size_max, whole=True)
    digest, size, parts = hashlib.sha256(), 0, []
    for part in _parts(data):
        size += len(part)
        _check_size(size, size_max, whole=False)
        digest.update(part)
        parts.append(part)
    return Prepared(tuple(parts), size, digest.hexdigest())


def attach(
    tx: Write,
    task_id: int,
    name: str,
    data: bytes | IO[bytes] | Prepared,
    *,
    media_type: str = "",
    author: str = "",
    size_max: int = SIZE_MAX,
) -> Attachment:
    """Add a file to a task, under a name that need not be its only one.

    Raises ``Refused`` when there is no such task, for a name with a path in
    it, and for more than ``size_max`` bytes: then nothing was written.
    """
    check_name(name)
    made = data if isinstance(data, Prepared) else prepare(data, size_max=size_max)
    _check_size(made.size_bytes, size_max, whole=True)
    tell(tx, task_id, "attached", {"name": name, "size_bytes": made.size_bytes, "author": author})
    return put(tx, task_id, name, made, media_type=media_type, author=author, created_ms=tx.now_ms)


def put(
    tx: Write, task_id: int, name: str, made: Prepared, *, media_type: str, author: str, created_ms: int
) -> Attachment:
    """Write the rows of a file, and tell nobody: for an import, whose events tell of it already."""
    row = tx.row(
        SQL["insert_attachment"],
        task_id=task_id,
        name=name,
        media_type=media_type,
        size_bytes=made.size_bytes,
        sha256=made.sha256,
        added_by=author,
        created_ms=created_ms,
    )
    assert row is not None  # RETURNING
    found = Attachment(**row)
    rows = [{"attachment_id": found.attachment_id, "part": at, "data": part} for at, part in enumerate(made.parts)]
    tx.run_many(SQL["insert_part"], rows)
    return found


def attachments(tx: Read, task_id: int, *, detached: bool = False) -> list[Attachment]:
    """Return the files of a task, oldest first; with ``detached`` also those that were taken away."""
    rows = tx.rows(SQL["list_attachments"], task_id=task_id, detached=int(detached))
    return [Attachment(**row) for row in rows]


def get_attachment(tx: Read, attachment_id: int) -> Attachment | None:
    """Return what is known of a file, or None when there is none."""
    row = tx.row(SQL["get_attachment"], attachment_id=attachment_id)
    return None if row is None else Attachment(**row)


def read_part(tx: Read, attachment_id: int, part: int) -> bytes | None:
    """Return one part of a file, 256 KiB but for the last; None after the last."""
    row: Row | None = tx.row(SQL["get_part"], attachment_id=attachment_id, part=part)
    return None if row is None else bytes(row["data"])


def read_attachment(tx: Read, attachment_id: int) -> Iterator[bytes]:
    """Yield the bytes of a file in parts, each read when it is asked for, and check at the end that they are all.

    Raises ``Refused`` when there is no such file or it was taken away, ``Damaged`` when its bytes are not
    those that were attached: only after the last part is it known.
    """
    found = present(get_attachment(tx, attachment_id), attachment_id)
    check = Check(found)
    for at in range(part_count(found)):
        part = read_part(tx, attachment_id, at)
        check.add(part)
        yield part or b""
    check.end()


def detach(tx: Write, attachment_id: int, *, author: str = "") -> Attachment:
    """Take the bytes of a file away for good; that it was there stays known. A second time changes nothing.

    Raises ``Refused`` when there is no such file.
    """
    found = get_attachment(tx, attachment_id)
    if found is None:
        raise _missing(attachment_id)
    if tx.run(SQL["detach"], attachment_id=attachment_id, now_ms=tx.now_ms):
        tx.run(SQL["drop_parts"], attachment_id=attachment_id)
        tell(tx, found.task_id, "detached", {"name": found.name, "author": author})
        return msgspec.structs.replace(found, detached_ms=tx.now_ms)
    return found


class Check:
    """Whether parts, as they come, are the file that was attached."""

    def __init__(self, of: Attachment) -> None:
        self._of = of
        self._digest = hashlib.sha256()
        self._size = 0

    def add(self, part: bytes | None) -> None:
        """Take the next part. Raises ``Damaged`` when it is missing."""
        if part is None:
            raise self._damaged("a part of it is missing")
        self._digest.update(part)
        self._size += len(part)

    def end(self) -> None:
        """Raise ``Damaged`` unless the parts were the whole file."""
        if (self._size, self._digest.hexdigest()) != (self._of.size_bytes, self._of.sha256):
            raise self._damaged(f"{self._size} bytes with SHA-256 {self._digest.hexdigest()[:16]}")

    def _damaged(self, measured: str) -> Damaged:
        of = self._of
        return Damaged(
            f"attachment {of.attachment_id} ({of.name}) is not what was attached: {measured}; expected"
            f" {of.size_bytes} bytes with SHA-256 {of.sha256[:16]}",
            remedy="Something else wrote its parts. Attach the file again, or restore a backup.",
        )


def present(found: Attachment | None, attachment_id: int) -> Attachment:
    """Return ``found``. Raises ``Refused`` when there is no such file, or it was taken away."""
    if found is None:
        raise _missing(attachment_id)
    if found.detached_ms is not None:
        raise Refused(f"attachment {attachment_id} ({found.name}) was taken off task {found.task_id}")
    return found


def part_count(of: Attachment) -> int:
    """Return in how many parts a file lies."""
    return -(-of.size_bytes // PART_BYTES)


def check_name(name: str) -> None:
    """Raise ``Refused`` for what is no plain name of a file."""
    odd = name in ("", ".", "..") or any(letter in "/\0\\" or ord(letter) < 32 for letter in name)
    if odd or len(name) > NAME_CHARS_MAX or name.encode(errors="replace").decode() != name:
        raise Refused(
            f"{name[:80]!r} is no name for an attachment",
            remedy=f"Give it the name of a file, without its folder, of at most {NAME_CHARS_MAX} characters.",
        )


def _parts(data: bytes | IO[bytes]) -> Iterator[bytes]:
    if isinstance(data, bytes):
        for begin in range(0, len(data), PART_BYTES):
            yield data[begin : begin + PART_BYTES]
        return
    waiting = bytearray()
    while piece := data.read(PART_BYTES):  # a pipe gives less at a time
        waiting += piece
        while len(waiting) >= PART_BYTES:
            yield bytes(waiting[:PART_BYTES])
            del waiting[:PART_BYTES]
    if waiting:
        yield bytes(waiting)


def _check_size(size: int, size_max: int, *, whole: bool) -> None:
    if size > size_max:
        raise Refused(
            f"the file has {'' if whole else 'more than '}{size if whole else size_max} bytes, of at most {size_max};"
            " nothing was written",
            remedy="Put it where workers can reach it, and its path into a comment.",
        )


def _missing(attachment_id: int) -> Refused:
    return Refused(f"there is no attachment {attachment_id}", remedy="`holdfast board show TASK` lists its files.")
