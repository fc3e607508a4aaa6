"""Every error this package raises, grouped by what the caller should do next.

    HoldfastError
    ├── Busy         try again
    │   └── Full     ... once there is room: the disk, a quota or a cap of ours is reached
    ├── OutcomeUnknown  look first: a COMMIT failed, and may be in all the same
    ├── HalfDone     finish it or undo it: a change to files was stopped in the middle
    ├── Damaged      stop: the bytes on disk are not what we wrote
    ├── Refused      change the call: it asks for something the rules forbid
    │   └── Stale    ... because the caller's hold or snapshot is out of date
    └── Unsupported  change the machine: SQLite too old, schema too new, network disk

An expected answer (a thread that does not exist, a hold somebody else has) is
a value, never an error.
"""

from __future__ import annotations


class HoldfastError(Exception):
    """Something went wrong in the state layer. ``remedy`` says what to do next."""

    exit_code = 1
    remedy = ""

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        if remedy is not None:
            self.remedy = remedy


class Busy(HoldfastError):
    """Someone else was at work for longer than we were willing to wait. Nothing was changed."""

    exit_code = 75  # EX_TEMPFAIL, <sysexits.h>
    remedy = "Try again; if it persists, `holdfast status` shows who is writing, `holdfast holds` who is working."


class Full(Busy):
    """No room: the disk, a quota, or one of our own caps. Nothing was changed."""

    remedy = "Make room on the disk that holds the state directory, then try again."


class OutcomeUnknown(HoldfastError):
    """A COMMIT failed, and the database may hold it all the same.

    Never retried by us: ask the database, by idempotency key or by fence,
    whether the work is there, before doing it again. Ask inside a write: on
    SQLite it makes safe what it finds; a read may see what a power cut still takes.
    """

    exit_code = 75  # EX_TEMPFAIL, <sysexits.h>
    remedy = "Ask by idempotency key or fence, in a write, whether the work is there before you repeat it."


class HalfDone(HoldfastError):
    """Some steps of a change to files were done, and then one could not be. The receipt says which."""

    exit_code = 74  # EX_IOERR
    remedy = "`holdfast receipts list` shows what was stopped in the middle; `holdfast undo ID` undoes it."


class Damaged(HoldfastError):
    """The bytes on disk are not what we wrote. Nothing further is written to them."""

    exit_code = 65  # EX_DATAERR
    remedy = (
        "If it is holdfast's own, run `holdfast index --rebuild`: the index is made again from the home and the last "
        "snapshot. Of a file of yours, restore a copy."
    )


class Refused(HoldfastError):
    """The call asks for something the rules forbid. Nothing was changed."""

    exit_code = 64  # EX_USAGE


class Stale(Refused):
    """The hold or snapshot this call relies on is out of date. Nothing was changed."""

    exit_code = 3
    remedy = "Take the hold again and repeat the work from a fresh read."


class Unsupported(HoldfastError):
    """This machine, file or library cannot do it safely."""

    exit_code = 69  # EX_UNAVAILABLE
