"""docs/doctor.md and docs/bad-day.md are true: every finding, repair, key and row, and the line for cron."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.cli.render.examined import KEYS
from holdfast.doctor.model import EXIT_CODES, Cut, Database, Finding, Part, Target
from holdfast.doctor.probes.catalogue import IDS, ROWS
from holdfast.doctor.probes.raw import RAW
from holdfast.doctor.probes.through_sqlite import SQLITE
from holdfast.doctor.repairs import repair
from holdfast.sqlite.unread import How
from homes import MadeHome
from processes import children

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")
PROBES = ROOT / "src" / "holdfast" / "doctor" / "probes"


def ids():
    """Return every ``id=`` of a finding in the source; what is put in at run time is a star."""
    found = set()
    for path in PROBES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            for keyword in node.keywords:
                if keyword.arg == "id" and isinstance(keyword.value, ast.Constant):
                    found.add(keyword.value.value)
    return found


def told():
    """Return the findings of the tables."""
    tables = PAGE.partition("## Every finding")[2].partition("## The catalogue")[0]
    return {
        name
        for first in re.findall(r"^\| (`[^|]*) \|", tables, re.MULTILINE)
        for name in re.findall(r"`([^`]+)`", first)
    }


def rows():
    return {row for line in PAGE.splitlines() for row in re.findall(r"^\| (F[0-9]{2}[ab]?) \|", line)}


def test_every_finding_of_the_source_is_on_the_page():
    named = set(re.findall(r"`([a-z][a-z0-9*-]+)`", PAGE))

    assert sorted(ids() - named) == []
    assert len(ids()) >= 20


def test_no_finding_of_the_page_is_made_up():
    said = "\n".join(path.read_text(encoding="utf-8") for path in PROBES.rglob("*.py"))

    there = ids() | {f"database-{how}" for how in How}
    assert sorted(name for name in told() - there if f'"{name}"' not in said and "*" not in name) == []


def test_what_may_be_asked_for_is_what_the_page_tells_of():
    assert told() == IDS | {"own-*"}
    assert set(ROWS) == rows()


def test_every_row_is_in_the_catalogue_and_says_what_finds_it():
    assert rows() == {f"F{n:02}" for n in range(1, 29) if n != 3} | {"F03a", "F03b"}
    for probe in (*RAW, *SQLITE):
        assert set(probe.rows) <= rows(), probe.name
    for line in re.findall(r"^\| F[0-9]{2}[ab]? \| .* \| (.*) \|$", PAGE, re.MULTILINE):
        assert "`" in line or line.startswith("*Not here:*")


def test_what_a_row_of_the_catalogue_names_is_told_of_above():
    above, _, catalogue = PAGE.partition("## The catalogue")
    for name in re.findall(r"`([a-z]+-[a-z-]+|malformed)`", catalogue):
        assert f"`{name}`" in above


def test_every_repair_is_told_of_and_none_besides():
    table = PAGE.partition("| Repair |")[2].partition("\n\n")[0]

    assert set(re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE)) == set(repair.NAMES)


def test_every_key_and_every_exit_code_is_told_of():
    keys = {*KEYS, *(name for kind in (Finding, Target, Database, Part, Cut) for name in kind.__struct_fields__)}

    assert [key for key in keys if f"`{key}`" not in PAGE] == []
    for status, code in EXIT_CODES.items():
        assert f"| `{status}` | {code} |" in PAGE


@pytest.mark.parametrize("page", ["doctor.md", "bad-day.md"])
def test_no_page_leads_nowhere(page):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")

    for link in re.findall(r"\]\(([a-z-]+\.md)\)", text):
        assert (ROOT / "docs" / link).exists()


# A log that grew while somebody read, of a program that is alive and goes on when it is told to.
NEIGHBOUR = """
import apsw
path = sys.argv[1]
reader, db = apsw.Connection(path), apsw.Connection(path)
db.execute("PRAGMA journal_mode = WAL").fetchall()
db.execute("PRAGMA wal_autocheckpoint = 0")
db.execute("CREATE TABLE kept (id INTEGER PRIMARY KEY)")
reader.execute("BEGIN; SELECT count(*) FROM sqlite_master").fetchall()
while os.path.getsize(path + "-wal") < 70_000_000:
    for step in (1, -1):
        db.execute("UPDATE threads SET tokens_used = tokens_used + ?", (step,))
say("pinned")
hear()
reader.execute("COMMIT")
db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
say("high water")
hear()
db.execute("INSERT INTO kept DEFAULT VALUES")
say(db.execute("SELECT count(*) FROM kept").get, db.execute("PRAGMA quick_check").get)
"""


def test_the_line_for_cron_cuts_a_log_beside_a_living_program_and_otherwise_does_nothing(tmp_path):
    (line,) = re.findall(r"```cron\n(.*)\n```", (ROOT / "docs" / "bad-day.md").read_text(encoding="utf-8"))
    words = shlex.split(line)
    assert words[:6] == ["17", "*", "*", "*", "*", "holdfast"]
    home = MadeHome.recorded("0.169", tmp_path).path.rename(tmp_path / ".codex")
    state, wal = home / "state_5.sqlite", home / "state_5.sqlite-wal"
    environment = {key: value for key, value in os.environ.items() if key not in ("CODEX_HOME", "HOLDFAST_STATE")}

    def cron():
        command = [sys.executable, "-m", *(word.replace("~", str(tmp_path)) for word in words[5:])]
        done = subprocess.run(
            command, env=environment | {"HOME": str(tmp_path)}, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stderr, done.stdout

    with children("") as start:
        neighbour = start(NEIGHBOUR, state)
        assert neighbour.line() == "pinned"
        pinned = wal.stat()
        assert cron() == (0, "", "")  # somebody reads: nothing is done, and nobody gets a letter
        assert (wal.stat().st_ino, wal.stat().st_size) == (pinned.st_ino, pinned.st_size)

        neighbour.tell()
        assert neighbour.line() == "high water"
        code, said, told = cron()
        assert (code, said) == (0, "")
        assert "checkpoint-truncate" in told
        assert wal.stat().st_ino == pinned.st_ino and wal.stat().st_size < 5_000_000
        assert cron() == (0, "", "")

        neighbour.tell()
        assert neighbour.line() == "1 ok"
    assert not list(tmp_path.glob("**/receipts/*"))
