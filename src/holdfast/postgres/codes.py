"""What each SQLSTATE asks the caller to do. The one table; no other file maps codes.

Source: PostgreSQL manual, appendix A. The class (two letters) decides unless
the code itself is listed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import psycopg

from holdfast.errors import Busy, Damaged, Full, HoldfastError, Refused, Unsupported

_CLASSES: dict[str, type[HoldfastError]] = {
    "08": Busy,  # connection exception
    "0A": Unsupported,  # a feature this server has not
    "22": Refused,  # data exception
    "23": Refused,  # a constraint
    "25": Refused,  # invalid transaction state
    "28": Refused,  # authorization
    "3D": Refused,  # no such database
    "3F": Refused,  # no such schema
    "40": Busy,  # rolled back: serialization failure, deadlock
    "42": Refused,  # syntax, privilege, no such table
    "53": Busy,  # resources: too many connections, memory
    "54": Refused,  # a program limit
    "55": Busy,  # somebody has it: lock_not_available
    "57": Busy,  # somebody intervened: shutdown, crash of another session, timeout
    "58": Unsupported,  # the server's disk failed
    "XX": Unsupported,  # internal error
}
_CODES: dict[str, type[HoldfastError]] = {
    "25006": Unsupported,  # read_only_sql_transaction: a standby
    "25P03": Busy,  # idle_in_transaction_session_timeout
    "25P04": Busy,  # transaction_timeout
    "26000": Busy,  # invalid_sql_statement_name: what was prepared is gone; forgotten with the ROLLBACK
    "53100": Full,  # disk_full
    "57P04": Refused,  # database_dropped
    "XX001": Damaged,
    "XX002": Damaged,
}
REMEDIES: Mapping[str, str] = {
    "25006": "The server takes no writes: a standby, or read-only by its settings. Point the URL at the primary"
    " (several hosts and ?target_session_attrs=read-write find it).",
    "28000": "Check user, password and pg_hba.conf on the server.",
    "28P01": "Check user, password and pg_hba.conf on the server.",
    "3D000": "Create the database first, or name another in the URL.",
    "42501": "This role may not: GRANT CREATE, USAGE ON SCHEMA … and the tables in it, or use the role that owns them.",
    "53100": "Make room on the server's disk, then try again.",
    "53300": "The server has no connection left. Raise max_connections, or put a pooler in transaction mode before it.",
}

# A refusal while connecting carries no SQLSTATE (libpq keeps it to itself), only words. Words we do not know,
# of a server that speaks another language, count as Busy, and are shown.
_REFUSED_WORDS = re.compile(
    r"authentication failed|no password supplied|no pg_hba\.conf entry|(database|role|user) \"[^\"]*\" does not exist"
    r"|permission denied for database|no such database|is not permitted to log in|certificate verify failed",
    re.IGNORECASE,
)


_OPTIONS = (
    "What follows ? in the URL are options of libpq (host, sslmode, connect_timeout, target_session_attrs, …) and"
    " schema; spell it as they do, or leave it out."
)


def kind_of(sqlstate: str) -> type[HoldfastError]:
    """Return the error class for a SQLSTATE."""
    return _CODES.get(sqlstate) or _CLASSES.get(sqlstate[:2], Unsupported)


def translate(error: Exception, doing: str, waited_ms: int = 0) -> HoldfastError:
    """Return what psycopg raised as one of ours. ``doing`` names the statement or the server, never the URL."""
    if not isinstance(error, psycopg.Error):
        return Refused(f"{doing}: {error}")
    words = _line(error)
    if error.sqlstate:
        kind = kind_of(error.sqlstate)
        if kind is Busy and waited_ms:
            doing = f"waited {waited_ms} ms in {doing}"
        return kind(f"{doing}: {words} (SQLSTATE {error.sqlstate})", remedy=REMEDIES.get(error.sqlstate))
    if isinstance(error, psycopg.OperationalError):
        if _REFUSED_WORDS.search(words):
            return Refused(
                f"{doing}: {words}", remedy="Check user, password, database and pg_hba.conf; create what is missing."
            )
        return Busy(
            f"{doing}: {words}", remedy="Is the server up, and does the URL name it? Try again once it answers."
        )
    if isinstance(error, psycopg.DataError | psycopg.ProgrammingError):
        return Refused(f"{doing}: {words}", remedy=_OPTIONS if "URI" in words or "connection option" in words else None)
    return Unsupported(f"{doing}: {words}")


def _line(error: psycopg.Error) -> str:
    primary = error.diag.message_primary
    return primary or " ".join(str(error).split()) or type(error).__name__
