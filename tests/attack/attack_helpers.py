"""What attackers begin with: children with our store, neighbours with another SQLite, and what is on the disk."""

from __future__ import annotations

import os
import re

from holdfast.sql import Statement

# A child that has our store. `spend(n)` waits for n ms without asking a clock of the test's.
OURS = """
import signal, threading, gc
import apsw
from holdfast.clock import wall_ms
from holdfast.errors import *
from holdfast.sql import Statement
from holdfast.sqlite import *
PATH = sys.argv[1]
def q(text): return Statement("q", text, text, frozenset(), frozenset())
def add(store, text, **options):
    with store.write(wait_ms=60_000, **options) as tx:
        tx.run(q(f"INSERT INTO notes (text) VALUES ('{text}')"))
def texts(store):
    with store.read() as tx:
        return [row["text"] for row in tx.rows(q("SELECT text FROM notes ORDER BY id"))]
def descriptors():
    count = {"": 0, "-wal": 0, "-shm": 0}
    for name in os.listdir("/proc/self/fd"):
        try: where = os.readlink(f"/proc/self/fd/{name}")
        except OSError: continue
        for suffix in count:
            count[suffix] += where == PATH + suffix or where == PATH + suffix + " (deleted)"
    return count
def careless(*suffixes):
    for suffix in suffixes:
        open(PATH + suffix, "rb").close()
spend = lambda ms: threading.Event().wait(ms / 1000)
"""

# A neighbour that knows nothing of us: the standard library's own SQLite, in a process of its own.
NEIGHBOUR = """
import sqlite3, signal, threading
PATH = sys.argv[1]
def connect(path=PATH, wait_s=30):
    return sqlite3.connect(path, timeout=wait_s, isolation_level=None)
def add(connection, text):
    connection.execute("INSERT INTO notes (text) VALUES (?)", (text,))
"""


def q(text: str) -> Statement:
    return Statement("q", text, text, frozenset(re.findall(r":(\w+)", text)), frozenset())


INSERT = q("INSERT INTO notes (text) VALUES (:text)")
TEXTS = q("SELECT text FROM notes ORDER BY id")
COUNTS = q("SELECT text, count(*) AS n FROM notes GROUP BY text")
SOUND = q("PRAGMA integrity_check")


def texts(store):
    with store.read() as tx:
        return [row["text"] for row in tx.rows(TEXTS)]


def counts(store):
    """How many notes there are of each text; the file must be sound."""
    with store.read() as tx:
        assert tx.rows(SOUND) == [{"integrity_check": "ok"}]
        return {row["text"]: row["n"] for row in tx.rows(COUNTS)}


def inodes(path):
    return [os.stat(path + suffix).st_ino for suffix in ("", "-wal", "-shm")]


def wal_bytes(path):
    return os.stat(f"{path}-wal").st_size
