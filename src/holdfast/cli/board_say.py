"""``holdfast board comment``, ``attach`` and ``attachments``."""

from __future__ import annotations

import os
import sys
from typing import IO, TYPE_CHECKING

import click

from holdfast.cli import board_given as at
from holdfast.cli.failing import NotFound
from holdfast.cli.free_words import FreeWords, text_of
from holdfast.cli.given import Given, shared
from holdfast.cli.render import out, safe, words
from holdfast.errors import Refused

if TYPE_CHECKING:
    from holdfast.board.attaching import Attachment
    from holdfast.engine import Read


@click.command(cls=FreeWords, short_help="Say something about a task.")
@click.argument("said", metavar="WORDS...", nargs=-1, type=click.UNPROCESSED)
@at.TASK_BEFORE_WORDS
@click.option(
    "--file",
    "file",
    type=click.File(encoding="utf-8", errors="replace"),
    metavar="FILE",
    help="Say what is in it; - is stdin.",
)
@click.option("--by", "author", metavar="NAME", help="Who says it; default the assignee of this worker, or the user.")
@at.ON_BOARD
@shared
@click.pass_context
def comment(
    ctx: click.Context,
    given: Given,
    said: tuple[str, ...],
    task: str | None,
    file: IO[str] | None,
    author: str | None,
    board: str | None,
) -> None:
    """Say something about TASK, in the rest of the words; they need no quotes, and options stand before them.

    Whoever works on it next reads it. In a worker that `dispatch` started,
    TASK may be left out.

    \b
    Examples:
      holdfast board comment 12 the server needs --insecure here
      holdfast board comment --by ann 12 "see the log of Tuesday"
      git diff --stat | holdfast board comment 12 --file -
    """
    from holdfast.board import saying

    if file is not None and said:
        raise click.UsageError("--file and words exclude each other")
    text = text_of(ctx, said) if file is None else file.read()
    with at.changing(given) as tx:
        about = at.task_of(tx, task, board)
        made = saying.comment(tx, about.task_id, text, author=at.who(author))
    if given.json:
        from holdfast.cli.render import board as render

        out.document({"comment": render.comment_document(made)})
        return
    out.fields(str(about.task_id), f"comment {made.comment_id}", about.title)


@click.command(short_help="Attach files to a task.")
@at.A_TASK
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--name", metavar="NAME", help="What it is called; default the file's name.")
@click.option("--type", "media_type", metavar="TYPE", help="Such as text/plain; default by the name.")
@click.option("--by", "author", metavar="NAME", help="Who attaches it; default as for `comment`.")
@at.ON_BOARD
@shared
def attach(
    given: Given,
    task: str,
    files: tuple[str, ...],
    name: str | None,
    media_type: str | None,
    author: str | None,
    board: str | None,
) -> None:
    """Attach each FILE to TASK, all of them or none: 25 MB at most, each.

    The bytes are kept with the board; the file is needed no more.

    \b
    Examples:
      holdfast board attach 12 report.pdf
      holdfast board attach 12 out.log --name "log of Tuesday.txt"
    """
    import mimetypes

    from holdfast.board import attaching
    from holdfast.cli.render import board as render

    if name is not None and len(files) > 1:
        raise click.UsageError("--name is for one FILE")
    read = []
    for path in files:
        with open(path, "rb") as file:
            read.append((name or os.path.basename(path), attaching.prepare(file)))
    made = []
    with at.changing(given) as tx:
        about = at.task_of(tx, task, board)
        for called, data in read:
            kind = media_type or mimetypes.guess_type(called)[0] or "application/octet-stream"
            made.append(attaching.attach(tx, about.task_id, called, data, media_type=kind, author=at.who(author)))
    if given.json:
        out.document({"attachments": [render.attachment_document(each) for each in made]})
        return
    _list(made)


@click.command(short_help="List the files of a task; save or take off one.")
@at.MY_TASK
@click.option("--save", metavar="FILE", help="Save this one: its number, or its name.")
@click.option("--to", metavar="PATH", help="Where to; default its name, here. - is stdout.")
@click.option("--remove", metavar="FILE", help="Take this one off.")
@at.ON_BOARD
@shared
def attachments(
    given: Given, task: str | None, save: str | None, to: str | None, remove: str | None, board: str | None
) -> None:
    """List the files attached to TASK: number, name, type, size, by whom.

    \b
    Examples:
      holdfast board attachments 12
      holdfast board attachments 12 --save report.pdf --to /tmp/report.pdf
      holdfast board attachments 12 --remove 3
    """
    from holdfast.board import attaching
    from holdfast.cli.render import board as render

    if save and remove:
        raise click.UsageError("--save and --remove exclude each other")
    if to and not save:
        raise click.UsageError("--to is for --save")
    if remove:
        with at.changing(given) as tx:
            found = [attaching.detach(tx, _one(tx, at.task_of(tx, task, board).task_id, remove), author=at.who(None))]
    elif save:
        with at.kept(given) as state:
            with state.read() as tx:
                number = _one(tx, at.task_of(tx, task, board).task_id, save)
                named = attaching.get_attachment(tx, number)
            if to == "-":
                sys.stdout.flush()
                for part in state.board.read_attachment(number):
                    sys.stdout.buffer.write(part)
                return
            assert named is not None  # it was listed
            # A name is what somebody said: no path of theirs is followed.
            called = os.path.basename(named.name.replace("\\", "/")) or str(number)
            found = [state.board.save_attachment(number, to or called)]
    else:
        with at.looking(given) as tx:
            found = attaching.attachments(tx, at.task_of(tx, task, board).task_id)
    if given.json:
        out.document({"attachments": [render.attachment_document(each) for each in found]})
        return
    _list(found)
    if not found:
        out.note("No files are attached to it.")


def _one(tx: Read, task_id: int, text: str) -> int:
    """Return the number of the file meant by its number or its name."""
    from holdfast.board import attaching

    found = [each for each in attaching.attachments(tx, task_id) if text in (str(each.attachment_id), each.name)]
    if not found:
        raise NotFound(
            f"task {task_id} has no file {text!r}", remedy=f"`holdfast board attachments {task_id}` lists them."
        )
    if len(found) > 1:
        numbers = ", ".join(str(each.attachment_id) for each in found)
        raise Refused(f"task {task_id} has several files {text!r}: {numbers}", remedy="Name it by its number.")
    return found[0].attachment_id


def _list(found: list[Attachment]) -> None:
    for each in found:
        size = words.size(each.size_bytes) if out.is_terminal() else str(each.size_bytes)
        out.line("\t".join(map(safe.line, (str(each.attachment_id), each.name, each.media_type, size, each.added_by))))
