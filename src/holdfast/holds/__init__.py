"""Who may work on what, and until when. Leases, claims, locks and gates are all one thing: a hold."""

from holdfast.holds.keeper import Keeper, Watch, kept
from holdfast.holds.model import Denied, Hold, Owner
from holdfast.holds.owner import describe, is_dead, me
from holdfast.holds.rules import over
from holdfast.holds.store import confirm, end_all, epoch, get, know_server, listing, raise_epoch, release, renew, take

__all__ = [
    "Denied",
    "Hold",
    "Keeper",
    "Owner",
    "Watch",
    "confirm",
    "describe",
    "end_all",
    "epoch",
    "get",
    "is_dead",
    "kept",
    "know_server",
    "listing",
    "me",
    "over",
    "raise_epoch",
    "release",
    "renew",
    "take",
]
