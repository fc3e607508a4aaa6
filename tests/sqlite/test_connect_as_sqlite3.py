"""The same program on ``connect`` and on the standard library gives the same answers, errors included.

The two SQLites never meet: each has a file of its own.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast import sqlite

SCHEMA = """
CREATE TABLE t (id INTEGER PRIMARY KEY, a UNIQUE, b TEXT NOT NULL DEFAULT 'x');
CREATE TABLE log (what);
CREATE TRIGGER noted AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.a); END;
"""

values = st.one_of(
    st.none(), st.booleans(), st.integers(0, 4), st.floats(allow_nan=False), st.text(max_size=3), st.binary(max_size=3)
)
names = st.sampled_from(["s", "S", "r", '"quoted name"'])
executed = st.one_of(
    st.tuples(
        st.sampled_from(
            [
                "INSERT INTO t (a) VALUES (?)",
                "insert or ignore into t (a) values (?1)",
                "/* why */ INSERT OR REPLACE INTO t (a) VALUES (?)",
                "INSERT OR ROLLBACK INTO t (a) VALUES (?)",
                "-- why\nREPLACE INTO t (a, b) VALUES (?, 'y')",
                "INSERT INTO t (a) VALUES (?) RETURNING id, a AS again",
                "WITH q AS (SELECT ? AS v) INSERT INTO t (a) SELECT v FROM q",
                "UPDATE t SET b = b || 'z' WHERE a = ?",
                "UPDATE t SET b = 'w' WHERE a IS NOT ? RETURNING id",
                "UPDATE t SET b = NULL WHERE a = ?",
                "DELETE FROM t WHERE a = ?",
                "SELECT id, a, b AS [the b] FROM t WHERE a = ? ORDER BY id",
                "SELECT ?, typeof(?1)",
            ]
        ),
        st.tuples(values),
    ),
    st.tuples(
        st.sampled_from(["SELECT :x + 1 AS sum", "INSERT INTO t (a) VALUES (:x);", "SELECT @x, $x"]),
        st.fixed_dictionaries({"x": values}, optional={"y": values}),
    ),
    st.tuples(
        st.sampled_from(
            [
                *("BEGIN", "begin immediate;", "BEGIN EXCLUSIVE TRANSACTION", "COMMIT", "END", "ROLLBACK", "rollback;"),
                "SELECT * FROM t ORDER BY id",
                "SELECT what FROM log",
                "SELECT last_insert_rowid()",
                "VALUES (1, 'a'), (2, NULL)",
                "CREATE TABLE IF NOT EXISTS u (v INTEGER CHECK (v > 0))",
                "CREATE TABLE u (v)",
                "DROP TABLE IF EXISTS u",
                "INSERT INTO u VALUES (0)",
                "ALTER TABLE t ADD COLUMN c",
                "PRAGMA user_version",
                "PRAGMA user_version = 7",
                "PRAGMA table_info(t)",
                "INSERT INTO nowhere VALUES (1)",
                "SELEC 1",
                "SELECT 1; SELECT 2",
                "SELECT ';'; -- and nothing more",
                "SELECT nothing FROM t",
                "EXPLAIN QUERY PLAN SELECT 1",
            ]
        ),
        st.just(()),
    ),
    st.tuples(st.sampled_from(["SELECT ?", "SELECT :x", "SELECT 1"]), st.sampled_from([(1, 2), {"y": 1}, 5])),
    names.map(lambda name: (f"SAVEPOINT {name}", ())),
    names.map(lambda name: (f"RELEASE {name}", ())),
    names.map(lambda name: (f"ROLLBACK TO SAVEPOINT {name}", ())),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("execute"), executed),
        st.tuples(st.just("execute"), executed),
        st.tuples(
            st.just("executemany"),
            st.tuples(
                st.sampled_from(["INSERT OR IGNORE INTO t (a) VALUES (?)", "DELETE FROM t WHERE a = ?", "SELECT ?"]),
                st.lists(st.tuples(values), min_size=1, max_size=4),  # with none, ours begins nothing
            ),
        ),
        st.tuples(
            st.just("executescript"),
            st.tuples(
                st.sampled_from(
                    [
                        "INSERT INTO log VALUES ('a;b'); INSERT INTO log VALUES (2)",
                        "BEGIN; DELETE FROM log; COMMIT;",
                        "DELETE FROM log; SELEC; DELETE FROM t",
                    ]
                )
            ),
        ),
        st.tuples(st.sampled_from(["commit", "rollback"]), st.just(())),
    ),
    max_size=14,
)


def told(conn, module, method, arguments):
    """Return what a caller can see of one step."""
    try:
        answer = getattr(conn, method)(*arguments)
        seen = None
        if answer is not None:
            rows = answer.fetchall()
            columns = answer.description and [column[0] for column in answer.description]
            seen = rows, columns, answer.rowcount, answer.lastrowid
    except (module.Error, module.Warning, OverflowError) as error:
        seen = type(error).__name__
    return seen, conn.in_transaction, conn.total_changes


@pytest.mark.parametrize("level", ["", None], ids=["legacy", "autocommit"])
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(program=steps)
def test_a_program_sees_the_same(level, program):
    with tempfile.TemporaryDirectory() as folder:
        ours = sqlite.connect(os.path.join(folder, "ours.db"), isolation_level=level, durability="normal")
        theirs = sqlite3.connect(os.path.join(folder, "theirs.db"), isolation_level=level)
        with contextlib.closing(ours), contextlib.closing(theirs):
            theirs.execute("PRAGMA synchronous = OFF")
            for conn in (ours, theirs):
                conn.executescript(SCHEMA)
            for step in program:
                assert told(ours, sqlite, *step) == told(theirs, sqlite3, *step), step
            for conn in (ours, theirs):
                conn.rollback()
            for question in ("SELECT * FROM t ORDER BY id", "SELECT rowid, * FROM log", "PRAGMA user_version"):
                assert told(ours, sqlite, "execute", (question,)) == told(theirs, sqlite3, "execute", (question,))
        sqlite.close_idle()


def test_a_row_is_as_theirs_is(tmp_path):
    rows = []
    for module in (sqlite, sqlite3):
        conn = module.connect(tmp_path / f"{module.__name__}.db")
        conn.row_factory = module.Row
        one, two = conn.execute("SELECT 1 AS First, 'b' AS second UNION ALL SELECT 2, 'c'").fetchall()
        rows.append(
            (one["first"], one["SECOND"], one[0], one[-1], one[0:2], one.keys(), tuple(one), len(one), dict(one),
             one == two, one == one, hash(one) == hash(one))
        )  # fmt: skip
        for key, error in (("third", IndexError), (5, IndexError)):
            with pytest.raises(error):
                one[key]
        conn.close()
    assert rows[0] == rows[1]
    sqlite.close_idle()


def test_every_error_has_the_same_name_and_kin():
    for name in ("Error", "InterfaceError", "DatabaseError", "DataError", "OperationalError", "IntegrityError",
                 "InternalError", "ProgrammingError", "NotSupportedError"):  # fmt: skip
        ours, theirs = getattr(sqlite, name), getattr(sqlite3, name)
        assert [kind.__name__ for kind in ours.__mro__ if kind.__module__.startswith("holdfast.sqlite")] == [
            kind.__name__ for kind in theirs.__mro__ if kind.__module__ == "sqlite3"
        ]
