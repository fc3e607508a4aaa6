"""How a command ends when it cannot do its work: one sentence, what to do, and an exit code."""

from __future__ import annotations

import errno
import os
import re
import sys
from typing import TYPE_CHECKING

import click

from holdfast.cli.given import Given
from holdfast.cli.render import out
from holdfast.errors import Busy, HoldfastError

if TYPE_CHECKING:
    from holdfast.threads.model import Thread

NOT_FOUND = 1
USAGE = 64  # EX_USAGE and friends: <sysexits.h>
BUG = 70  # EX_SOFTWARE
IO = 74  # EX_IOERR
INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it
PIPE_CLOSED = 141  # 128 + SIGPIPE


class NotFound(HoldfastError):
    """There is no such thread. A value inside the library; at the edge, an exit code."""

    exit_code = NOT_FOUND


def no_thread(text: str, known: Thread | None = None, *, deleted: bool = False) -> NotFound:
    """Return the error for a thread of which nothing is found. ``known``: what the index still has of it.

    ``deleted``: it was looked for among those that were deleted.
    """
    if deleted:
        return NotFound(
            f"there is no deleted thread with the id, name or title {text!r}",
            remedy="`holdfast threads list --deleted --all` shows them.",
        )
    if known is not None:
        return NotFound(
            f"the file of thread {known.id} ({known.label}) is gone: {known.rollout_path}",
            remedy="`holdfast threads list --missing` shows what is still known of such threads.",
        )
    return NotFound(
        f"there is no thread with the id, name or title {text!r}",
        remedy="`holdfast threads list --all --search WORDS` looks for a piece of a title.",
    )


class Interrupted(HoldfastError):
    """Ctrl-C, by a command that can say what became of the work."""

    exit_code = INTERRUPTED


class CameToNothing(click.exceptions.Exit):
    """The command did what it was asked, and all of it failed: what it printed stays, only its exit code tells."""


def came_to_nothing(given: Given, message: str, remedy: str, *, code: int = Busy.exit_code) -> CameToNothing:
    """Say so in a line on stderr, and return what to raise. With ``--json`` the document that was printed says it."""
    if not given.json:
        out.note(f"holdfast: {message}")
        out.note(remedy)
    return CameToNothing(code)


def tell(error: BaseException, given: Given) -> int:
    """Say what happened on stderr, and return the exit code for it."""
    match error:
        case BrokenPipeError():
            _abandon_stdout()
            return PIPE_CLOSED
        case click.exceptions.Exit():
            return error.exit_code
        case SystemExit():
            return error.code if isinstance(error.code, int) else 1
        case HoldfastError():
            return _say(given, kind(error), str(error), error.remedy, error.exit_code)
        case click.UsageError():
            return _say(given, "usage", _sentence(error), _see_help(error), USAGE)
        case click.ClickException():
            return _say(given, "usage", _sentence(error), "", USAGE)
        case click.Abort() | KeyboardInterrupt():
            return _say(given, "interrupted", "interrupted", "", INTERRUPTED)
        case UnicodeEncodeError() if not _is_text(given.argv):
            return _say(given, "usage", "what was typed is not UTF-8", "", USAGE)
        case OSError():
            _abandon_stdout()  # it may be stdout itself that failed
            what = f"{error.filename}: " if error.filename else ""
            remedy = "Raise the limit (`ulimit -n`)." if error.errno in (errno.EMFILE, errno.ENFILE) else ""
            return _say(given, "io", f"{what}{error.strerror or error}", remedy, IO)
        case _:
            return _bug(error, given)


def _say(given: Given, kind: str, message: str, remedy: str, code: int) -> int:
    if given.json or "--json" in given.argv:
        out.error_json({"error": {"kind": kind, "message": message, "remedy": remedy}})
    else:
        out.note(f"holdfast: {message}")
        if remedy:
            out.note(remedy)
    return code


def kind(error: HoldfastError) -> str:
    """Return the word that JSON says for ``error``: ``busy``, ``not-found``, ``no-rollout``."""
    return re.sub("(?<=[a-z])(?=[A-Z])", "-", type(error).__name__).lower()


def _sentence(error: click.ClickException) -> str:
    message = error.format_message().rstrip(".")
    return message[:1].lower() + message[1:]


def _is_text(argv: tuple[str, ...]) -> bool:
    # Bytes that are no UTF-8 come as lone surrogates: fine in a path, nowhere else.
    return not any("\ud800" <= letter <= "\udfff" for word in argv for letter in word)


def _see_help(error: click.UsageError) -> str:
    command = error.ctx.command_path if error.ctx is not None else "holdfast"
    return f"`{command} --help` shows what it takes."


def _bug(error: BaseException, given: Given) -> int:
    if given.verbose:
        import traceback

        traceback.print_exception(error)
    remedy = "This is a bug in holdfast. Run it again with --verbose and report what it prints."
    return _say(given, "bug", f"{type(error).__name__}: {error}", remedy, BUG)


def _abandon_stdout() -> None:
    """Point stdout at nothing, so that the interpreter's last flush cannot fail once more."""
    try:
        descriptor = sys.stdout.fileno()
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, descriptor)
        os.close(nothing)
    except (OSError, ValueError):
        pass
