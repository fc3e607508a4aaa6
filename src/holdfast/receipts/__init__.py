"""Receipts: what is about to be done to somebody's files, kept before it is done, and how to undo it.

Knows files, knows no subject: whoever asks holds the locks that its files need, and
brings along who changes rows (``Databases``): no database is opened here.
"""

from holdfast.receipts.doing import carry_out, standings, undo
from holdfast.receipts.keeping import find, listing, write
from holdfast.receipts.model import Receipt, Standing, Step
from holdfast.receipts.standing import Databases
from holdfast.receipts.steps import Replacing

__all__ = [
    "Databases",
    "Receipt",
    "Replacing",
    "Standing",
    "Step",
    "carry_out",
    "find",
    "listing",
    "standings",
    "undo",
    "write",
]
