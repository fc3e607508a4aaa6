"""What child processes begin with, and the statements most tests need."""

from __future__ import annotations

import re

from holdfast.sql import Statement
from holdfast.sqlite import Store

PRELUDE = """
import signal
import apsw
from holdfast.clock import wall_ms
from holdfast.errors import *
from holdfast.sql import Statement
from holdfast.sqlite import *
PATH = sys.argv[1]
def q(text): return Statement("q", text, text, frozenset(), frozenset())
"""


def q(text: str) -> Statement:
    return Statement("q", text, text, frozenset(re.findall(r":(\w+)", text)), frozenset())


INSERT = q("INSERT INTO notes (text) VALUES (:text)")
TEXTS = q("SELECT text FROM notes ORDER BY id")


def texts(store: Store) -> list[str]:
    with store.read() as tx:
        return [row["text"] for row in tx.rows(TEXTS)]
