"""The errors of ``connect``, by the names the Python database API gives them (PEP 249).

Code that says ``except sqlite3.OperationalError`` changes its import and nothing
else. All of them are ``HoldfastError``; the one by remedy, with who holds the
lock, is the ``__cause__``, and its words are in the text.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from holdfast.errors import Busy, Damaged, Full, HoldfastError
from holdfast.sqlite import codes


class Warning(UserWarning):
    """Never raised: here so that code which names it still runs."""


class Error(HoldfastError):
    """Something went wrong on a connection. ``sqlite_errorname`` is SQLite's result code, if it was SQLite."""

    sqlite_errorcode: int | None = None
    sqlite_errorname: str | None = None


class InterfaceError(Error):
    """SQLite was called in a way it does not allow."""


class DatabaseError(Error):
    """The database said no; by itself: the file is damaged, or is no database."""


class DataError(DatabaseError):
    """A value is too large."""


class OperationalError(DatabaseError):
    """The machine, a lock, a name that does not exist, a syntax error."""


class IntegrityError(DatabaseError):
    """A constraint forbids it."""


class InternalError(DatabaseError):
    """SQLite found itself in a state it does not know."""


class ProgrammingError(DatabaseError):
    """The call is wrong: too many values, a closed connection, two statements where one belongs."""


class NotSupportedError(DatabaseError):
    """A connection that shares its file cannot do this safely."""


# As Modules/_sqlite/util.c of CPython 3.11 has it; what is not named here is a DatabaseError.
_BY_CODE: dict[int, type[Error]] = {
    **dict.fromkeys((apsw.SQLITE_INTERNAL, apsw.SQLITE_NOTFOUND), InternalError),
    **dict.fromkeys((apsw.SQLITE_CONSTRAINT, apsw.SQLITE_MISMATCH), IntegrityError),
    **dict.fromkeys((apsw.SQLITE_MISUSE, apsw.SQLITE_RANGE), InterfaceError),
    apsw.SQLITE_TOOBIG: DataError,
    **dict.fromkeys((apsw.SQLITE_CORRUPT, apsw.SQLITE_NOTADB), DatabaseError),
}
_OPERATIONAL = (
    *(apsw.SQLITE_ERROR, apsw.SQLITE_PERM, apsw.SQLITE_ABORT, apsw.SQLITE_BUSY, apsw.SQLITE_LOCKED),
    *(apsw.SQLITE_READONLY, apsw.SQLITE_INTERRUPT, apsw.SQLITE_IOERR, apsw.SQLITE_FULL, apsw.SQLITE_CANTOPEN),
    *(apsw.SQLITE_PROTOCOL, apsw.SQLITE_SCHEMA, apsw.SQLITE_NOMEM, apsw.SQLITE_AUTH),
)
_BY_CODE.update(dict.fromkeys(_OPERATIONAL, OperationalError))


def from_ours(error: HoldfastError) -> Error:
    """Return one of ours by its PEP 249 name. ``raise from_ours(error) from error``."""
    if isinstance(error, Error):
        return error
    cause = error.__cause__
    if isinstance(cause, apsw.Error) and (isinstance(error, Full) or not isinstance(error, Busy)):
        code = getattr(cause, "extendedresult", 0) or getattr(cause, "result", apsw.SQLITE_ERROR)
        kind = _BY_CODE.get(code & 0xFF, DatabaseError)
        # SQLite's own words first: code that looks for "no such table" finds them.
        told = kind(str(cause) if kind is not DatabaseError else str(error), remedy=error.remedy or None)
        told.sqlite_errorcode, told.sqlite_errorname = code, codes.name_of(code)
    elif isinstance(error, Busy):
        full = isinstance(error, Full)
        words = "database or disk is full" if full else "database is locked"
        told = OperationalError(f"{words}: {error}", remedy=error.remedy or None)
        told.sqlite_errorcode = apsw.SQLITE_FULL if full else apsw.SQLITE_BUSY
        told.sqlite_errorname = codes.name_of(told.sqlite_errorcode)
    else:
        kind = DatabaseError if isinstance(error, Damaged) else OperationalError
        told = kind(str(error), remedy=error.remedy or None)
    told.exit_code = error.exit_code
    return told


@contextmanager
def named() -> Iterator[None]:
    """Give what is raised inside its PEP 249 name."""
    try:
        yield
    except HoldfastError as error:
        told = from_ours(error)
        if told is error:
            raise
        try:
            raise told from error
        finally:
            # Its traceback leads to this frame: a name here would make a circle, and keep
            # a connection that is dropped until the collector runs.
            del told


def of_binding(error: Exception) -> Exception:
    """Return what was wrong with the values of a statement, as the standard library would say it."""
    match error:
        case KeyError():
            return ProgrammingError(f"You did not supply a value for binding parameter :{error.args[0]}.")
        case TypeError():
            return ProgrammingError(f"{error}: None, int, float, str, bytes and bool are supported; convert the rest")
        case OverflowError():
            return OverflowError("Python int too large to convert to SQLite INTEGER")
        case UnicodeDecodeError():
            return OperationalError(f"Could not decode to UTF-8 column: {error}")
        case apsw.BindingsError():
            return ProgrammingError(str(error))
    return error
