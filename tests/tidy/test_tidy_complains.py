"""A check that cannot fail is a defect: each is run on a small wrong source, and must complain."""

import re

import pytest
import rooms
import statements


@pytest.fixture
def source(tmp_path):
    """Write a source tree of the package; the packages in between are made."""

    def write(files):
        for name, text in {"__init__.py": "", **files}.items():
            path = tmp_path / "src" / "holdfast" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            for folder in path.parents:
                if folder.name == "src":
                    break
                if path.suffix == ".py" and not (folder / "__init__.py").exists():
                    (folder / "__init__.py").write_text("")
        return tmp_path / "src"

    return write


BASE = {"errors.py": "", "ids.py": "", "holds/__init__.py": "", "threads/store.py": "", "jobs/store.py": ""}

BAD_IMPORTS = [
    ("up", {"sql.py": "from holdfast import engine", "engine.py": ""}, "up, from row 1 to row 2"),
    ("up to a name", {"holds/store.py": "from holdfast.threads.store import put"}, "up, from row 5 to row 6"),
    ("up inside a function", {"errors.py": "def f():\n    import holdfast.holds"}, "errors:2 .*up, from row 0"),
    (
        "up for the type checker",
        {"ids.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from holdfast.holds import Hold"},
        "ids:3 .*up",
    ),
    ("up, relative", {"holds/store.py": "from ..threads import store"}, "up, from row 5 to row 6"),
    ("to the face", {"threads/rules.py": "import holdfast"}, "imports holdfast: up, from row 6 to row 9"),
    ("sideways", {"threads/rules.py": "from holdfast.jobs import store"}, "sideways, both are in row 6"),
    ("sideways among words", {"errors.py": "from holdfast import ids"}, "sideways, both are in row 0"),
    ("from a room without a row", {"attic/box.py": ""}, "no row of DESIGN §4 has a room 'attic'"),
    ("to nothing", {"threads/rules.py": "import holdfast.absent"}, "which does not exist"),
]


@pytest.mark.parametrize(("files", "complaint"), [case[1:] for case in BAD_IMPORTS], ids=[c[0] for c in BAD_IMPORTS])
def test_an_import_that_does_not_point_down_is_named(source, files, complaint):
    (said, *_) = rooms.check_rooms(source({**BASE, **files}))
    assert re.search(complaint, said)


def test_imports_that_point_down_or_stay_in_their_folder_are_fine(source):
    src = source(
        {
            **BASE,
            "__init__.py": "from holdfast.state import State",
            "__main__.py": "from holdfast.cli import main",
            "state/__init__.py": "from holdfast.threads import store",
            "cli/__init__.py": "import holdfast\nfrom holdfast import ids",
            "threads/rules.py": "from holdfast.threads import store\nfrom . import store as same\nimport os.path",
            "threads/deep/er.py": "from ..store import put\nfrom holdfast.holds import Hold",
        }
    )
    assert rooms.check_rooms(src) == []


IMPURE = [
    ("import os", "imports os"),
    ("from time import monotonic", "imports time"),
    ("import threading", "imports threading"),
    ("def f():\n    import random", "imports random"),
    ("import datetime as dt\nx = dt.datetime.now()", r"calls now\(\)"),
    ("x = open('f')", r"calls open\(\)"),
    ("from holdfast import clock", "imports holdfast.clock, which is not"),
    ("from holdfast.holds import store", "imports holdfast.holds.store, which is not"),
    ("from holdfast import ids\nx = ids.new(1)", r"calls new\(\)"),
]


@pytest.mark.parametrize(
    "role", ["holds/rules.py", "rollouts/fold.py", "rollouts/dialects/other.py", "threads/model.py"]
)
@pytest.mark.parametrize(("text", "complaint"), IMPURE)
def test_a_pure_file_that_could_do_something_is_named(source, role, text, complaint):
    src = source({**BASE, "clock.py": "", "holds/store.py": "", role: text})
    (said,) = rooms.check_pure(src)
    assert re.search(f"is pure and {complaint}", said)


def test_a_pure_file_may_use_words_and_other_pure_files_and_a_store_may_do_anything(source):
    src = source(
        {
            **BASE,
            "holds/model.py": "import msgspec\nimport datetime as dt",
            "holds/rules.py": "import re\nfrom holdfast.holds.model import Hold\nfrom holdfast import ids, errors",
            "holds/store.py": "import os, time\nopen('f')",
        }
    )
    assert rooms.check_pure(src) == []


@pytest.mark.parametrize(
    "text", ["import sqlite3", "from sqlite3 import connect", "def f():\n    import sqlite3.dbapi2", "import _sqlite3"]
)
def test_the_standard_librarys_sqlite_is_named(source, text):
    assert "use holdfast.sqlite" in rooms.check_sqlite3(source({"sqlite/store.py": text}))[0]


def test_a_database_opened_elsewhere_is_named(source):
    src = source({"sqlite/core.py": "import apsw", "doctor/look.py": "import apsw"})
    (said,) = rooms.check_apsw(src)
    assert said.startswith("holdfast.doctor.look:1")


@pytest.mark.parametrize("name", ["threads/utils.py", "helpers.py", "board/task_manager.py", "common/words.py"])
def test_a_name_that_says_nothing_is_named(source, name):
    assert "name it for what it knows" in rooms.check_names(source({name: ""}))[0]


@pytest.mark.parametrize(
    "text",
    ["import time\ntime.sleep(1)", "from time import sleep", "CHILD = 'import time\\ntime.sleep(9)'"],
)
def test_a_test_that_sleeps_is_named(tmp_path, text):
    (tmp_path / "test_x.py").write_text(f"import asyncio\nasyncio.sleep(0)\n{text}\n")
    assert any(":4 sleeps" in said or ":3 sleeps" in said for said in rooms.check_sleeps(tmp_path))


CLOCKS = [
    "SELECT strftime('%s', 'now')",
    "SELECT unixepoch()",
    "SELECT datetime ('now')",
    "UPDATE t SET a = now()",
    "CREATE TABLE t (a TEXT DEFAULT CURRENT_TIMESTAMP)",
    "SELECT date(a, 'localtime')",
    "SELECT clock_timestamp()",
]


@pytest.mark.parametrize("text", CLOCKS)
@pytest.mark.parametrize("place", ["threads/queries.sql", "schema/sqlite/0001_base.sql", "threads/store.py"])
def test_sql_that_reads_a_clock_is_named(source, place, text):
    src = source({place: f'Q = """{text}"""' if place.endswith(".py") else f"-- name: one\n{text}\n"})
    assert "reads a clock" in statements.check_clocks(src)[0]


def test_a_column_or_a_comment_about_time_is_no_clock(source):
    text = "-- name: one\n-- Never now(), never 'now'.\nSELECT updated_ms, a.date FROM threads WHERE at < :now_ms"
    src = source({"threads/queries.sql": text, "threads/store.py": '"""It is now() or never."""'})
    assert statements.check_clocks(src) == []


QUERIES = "-- name: get_a\nSELECT 1\n\n-- name: get_b\nSELECT 2\n"
LOAD = 'from holdfast import sql\n_SQL = sql.load("holdfast.threads")\n'


def test_a_statement_nobody_uses_is_named(source):
    src = source({"threads/queries.sql": QUERIES, "threads/store.py": LOAD + '_SQL["get_a"]', "sql.py": ""})
    assert statements.check_statements(src) == ["holdfast/threads/queries.sql: get_b is used by nobody"]


def test_a_statement_nobody_wrote_is_named(source):
    text = LOAD + '_SQL["get_a"], _SQL["get_b"]\ndef f(x):\n    return _SQL["get_c"]\n'
    src = source({"threads/queries.sql": QUERIES, "threads/store.py": text})
    assert statements.check_statements(src) == [
        "holdfast.threads.store:5 asks for get_c, which holdfast.threads has not"
    ]


def test_a_file_of_statements_nobody_loads_is_named(source):
    src = source({"threads/queries.sql": QUERIES})
    assert statements.check_statements(src) == ["holdfast/threads/queries.sql is loaded by nobody"]


@pytest.mark.parametrize(
    "use",
    [
        '_SQL["get_a"], _SQL["get_b"]',
        'def f(x): return _SQL["get_a" if x else "get_b"]',
        'def f(x): return _SQL[f"get_{x}"]',
        'def f(name): return _SQL[name]\nf("get_a"), f("get_b")',
    ],
)
def test_a_name_may_be_chosen_put_together_or_handed_on(source, use):
    src = source({"threads/queries.sql": QUERIES, "threads/store.py": LOAD + use})
    assert statements.check_statements(src) == []


@pytest.mark.parametrize(
    "use",
    [
        'from holdfast.threads.store import _SQL\n_SQL["get_c"]',
        'from holdfast.threads import store\nstore._SQL["get_c"]',
    ],
)
def test_statements_are_followed_into_the_files_that_borrow_them(source, use):
    text = LOAD + '_SQL["get_a"], _SQL["get_b"]'
    src = source({"threads/queries.sql": QUERIES, "threads/store.py": text, "threads/listing.py": use})
    (said,) = statements.check_statements(src)
    assert said == "holdfast.threads.listing:2 asks for get_c, which holdfast.threads has not"


ONE, TWO = "CREATE TABLE a (x INTEGER);", "CREATE TABLE b (x INTEGER);"


@pytest.fixture
def pinned():
    shipped = {"0001_a": ONE, "0002_b": TWO}
    return {"sqlite": {name: statements._migration(name, text).checksum for name, text in shipped.items()}}


def migrations(source, files):
    return source({f"schema/sqlite/{name}": text for name, text in files.items()})


def test_shipped_migrations_are_fine_also_with_a_better_comment(source, pinned):
    src = migrations(source, {"0001_a.sql": f"-- Better.\n{ONE}", "0002_b.sql": TWO})
    assert statements.check_migrations(src, pinned) == []


MIGRATIONS = [
    ({"0001_a.sql": ONE, "0002_b.sql": TWO + "DROP TABLE a;"}, "0002_b.sql was changed.*add a new migration"),
    ({"0001_a.sql": ONE}, "0002_b.sql was shipped and is gone"),
    ({"0001_a.sql": ONE, "0002_b.sql": TWO, "0003_c.sql": ONE}, "0003_c.sql is not pinned: add '0003_c'"),
    ({"0001_a.sql": ONE, "0002_b.sql": TWO, "0004_c.sql": ONE}, "0004_c.sql: number 0003 is missing"),
    ({"0001_a.sql": ONE, "0002_b.sql": TWO, "0002_c.sql": ONE}, "0002_c.sql: number 0003 is missing or taken twice"),
    ({"0001_a.sql": ONE, "0002_b.sql": TWO, "3_c.sql": ONE}, "is named like 0001_base.sql"),
]


@pytest.mark.parametrize(("files", "complaint"), MIGRATIONS)
def test_a_migration_that_is_not_as_shipped_is_named(source, pinned, files, complaint):
    said = statements.check_migrations(migrations(source, files), pinned)
    assert any(re.search(complaint, each) for each in said)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("sqlite/guard.py", "def f(path):\n    with open(path, 'rb') as file:\n        return file.read(16)"),
        ("sqlite/core.py", "import shutil\ndef f(path):\n    shutil.copy2(path, path + '.bak')"),
        ("threads/store.py", "import os\ndef f(path):\n    os.close(os.open(f'{path}-shm', os.O_RDONLY))"),
    ],
)
def test_a_database_file_opened_past_sqlite_is_named(source, name, code):
    (said,) = rooms.check_raw_opens(source({name: code}))
    assert "opens a file past SQLite" in said


def test_lock_files_and_new_files_may_be_opened(source):
    code = "import os\ndef f(path):\n    os.open(f'{path}.seat', os.O_RDWR)\n    os.open(path, os.O_CREAT | os.O_EXCL)"
    assert rooms.check_raw_opens(source({"sqlite/seat.py": code})) == []
