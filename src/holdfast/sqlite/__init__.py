"""SQLite, held right: one store per process and file. Knows the machine, knows no subject.

``README.md`` in this folder tells why each part is there.
"""

from holdfast.sqlite.codes import OutcomeUnknown
from holdfast.sqlite.locks import Holder, Pinner, openers, pinners, seat_holder
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
    "openers",
    "pinners",
    "seat_holder",
]
