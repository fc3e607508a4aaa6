"""What must be true of lists of tools. Looks only."""

from __future__ import annotations

from holdfast import ids, sql
from holdfast.engine import Read
from holdfast.findings import Finding
from holdfast.tools import rules
from holdfast.tools.store import digest_of

_SQL = sql.load("holdfast.tools")
_REMEDY = "`holdfast threads reindex` reads what rollouts say again; what was said here, say again with `set_tools`."


def probes(tx: Read) -> list[Finding]:
    """Return what is wrong. Reads every list: there are few."""
    found = []
    for row in tx.rows(_SQL["every_list"]):
        subject = f"tool list {row['list_id']}"
        if rules.decode(row["tools"]) is None or digest_of(row["tools"]) != bytes(row["digest"]):
            found.append(
                Finding("tool-list-unreadable", subject, "not what was put there", "a JSON list of tools", _REMEDY)
            )
        elif not row["used"]:
            found.append(
                Finding("tool-list-unused", subject, "no thread has it", "lists that threads have", "Nothing is lost.")
            )
    found += [
        Finding(
            "tool-list-missing",
            f"thread {ids.text(row['thread_id'])}",
            measured="its list of tools is not there",
            expected="a list that is",
            remedy=_REMEDY,
        )
        for row in tx.rows(_SQL["lost_lists"])
    ]
    return found
