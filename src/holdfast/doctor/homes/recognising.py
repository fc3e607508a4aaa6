"""What a path is: a state directory of ours, a home of Codex or Hermes, or a lone database. By names and ``stat``.

No database is opened, not even for its first bytes: that a file is none is found by
the probes. ``config.toml`` of a Codex home is read, for it may put the databases
elsewhere. For the raw process: it holds no database.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from typing import NamedTuple

import msgspec

from holdfast import folders
from holdfast.board.hermes import places
from holdfast.doctor.model import Database, Target
from holdfast.errors import Refused
from holdfast.rollouts import paths

# The newest generation of each of Codex's databases that we know (0.169), and what it is for.
_CODEX = {
    "state": ("state", 5),
    "logs": ("logs", 2),
    "goals": ("goals", 1),
    "memories": ("memories", 1),
    "memories_v2": ("memories", 1),
    "thread_history": ("history", 1),
    "queue": ("queue", 1),
}
_CODEX_NAME = re.compile(r"([a-z][a-z0-9_]*?)(?:_([0-9]{1,6}))?\.sqlite")
_CODEX_MARKS = ("config.toml", "auth.json", "session_index.jsonl", "history.jsonl", "version.json")
_CODEX_FOLDERS = (paths.SESSIONS, paths.ARCHIVED)

# Of `state/directory.py`, which is above us: what a state directory holds, and what each is for.
_OURS = (("state.db", "state"), ("search.db", "search"), ("cache.db", "cache"))
_SEAT = "state.db.seat"

_HERMES_MARKS = ("config.yaml", "kanban", "skills", "cron", "sessions", "SOUL.md")
_HERMES_DBS = (("state.db", "state"), ("memory_store.db", "memories"), ("response_store.db", "other"))

OLD = "old"
"""The role of a database that lies where a Codex home had it before ``sqlite_home`` moved: nobody should use it."""

SIDECARS = ("-wal", "-shm", "-journal")
_CONFIG_BYTES_MAX = 4 << 20


class _SqliteHome(NamedTuple):
    """Where a Codex home has its databases, if not in itself. ``said_by``: what says so."""

    path: str
    said_by: str


def recognise(path: str | os.PathLike[str]) -> Target | None:
    """Return what ``path`` is, None when it is nothing we know. A file of a database's family stands for the database.

    Costs a listing of the folder and a few ``stat``. A folder that may not be listed is nothing we know.
    """
    path = os.path.abspath(os.path.expanduser(path))
    try:
        mode = os.stat(path).st_mode
    except OSError:
        mode = 0
    if not stat.S_ISDIR(mode):
        return _file(path)
    try:
        names = frozenset(os.listdir(path))
    except OSError:
        return None
    return _ours(path, names) or _codex(path, names) or _hermes(path, names)


def usual_places() -> list[Target]:
    """Return what is there: our own state directory, ``~/.codex`` and ``~/.hermes``, or what the environment names."""
    asked = (
        folders.default_state(),
        os.environ.get("CODEX_HOME") or "~/.codex",
        os.environ.get("HERMES_HOME") or "~/.hermes",
    )
    found: dict[str, Target] = {}
    for path in asked:
        target = recognise(path)
        if target is not None:
            found.setdefault(os.path.realpath(target.path), target)
    return list(found.values())


def is_sessions_home(path: str) -> bool:
    """Whether a Codex home keeps rollouts, and is no mere folder of databases (a ``sqlite_home``)."""
    return any(os.path.isdir(os.path.join(path, name)) for name in _CODEX_FOLDERS) or any(
        os.path.exists(os.path.join(path, name)) for name in _CODEX_MARKS
    )


def sqlite_home(home: str) -> tuple[_SqliteHome | None, tuple[str, ...]]:
    """Return where this Codex home is told to have its databases (None: in itself), and notes on how that was said."""
    notes: tuple[str, ...] = ()
    said: object = None
    try:
        with open(os.path.join(home, "config.toml"), "rb") as file:
            said = tomllib.loads(file.read(_CONFIG_BYTES_MAX).decode()).get("sqlite_home")
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:  # a TOML error is a ValueError, and so is a text that is no UTF-8
        notes = (f"config.toml cannot be read, so it is not known whether it names a sqlite_home: {error}",)
    if isinstance(said, str) and said.strip():
        return _SqliteHome(os.path.join(home, os.path.expanduser(said)), "sqlite_home in config.toml"), notes
    asked = os.environ.get("CODEX_SQLITE_HOME", "").strip()
    if not asked:
        return None, notes
    if not os.path.isabs(asked):
        notes += (
            f"CODEX_SQLITE_HOME is {asked!r}, which is relative: Codex takes it from the directory it is started in, so"
            f" each has its own databases. Here it is {os.path.abspath(asked)}.",
        )
    return _SqliteHome(os.path.abspath(asked), "CODEX_SQLITE_HOME"), notes


# --- each kind -------------------------------------------------------------------


def _file(path: str) -> Target | None:
    for end in SIDECARS:
        if path.endswith(end):
            path = path.removesuffix(end)
    try:
        mode = os.stat(path).st_mode
    except OSError:
        # The log of a database that is gone says that something is wrong.
        if any(os.path.lexists(path + end) for end in SIDECARS):
            return Target(kind="sqlite", path=path, databases=(_database(path),))
        return None
    if stat.S_ISDIR(mode):
        return None
    return Target(kind="sqlite", path=path, databases=(_database(path),))


def _database(path: str) -> Database:
    known = _codex_database(path)
    if known is not None:
        return known
    name = os.path.basename(path)
    role = "board" if name == "kanban.db" else dict(_OURS).get(name, "other")
    return Database(role=role, path=path)


def _ours(path: str, names: frozenset[str]) -> Target | None:
    is_default = os.path.realpath(path) == os.path.realpath(folders.default_state())
    if _SEAT not in names and not (is_default and names):
        return None
    found = tuple(Database(role=role, path=os.path.join(path, name)) for name, role in _OURS if name in names)
    return Target(kind="holdfast", path=path, databases=found)


def _codex(path: str, names: frozenset[str]) -> Target | None:
    here = _codex_databases(path, names)
    named = any(each.role != "other" for each in here)
    has_rollouts = any(name in names for name in _CODEX_FOLDERS) and (
        any(name in names for name in _CODEX_MARKS) or _has_years(path)
    )
    if not named and not has_rollouts and not {"config.toml", "auth.json"} <= names:
        return None
    elsewhere, notes = sqlite_home(path)
    if elsewhere is not None and os.path.realpath(elsewhere.path) != os.path.realpath(path):
        there = _codex_databases(elsewhere.path)
        if there:
            notes += (f"Its databases are in {elsewhere.path} ({elsewhere.said_by}).",)
            if here:
                notes += (f"{len(here)} databases of an earlier time lie in the home itself.",)
            here = [*there, *(msgspec.structs.replace(each, role=OLD) for each in here)]
        else:
            notes += (f"{elsewhere.said_by} names {elsewhere.path}; no database of Codex is there yet.",)
    return Target(kind="codex", path=path, databases=tuple(here), notes=notes)


def _hermes(path: str, names: frozenset[str]) -> Target | None:
    try:
        boards = places.places(path)
    except (Refused, OSError):
        boards = []
    is_home = sum(name in names for name in _HERMES_MARKS) >= 2 and any(name in names for name, _ in _HERMES_DBS)
    if not boards and not is_home:
        return None
    found = [Database(role="board", path=place.db) for place in boards]
    found += [Database(role=role, path=os.path.join(path, name)) for name, role in _HERMES_DBS if name in names]
    return Target(kind="hermes", path=path, databases=tuple(found))


def _codex_databases(folder: str, names: frozenset[str] | None = None) -> list[Database]:
    if names is None:
        try:
            names = frozenset(os.listdir(folder))
        except OSError:
            return []
    found = (_codex_database(os.path.join(folder, name)) for name in sorted(names))
    return [each for each in found if each is not None]


def _codex_database(path: str) -> Database | None:
    match = _CODEX_NAME.fullmatch(os.path.basename(path))
    if match is None:
        return None
    number = None if match[2] is None else int(match[2])
    if match[1] not in _CODEX:
        # A name of Codex's kind for something newer than what we know; any other file is somebody's.
        return (
            None
            if number is None or os.path.isdir(path)
            else Database(role="other", path=path, generation=number, known=False)
        )
    role, newest = _CODEX[match[1]]
    if number is None and match[1] != "state":
        return None  # only the first of all had no number
    return Database(role=role, path=path, generation=number, known=number is None or number <= newest)


def _has_years(path: str) -> bool:
    try:
        return any(re.fullmatch(r"[0-9]{4}", name) for name in os.listdir(os.path.join(path, paths.SESSIONS)))
    except OSError:
        return False
