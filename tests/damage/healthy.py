"""Fifty homes with nothing wrong, made from a seed, and the homes that real programs left.

A third each of what holdfast, Codex and Hermes leave, the rest bare SQLite files; some
are written by a process of their own while they are looked at. Whatever a probe
says of any of them is false.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import apsw
from healthy_codex import codex
from healthy_hermes import hermes
from healthy_ours import ours
from healthy_written import Healthy, sql_writer

import hermes_roots
from homes import MadeHome
from processes import children

SEED = 20_261_126


def make(folder: Path, seed: int = SEED) -> list[Healthy]:
    """Make the fifty below ``folder``, and unpack the four that were recorded."""
    draw = random.Random(seed)
    mask = os.umask(0o077)
    try:
        made = [
            each
            for maker, count in ((ours, 14), (codex, 14), (hermes, 10), (bare, 12))
            for number in range(count)
            for each in maker(folder, number, random.Random(draw.random()))
        ]
        assert len(made) == 50
        return made + recorded(folder)
    finally:
        os.umask(mask)


# --- bare files --------------------------------------------------------------

_BARE: list[tuple[str, str, str]] = [
    # PRAGMAs before the first table, journal mode, and what is in it.
    ("", "wal", "CREATE TABLE t (a, b); INSERT INTO t SELECT value, hex(randomblob(40)) FROM generate;"),
    ("", "delete", "CREATE TABLE t (a, b); CREATE INDEX i ON t (b); INSERT INTO t SELECT value, value FROM generate;"),
    ("PRAGMA page_size = 512", "truncate", "CREATE TABLE t (a PRIMARY KEY, b) WITHOUT ROWID;"),
    ("PRAGMA page_size = 65536", "wal", "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT CHECK (length(b) < 9));"),
    ("PRAGMA encoding = 'UTF-16le'", "delete", "CREATE TABLE t (a TEXT, b); INSERT INTO t VALUES ('é€😀', 1);"),
    ("PRAGMA auto_vacuum = FULL", "persist", "CREATE TABLE t (a, b); INSERT INTO t SELECT value, 0 FROM generate;"),
    ("PRAGMA auto_vacuum = INCREMENTAL", "wal", "CREATE TABLE t (a, b); INSERT INTO t SELECT value, 0 FROM generate;"),
    (
        "",
        "wal",
        "CREATE TABLE t (a, b); CREATE VIRTUAL TABLE words USING fts5(text); INSERT INTO words VALUES ('a b c');",
    ),
    ("", "delete", "CREATE TABLE t (a, b, c AS (a + b) STORED); CREATE VIEW v AS SELECT c FROM t;"),
    ("PRAGMA encoding = 'UTF-16be'", "wal", "CREATE TABLE t (a TEXT, b) STRICT;".replace(", b)", ", b ANY)")),
    ("", "wal", "CREATE TABLE t (a, b); CREATE TRIGGER counts AFTER INSERT ON t BEGIN DELETE FROM t WHERE b < 0; END;"),
    ("", "delete", ""),
]


def bare(folder: Path, number: int, _draw: random.Random) -> Iterator[Healthy]:
    """A SQLite file of no program we know, of every page size, encoding and journal mode.

    Those that are written are in WAL mode: without it a writer keeps readers out, which is said.
    """
    before, mode, tables = _BARE[number]
    path = folder / f"bare-{number}" / ("data.db", "things.sqlite", "x.sqlite3")[number % 3]
    path.parent.mkdir(parents=True)
    connection = apsw.Connection(str(path))
    connection.execute(before)
    connection.execute(f"PRAGMA journal_mode = {mode}").fetchall()
    connection.execute("CREATE TEMP TABLE generate AS WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1"
                       " FROM n LIMIT 2000) SELECT value FROM n")  # fmt: skip
    connection.execute(tables or "PRAGMA user_version = 3")
    connection.close()
    writer = sql_writer(
        "", "INSERT INTO t VALUES (?, ?)", "DELETE FROM t WHERE rowid <= (SELECT max(rowid) FROM t) - 500"
    )
    yield Healthy(f"bare-{number}", path, writer if number in (0, 6, 7) else "")


# --- what real programs left ---------------------------------------------------


def recorded(folder: Path) -> list[Healthy]:
    """Unpack the recorded homes where they are homes again: paths lead here, and claims are renewed as they were."""
    made = []
    for version in ("0.141", "0.169"):
        at = folder / f"recorded-{version}"
        MadeHome.recorded(version, at)
        home = at / ".codex"
        shutil.move(at / f"codex-home-{version}", home)
        connection = apsw.Connection(str(home / "state_5.sqlite"))
        connection.execute(
            "UPDATE threads SET rollout_path = replace(rollout_path, '/home/dev/.codex', ?)", (str(home),)
        )
        connection.close()
        made.append(Healthy(f"recorded-{version}", home))
    for version in ("0.13.0-killed", "0.19.0"):
        root = hermes_roots.recorded(version, folder / f"recorded-{version}")
        with children(_RENEWS) as start:
            for board in sorted(root.rglob("kanban.db")):
                assert (
                    start("renew(sys.argv[1], KILLED)".replace("KILLED", str("killed" in version)), board).line()
                    == "renewed"
                )
        made.append(Healthy(f"recorded-{version}", root))
    for home in made:
        home.path.chmod(0o700)
    return made


# As its worker would; who was killed is killed again, and leaves the log as large as it was.
_RENEWS = """
import sqlite3
def renew(path, killed):
    c = sqlite3.connect(path, isolation_level=None)
    c.execute("UPDATE tasks SET claim_expires = strftime('%s') + 900 WHERE status = 'running'")
    if not killed: c.close()
    say("renewed")
    if killed: hear()
"""
