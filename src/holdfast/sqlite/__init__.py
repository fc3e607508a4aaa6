"""SQLite, held right: one store per process and file. Knows the machine, knows no subject.

``Store`` is for a program that is written with it (``docs/store.md``), ``connect``
for one that has ``sqlite3`` already (``docs/connect.md``). ``README.md`` in this
folder tells why each part is there.
"""

from holdfast.errors import OutcomeUnknown
from holdfast.sqlite.alone import alone
from holdfast.sqlite.connect import Connection, Cursor, connect
from holdfast.sqlite.copying import reading_copy, unsound
from holdfast.sqlite.exceptions import (
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    Warning,
)
from holdfast.sqlite.linger import close_idle
from holdfast.sqlite.locks import Holder, Pinner, openers, pinners, seat_holder
from holdfast.sqlite.rows import Row
from holdfast.sqlite.seat import seated
from holdfast.sqlite.settings import Limits
from holdfast.sqlite.store import Store, StoreStatus
from holdfast.sqlite.transactions import Reading, Writing

apilevel = "2.0"
paramstyle = "qmark"
threadsafety = 3
"""Threads may share the module, connections and cursors (PEP 249)."""

__all__ = [
    "Connection",
    "Cursor",
    "DataError",
    "DatabaseError",
    "Error",
    "Holder",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "Limits",
    "NotSupportedError",
    "OperationalError",
    "OutcomeUnknown",
    "Pinner",
    "ProgrammingError",
    "Reading",
    "Row",
    "Store",
    "StoreStatus",
    "Warning",
    "Writing",
    "alone",
    "apilevel",
    "close_idle",
    "connect",
    "openers",
    "paramstyle",
    "pinners",
    "reading_copy",
    "seat_holder",
    "seated",
    "threadsafety",
    "unsound",
]
