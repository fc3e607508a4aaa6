"""Where holdfast keeps its own files, and where it refuses to."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from holdfast import folders
from holdfast.errors import Refused, Unsupported
from holdfast.postgres import is_url
from holdfast.rollouts import paths

STATE_DB = "state.db"
SEARCH_DB = "search.db"
CACHE_DB = "cache.db"
BACKUPS = "backups"
RECEIPTS = "receipts"
LOGS = "logs"
MEMORY = "memory"


def default_home() -> str:
    """Return ``$CODEX_HOME``, else ``~/.codex``."""
    return os.environ.get("CODEX_HOME") or os.path.expanduser("~/.codex")


def real(path: str | os.PathLike[str] | None) -> str:
    """Return the real path of the state directory ``path`` (None: the default), whether or not it exists.

    A URL names a database; what stays on this machine (logs, receipts, cache) then lies in the default directory.
    """
    return os.path.realpath(os.path.expanduser(path if path and not is_url(path) else folders.default_state()))


def database(state: str | os.PathLike[str] | None, state_dir: str | os.PathLike[str] | None) -> str | None:
    """Return the URL of the database that was asked for, with ``state``, as the directory or in $HOLDFAST_STATE.

    None: the state is in a directory.
    """
    for asked in (state, state_dir, None if state or state_dir else os.environ.get("HOLDFAST_STATE")):
        if isinstance(asked, str) and is_url(asked):
            return asked
        if isinstance(asked, str) and re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", asked):
            raise Refused(
                f"{asked.partition('://')[0]}:// is no state: it is kept in a directory, or in PostgreSQL",
                remedy="Name a directory, or write postgresql://user@host/database.",
            )
    return None


def refuse_database(state_dir: str | os.PathLike[str] | None, what: str, remedy: str) -> None:
    """Raise ``Unsupported`` when the state asked for is in a database on a server."""
    if database(None, state_dir) is not None:
        raise Unsupported(
            f"{what} works on a state in a directory; this one is in a PostgreSQL database", remedy=remedy
        )


def make_home(path: str) -> None:
    """Make the home at real ``path`` for this user alone (0700), unless it is there.

    Raises ``Unsupported`` when that cannot be, ``Refused`` when something that is no directory is there.
    """
    try:
        folders.make(path)
    except FileExistsError:
        raise Refused(f"{path} is not a directory, so it is no home", remedy="Name a directory with own=.") from None
    except OSError as error:
        raise Unsupported(
            f"the home {path} cannot be made: {error.strerror}", remedy="Name one that can be written with own=."
        ) from error


def check_outside(path: str, homes: Iterable[str]) -> None:
    """Raise ``Refused`` when the state directory is, or lies inside, one of these homes (all real paths)."""
    for home in homes:
        # `sessions` may be a link to another disk: what lies there is the home's, too.
        parts = (home, *(os.path.realpath(os.path.join(home, part)) for part in (paths.SESSIONS, paths.ARCHIVED)))
        if any(os.path.commonpath((path, part)) == part for part in parts):
            raise Refused(
                f"the state directory {path} would lie inside the home {home}; nothing of ours goes into a home",
                remedy="Name a directory outside of it with --state or HOLDFAST_STATE.",
            )


def prepare(path: str) -> None:
    """Make the state directory for this user alone (0700). Raises ``Unsupported`` when that cannot be."""
    try:
        folders.make(path)
    except OSError as error:
        raise Unsupported(
            f"the state directory {path} cannot be made: {error.strerror}",
            remedy="Name one that can be written with --state or HOLDFAST_STATE.",
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise Unsupported(
            f"the state directory {path} cannot be written",
            remedy="Name another with --state or HOLDFAST_STATE, or only look: `holdfast status`, `holdfast.peek()`.",
        )
