"""``state.board``: what is said and attached, and boards carried in and out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from holdfast.board import attaching, saying
from holdfast.board.attaching import SIZE_MAX, Attachment
from holdfast.board.saying import Comment
from holdfast.errors import Refused

if TYPE_CHECKING:
    from holdfast.board.exchange import ExportReport, ImportReport
    from holdfast.engine import Engine
    from holdfast.state.handle import State

Path = str | os.PathLike[str]


class BoardData:
    """The part of ``state.board`` that is about texts and files."""

    _state: State

    def comment(self, task_id: int, body: str, *, author: str = "") -> Comment:
        """Say something of a task. Raises ``Refused`` when there is none."""
        with self._state.write() as tx:
            return saying.comment(tx, task_id, body, author=author)

    def comments(self, task_id: int, *, after: int = 0, limit: int = 100) -> list[Comment]:
        """Return what was said of a task after the comment ``after``, oldest first."""
        if self._state.engine is None:
            return []
        with self._state.read() as tx:
            return saying.comments(tx, task_id, after=after, limit=limit)

    def attach(
        self,
        task_id: int,
        name: str,
        data: bytes | IO[bytes],
        *,
        media_type: str = "",
        author: str = "",
        size_max: int = SIZE_MAX,
    ) -> Attachment:
        """Add a file to a task. It is read to its end before anything is written, and while nobody waits."""
        attaching.check_name(name)
        made = attaching.prepare(data, size_max=size_max)
        with self._state.write() as tx:
            return attaching.attach(tx, task_id, name, made, media_type=media_type, author=author, size_max=size_max)

    def attachments(self, task_id: int, *, detached: bool = False) -> list[Attachment]:
        """Return the files of a task, oldest first."""
        if self._state.engine is None:
            return []
        with self._state.read() as tx:
            return attaching.attachments(tx, task_id, detached=detached)

    def read_attachment(self, attachment_id: int) -> Iterator[bytes]:
        """Yield the bytes of a file, each part from a read of its own; a slow reader keeps nobody waiting.

        Raises ``Refused`` when there is no such file or it was taken away,
        also in the middle, and ``Damaged`` when its bytes are not those attached.
        """
        with self._state.read() as tx:
            found = attaching.present(attaching.get_attachment(tx, attachment_id), attachment_id)
        return self._parts(found)

    def save_attachment(self, attachment_id: int, path: Path, *, replace: bool = False) -> Attachment:
        """Write a file to ``path``, which gets its name when it is whole and checked; return what was known of it.

        Raises as ``read_attachment``, ``Refused`` when ``path`` is there and is not to be replaced, ``Full``.
        """
        from holdfast.board.exchange.files import new_file

        with self._state.read() as tx:
            found = attaching.present(attaching.get_attachment(tx, attachment_id), attachment_id)
        with new_file(os.fspath(path), replace=replace) as file:
            for part in self._parts(found):
                file.write(part)
        return found

    def detach(self, attachment_id: int, *, author: str = "") -> Attachment:
        """Take the bytes of a file away for good; that it was there stays known."""
        with self._state.write() as tx:
            return attaching.detach(tx, attachment_id, author=author)

    def import_hermes(self, path: Path, **words: Any) -> list[ImportReport]:
        """Import a Hermes ``kanban.db``, or every board of a Hermes root. See ``exchange.import_hermes``."""
        from holdfast.board import exchange

        return exchange.import_hermes(self._state.engine_to_write(), path, **words)

    def import_json(self, source: Path | IO[bytes], **words: Any) -> ImportReport:
        """Import what ``export_json`` wrote. See ``exchange.import_json``."""
        from holdfast.board import exchange

        return exchange.import_json(self._state.engine_to_write(), source, **words)

    def export_json(self, target: Path | IO[bytes], **words: Any) -> ExportReport:
        """Write a board as JSON lines. See ``exchange.export_json``."""
        from holdfast.board import exchange

        return exchange.export_json(self._engine(), target, **words)

    def export_markdown(self, target: Path | IO[bytes], **words: Any) -> ExportReport:
        """Write a board for people to read. See ``exchange.export_markdown``."""
        from holdfast.board import exchange

        return exchange.export_markdown(self._engine(), target, **words)

    def _engine(self) -> Engine:
        if self._state.engine is None:
            raise Refused("nothing is kept here yet: there is no board to export")
        return self._state.engine

    def _parts(self, found: Attachment) -> Iterator[bytes]:
        check = attaching.Check(found)
        for at in range(attaching.part_count(found)):
            with self._state.read() as tx:
                part = attaching.read_part(tx, found.attachment_id, at)
                if part is None:
                    attaching.present(attaching.get_attachment(tx, found.attachment_id), found.attachment_id)
            check.add(part)
            yield part or b""
        check.end()
