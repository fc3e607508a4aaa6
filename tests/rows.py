"""What tests ask of the rows themselves: any statement, and every probe."""

from __future__ import annotations

import dataclasses
import re

from holdfast import sql
from holdfast.board.probes import probes as board_probes
from holdfast.findings import Finding
from holdfast.holds.probes import probes as hold_probes
from holdfast.ingest.probes import probes as ingest_probes
from holdfast.jobs.probes import probes as job_probes
from holdfast.memory.probes import probes as memory_probes
from holdfast.sql import Statement
from holdfast.threads.probes import probes as thread_probes
from holdfast.tools.probes import probes as tool_probes

PROBES = (hold_probes, thread_probes, ingest_probes, tool_probes, job_probes, memory_probes, board_probes)


def statement(text: str) -> Statement:
    """Return SQL of a test's own, ready to run. A blob is written as on SQLite: ``x'c1'``."""
    shared = sql.statement(text, "test")
    return dataclasses.replace(shared, postgres=re.sub(r"x'([0-9a-f]*)'", r"'\\x\1'::bytea", shared.postgres))


def findings(tx) -> list[Finding]:
    """Return what the probes of every subject see, in one transaction."""
    return [finding for probe in PROBES for finding in probe(tx)]
