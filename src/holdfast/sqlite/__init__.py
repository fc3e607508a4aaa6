"""SQLite, held right: one store per process and file. Knows the machine, knows no subject.

``README.md`` in this folder tells why each part is there.
"""

from holdfast.sqlite.alone import alone
from holdfast.sqlite.codes import OutcomeUnknown
from holdfast.sqlite.copying import reading_copy, unsound
from holdfast.sqlite.locks import Holder, Pinner, openers, pinners, seat_holder
from holdfast.sqlite.seat import seated
from holdfast.sqlite.settings import Limits
from holdfast.sqlite.store import Store, StoreStatus
from holdfast.sqlite.transactions import Reading, Writing

__all__ = [
    "Holder",
    "Limits",
    "OutcomeUnknown",
    "Pinner",
    "Reading",
    "Store",
    "StoreStatus",
    "Writing",
    "alone",
    "openers",
    "pinners",
    "reading_copy",
    "seat_holder",
    "seated",
    "unsound",
]
