"""What must be true of the rows of ``holds``. Looks only.

A hold whose owner died without releasing it is no finding: the next taker
replaces it at once, as promised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from holdfast import sql
from holdfast.engine import Read
from holdfast.findings import Finding, Sure
from holdfast.holds import owner as owners
from holdfast.holds.rules import COUNTER_BITS

_SQL = sql.load("holdfast.holds")


def probes(tx: Read) -> list[Finding]:
    """Return what is wrong with the holds. Three reads; the rows that are right are not fetched."""
    row = tx.row(_SQL["get_epoch"])
    epoch = int(row["epoch"]) if row else 0
    odd = tx.rows(
        _SQL["odd_holds"],
        now_ms=tx.now_ms,
        fence_floor=1 << COUNTER_BITS,
        fence_ceiling=(epoch + 1) << COUNTER_BITS,
    )
    found = [] if epoch >= 1 else [_no_epoch(epoch)]
    for hold in odd:
        found += _of_hold(hold, epoch, tx.now_ms)
    return found + list(_unreadable(tx))


def _of_hold(row: Mapping[str, Any], epoch: int, now_ms: int) -> Iterator[Finding]:
    subject = f"hold on {row['resource']}"
    of_epoch = row["fence"] >> COUNTER_BITS
    if of_epoch < 1 or row["fence"] == of_epoch << COUNTER_BITS:
        yield Finding(
            "hold-fence",
            subject,
            measured=f"fence {row['fence']}",
            expected=f"more than {1 << COUNTER_BITS}: an epoch, then a counter from 1",
            remedy="Something else wrote this row. Release the hold and take it again: the next fence is right.",
        )
    elif of_epoch > epoch >= 1:
        yield Finding(
            "hold-epoch",
            subject,
            measured=f"a fence of epoch {of_epoch}, while the epoch is {epoch}",
            expected="no fence from an epoch to come",
            remedy=f"An older copy of a table was put back. Raise the counter `epoch` to {of_epoch + 1}"
            " before work goes on, or fences that were already given out may be given again.",
        )
    if not row["taken_ms"] <= row["renewed_ms"] <= row["expires_ms"]:
        yield Finding(
            "hold-times",
            subject,
            measured=f"taken {row['taken_ms']}, renewed {row['renewed_ms']}, expires {row['expires_ms']}",
            expected="taken, then renewed, then expires",
            remedy="The clock fell back between two writes, or something else wrote this row."
            " Release the hold and take it again.",
        )
    if row["renewed_ms"] > now_ms:
        yield Finding(
            "hold-from-the-future",
            subject,
            measured=f"renewed at {row['renewed_ms']}, {row['renewed_ms'] - now_ms} ms from now",
            expected=f"at most {now_ms}",
            remedy="Set this machine's clock. Until then the hold lasts longer by the difference; nothing is lost.",
            sure=Sure.LIKELY,
        )


def _no_epoch(epoch: int) -> Finding:
    return Finding(
        "hold-epoch",
        "counter epoch",
        measured=f"{epoch}" if epoch else "no such row, or 0",
        expected="1 or more",
        remedy="The row was removed. Put the counter `epoch` back, one above the highest epoch of any fence.",
    )


def _unreadable(tx: Read) -> Iterator[Finding]:
    for row in tx.rows(_SQL["list_owners"]):
        remedy = "Stop whoever works on it, then delete the row from the table `holds`."
        yield from unreadable_owner("hold-owner", f"hold on {row['resource']}", row["owner"], remedy)


# --- for whoever keeps a hold in rows of its own ---------------------------------


def unreadable_owner(code: str, subject: str, text: str, remedy: str) -> Iterator[Finding]:
    """Yield what is wrong with the owner of a row, if it is no owner."""
    try:
        owners.load(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        yield Finding(
            code,
            subject,
            measured=f"owner {text[:60]!r}: {error}",
            expected="a process: host, boot, pid namespace, pid, start time",
            remedy=f"Something else wrote this row. {remedy}",
        )


def epoch_to_come(code: str, subject: str, fence: int, epoch: int) -> Finding:
    """Return what is wrong with a fence of a later epoch than ``epoch``."""
    return Finding(
        code,
        subject,
        measured=f"a fence of epoch {fence >> COUNTER_BITS}, while the epoch is {epoch}",
        expected="no fence from an epoch to come",
        remedy="An older copy of a table was put back. Raise the counter `epoch` above that before work goes on,"
        " or fences that were already given out may be given again.",
    )


def times_out_of_order(code: str, subject: str, row: Mapping[str, Any], now_ms: int) -> Finding | None:
    """Return what is wrong with the times of a hold in a row, if they cannot be: ``subject`` only waits longer."""
    if row["taken_ms"] <= row["renewed_ms"] <= row["expires_ms"] and row["renewed_ms"] <= now_ms:
        return None
    return Finding(
        code,
        subject,
        measured=f"taken {row['taken_ms']}, renewed {row['renewed_ms']}, expires {row['expires_ms']}, now {now_ms}",
        expected="taken, then renewed, then expires; renewed before now",
        remedy="The clock fell back between two writes, or something else wrote this row. Nothing is lost: the"
        f" {subject.split()[0]} may only wait longer.",
    )
