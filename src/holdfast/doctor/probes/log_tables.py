"""Log databases of Codex: what is in the table ``logs``, how fast it turns over, who changes it on its way in.

F01 and F06 by numbers of rows, F02 and F27 by a sample of them, F28 by the schema. A
table of 14 million rows costs as much as one of 20,000.
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from holdfast.doctor.homes.look import SqlLook
from holdfast.doctor.model import Confidence, Database, Finding, Json, Status
from holdfast.doctor.probes import unread
from holdfast.logs import redact
from holdfast.quantities import duration
from holdfast.sql import quoted
from holdfast.sqlite import paging
from holdfast.sqlite.inspecting import How, Inspection, Row, UnreadError

_TABLE = "logs"
_COLUMNS = ("level", "target")
_BODIES = ("feedback_log_body", "message")

CAP_BYTES = 512 << 20
"""More than this in one log database: Codex has caps for each thread, and none for all of them."""

CHURN_SPAN_S = 600
CHURN_BYTES_A_DAY = 5 << 30
CHURN_GONE_SHARE = 0.9
_ROW_BYTES = 3_787  # written to the disk for each row of Codex's (openai/codex#17320), its deletion included
_TWICE_S = 0.5

_SAMPLE = 2_000
_SAMPLED_MIN = 50
_EACH = 4  # of the rows of the sample is looked through for secrets: 0.5 ms each
SELF_SHARE = 0.2
_PARTITIONS_MAX = 2_000
_SHOWN = 5


class _Size(NamedTuple):
    """The table by its ends. ``rows`` is None when there was no time to count them."""

    low: int
    high: int
    oldest_s: int
    newest_s: int
    rows: int | None

    @property
    def span_s(self) -> int:
        return self.newest_s - self.oldest_s

    @property
    def given(self) -> int:
        """How many rows were written in the span, as far as the oldest that is left tells."""
        return self.high - self.low + 1


def _log_tables(look: SqlLook) -> Iterator[tuple[Database, Inspection, set[str]]]:
    """Yield each database of the target that has a table of log rows (once it was in ``state``), with its columns."""
    for database in look.target.databases:
        if database.role not in ("logs", "state", "other"):
            continue
        inspection = look.open(database)
        if inspection is not None and {"id", "ts", *_COLUMNS} <= (columns := inspection.columns(_TABLE).keys()):
            yield database, inspection, set(columns)


# --- F01, F06 ----------------------------------------------------------------------


@unread.probe
def log_churn(look: SqlLook) -> Iterator[Finding]:
    """Find logs that write gigabytes a day and keep next to nothing of it, and say how fast they are just now."""
    for database, inspection, _ in _log_tables(look):
        size = _size(inspection)
        if size is None or size.span_s < CHURN_SPAN_S:
            continue
        a_second = size.given / size.span_s
        a_day = a_second * 86_400 * _ROW_BYTES
        kept = size.given if size.rows is None else size.rows
        if a_day < CHURN_BYTES_A_DAY or kept > size.given * (1 - CHURN_GONE_SHARE):
            continue
        now = _rows_a_second(inspection, size.high)
        yield Finding(
            id="log-churn",
            row="F01",
            status=Status.WARN,
            path=database.path,
            measured=f"{size.given:,} rows were written in {duration(size.span_s * 1000)}, {a_second:,.0f} a second, "
            f"and {kept:,} are left: about {a_day / (1 << 30):,.0f} GiB a day are written. Now: {now:,.0f} a second.",
            expected=f"Less than {CHURN_BYTES_A_DAY >> 30} GiB a day, or most of what is written is kept.",
            confidence=Confidence.LIKELY,
            cause="Everything is logged, down to TRACE, and each row that comes in pushes one out: both are written.",
            remedy="Raise the level of what logs most, or update: later versions of Codex log less. "
            "`holdfast doctor --plan` makes a plan that shrinks the file once its writers log less.",
            details={
                "rows_a_second": round(a_second, 1),
                "rows_a_second_now": round(now, 1),
                "rows_written": size.given,
                "rows_kept": kept,
                "span_s": size.span_s,
                "bytes_a_day": round(a_day),
            },
        )


@unread.probe
def logs_no_cap(look: SqlLook) -> Iterator[Finding]:
    """Find log databases with more than 512 MiB of rows in them."""
    for database, inspection, columns in _log_tables(look):
        with inspection.moment():
            page_bytes = inspection.number("PRAGMA page_size")
            used = inspection.number("PRAGMA page_count") - inspection.number("PRAGMA freelist_count")
        if used * page_bytes <= CAP_BYTES:
            continue
        parts = {
            name: count
            for name, (_, where) in _PARTS.items()
            if {name, "thread_id"} <= columns and (count := _distinct(inspection, name, where)) is not None
        }
        told = ", ".join(
            f"{'over ' if count >= _PARTITIONS_MAX else ''}{count:,} {_PARTS[name][0]}" for name, count in parts.items()
        )
        details: dict[str, Json] = {"bytes": used * page_bytes, "cap_bytes": CAP_BYTES}
        if (size := _size(inspection)) is not None and size.rows:
            # Half of the cap: what is pruned to its brim is over it tomorrow.
            details["keep_rows"] = size.rows * CAP_BYTES // (2 * used * page_bytes)
        yield Finding(
            id="logs-no-cap",
            row="F06",
            status=Status.WARN,
            path=database.path,
            measured=f"{used * page_bytes:,} bytes of log rows" + (f", of {told}." if told else "."),
            expected=f"At most {CAP_BYTES:,} bytes in all.",
            confidence=Confidence.CERTAIN,
            cause="Codex has a cap for each thread and each process (10 MiB, 1,000 rows), and none for all together.",
            remedy="`holdfast doctor --plan` makes a plan that takes out the oldest rows and gives the room back.",
            repair="prune-logs",
            details=details | dict(parts),
        )


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


# Codex's partitions: what they are called, and which rows are in one; for each there is an index.
_PARTS = {"thread_id": ("threads", "1"), "process_uuid": ("processes", "thread_id IS NULL")}


def _size(inspection: Inspection) -> _Size | None:
    ends = [inspection.rows(f"SELECT id, ts FROM {_TABLE} ORDER BY id {order} LIMIT 1") for order in ("", "DESC")]
    if not all(ends):
        return None
    (low, oldest), (high, newest) = ((_whole(row[0]["id"]), _whole(row[0]["ts"])) for row in ends)
    try:
        rows = inspection.number(f"SELECT count(*) FROM {_TABLE}")
    except UnreadError as error:
        if error.unread.how is not How.SLOW:
            raise
        rows = None
    return _Size(low, high, oldest, newest, rows)


def _rows_a_second(inspection: Inspection, high: int) -> float:
    """Look a second time, half a second later."""
    begun_s = time.monotonic()
    time.sleep(_TWICE_S)
    now = inspection.number(f"SELECT max(id) FROM {_TABLE}")
    return (now - high) / (time.monotonic() - begun_s)


def _distinct(inspection: Inspection, column: str, where: str) -> int | None:
    """Return how many values an indexed column has, up to 2,000: a seek for each, whatever the table holds.

    None when there is no index for it, and a scan takes too long.
    """
    name, count = quoted(column), 0
    text = f"SELECT min({name}) FROM {_TABLE} WHERE {where}"
    try:
        last = inspection.value(text)
        while last is not None and count < _PARTITIONS_MAX:
            count += 1
            last = inspection.value(f"{text} AND {name} > ?", (last,))
    except UnreadError as error:
        if error.unread.how is not How.SLOW:
            raise
        return None
    return count


# --- F02, F27 ----------------------------------------------------------------------


@unread.probe
def log_rows(look: SqlLook) -> Iterator[Finding]:
    """Find, in a sample of the rows, a log that is about itself, and secrets: these are counted, and never told."""
    for database, inspection, columns in _log_tables(look):
        body = next((name for name in _BODIES if name in columns), None)
        if body is None:
            continue
        wanted = [*_COLUMNS, body]
        rows = paging.sample(inspection, _TABLE, wanted, most=_SAMPLE)
        if rows:
            yield from _about_itself(database, rows, body)
            yield from _with_secrets(database, rows if look.deep else rows[::_EACH], body)


def _about_itself(database: Database, rows: list[Row], body: str) -> Iterator[Finding]:
    name = os.path.basename(database.path)
    own = [row for row in rows if name in str(row[body] or "")]
    if len(rows) < _SAMPLED_MIN or len(own) < len(rows) * SELF_SHARE:
        return
    levels = Counter(str(row["level"]) for row in rows)
    targets = Counter(str(row["target"]) for row in rows)
    messages = Counter(_template(str(row[body])) for row in own)
    per_level = ", ".join(f"{level} {count / len(rows):.0%}" for level, count in levels.most_common())
    yield Finding(
        id="self-watch",
        row="F02",
        status=Status.FAIL,
        path=database.path,
        measured=f"{len(own) / len(rows):.0%} of {len(rows):,} rows looked at name the database's own files. "
        f"Levels: {per_level}. Most often from {targets.most_common(1)[0][0]}.",
        expected=f"Less than {SELF_SHARE:.0%}.",
        confidence=Confidence.LIKELY,
        cause="A watch on the folder of the database makes an event of each write, and each event is logged into it, "
        "which is a write.",
        remedy="Move the databases out of the watched folder (`sqlite_home` in config.toml), or restart the programs "
        "with the watch taken away. Once it is quiet, `holdfast doctor --plan` makes a plan that empties the log.",
        repair="empty-logs",
        details={
            "sampled": len(rows),
            "own": len(own),
            "levels": dict(levels),
            "targets": dict(targets.most_common(_SHOWN)),
            "messages": dict(messages.most_common(_SHOWN)),
        },
    )


def _with_secrets(database: Database, rows: list[Row], body: str) -> Iterator[Finding]:
    found = Counter(str(row["target"]) for row in rows if _has_secret(str(row[body] or "")))
    count = sum(found.values())
    if not count:
        return
    yield Finding(
        id="secrets-in-logs",
        row="F27",
        status=Status.WARN,
        path=database.path,
        measured=f"{count:,} of {len(rows):,} rows looked at hold something shaped like a secret.",
        expected="None: secrets are taken out before a row is written.",
        confidence=Confidence.LIKELY,
        cause="Requests, tool calls or the environment were logged as they are.",
        remedy="Do not hand the file on. Renew what was logged, and have `holdfast doctor --plan` make a plan that "
        "empties the log database; it keeps a copy, which has them, too.",
        repair="empty-logs",
        details={"sampled": len(rows), "rows": count, "targets": dict(found.most_common(_SHOWN))},
    )


def _has_secret(text: str) -> bool:
    return redact.holds_secret(text[:_TEXT_CHARS])


_TEXT_CHARS = 16_384  # a row may hold a whole request, 100 KB and more
_CHANGING = re.compile(r"0x[0-9a-fA-F]+|[0-9a-fA-F-]{8,}|[0-9]+")


def _template(body: str) -> str:
    """Return the beginning of a message with what differs each time taken out."""
    return redact.text(_CHANGING.sub("#", body[:200]))[:100]


# --- F28 ---------------------------------------------------------------------------


@unread.probe
def strange_triggers(look: SqlLook) -> Iterator[Finding]:
    """Find triggers on a log table: Codex has none there, in no version."""
    for database, inspection, _ in _log_tables(look):
        text = "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ? ORDER BY name"
        for row in inspection.rows(text, (_TABLE,)):
            name, made = str(row["name"]), str(row["sql"] or "")
            drops = "raise(ignore)" in re.sub(r"\s", "", made).lower()
            yield Finding(
                id="strange-trigger",
                row="F28",
                status=Status.WARN,
                path=database.path,
                measured=f"The table {_TABLE} has a trigger {name!r}" + (", which throws rows away." if drops else "."),
                expected="No trigger: Codex makes none there.",
                confidence=Confidence.CERTAIN,
                cause="A workaround against logs that grow, made by hand or by a script."
                if drops
                else "Somebody added it.",
                remedy="It costs time at each row, a later version of Codex may stumble over it, and an update can "
                "take it away unseen. `holdfast doctor --plan` offers to take it out.",
                repair="drop-trigger",
                details={"trigger": name, "table": _TABLE, "sql": made[:500]},
            )
