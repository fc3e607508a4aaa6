"""The command that people run first: what it says, what it touches, and what it refuses."""

from __future__ import annotations

import json
import os
import select
import signal
import stat
import subprocess
from pathlib import Path

import apsw
import pytest
from cli_helpers import COMMAND, process, seen, terminal, without_style

from holdfast.logs.redact import GONE
from secret_corpus import PARTS, SECRETS

KEYS = {"schema", "overall", "findings", "targets", "cut", "parts", "duration_ms"}
FINDING = {
    "id", "row", "status", "path", "measured", "expected", "confidence", "cause", "remedy", "repair", "details",
}  # fmt: skip


def database(path, rows=2_000, **pragmas):
    """Write a database in WAL mode and leave it as somebody who was killed would; return its connection."""
    connection = apsw.Connection(str(path))
    for name, value in ({"journal_mode": "WAL", "wal_autocheckpoint": 0} | pragmas).items():
        connection.execute(f"PRAGMA {name}={value}")
    connection.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)")
    with connection:
        connection.executemany("INSERT INTO notes VALUES (?, ?)", ((n, "x" * 400) for n in range(rows)))
    return connection


def doctor(*arguments, **environment):
    """Run it with more time than it needs: these machines are busy with other tests."""
    more = [] if "--apply" in arguments else ["--limit", "60"]
    return process("doctor", *arguments, *more, **environment)


@pytest.fixture
def whole(tmp_path):
    """A database with nothing wrong."""
    database(tmp_path / "whole.db", wal_autocheckpoint=1000).close()
    return tmp_path / "whole.db"


@pytest.fixture
def damaged(tmp_path):
    database(tmp_path / "damaged.db", wal_autocheckpoint=1000).close()
    with (tmp_path / "damaged.db").open("r+b") as file:
        for page in range(20, 40):
            file.seek(page * 4096)
            file.write(b"\xa5" * 4096)
    return tmp_path / "damaged.db"


@pytest.fixture
def locked(tmp_path):
    connection = database(tmp_path / "locked.db", journal_mode="DELETE")
    connection.execute("BEGIN EXCLUSIVE")
    yield tmp_path / "locked.db"
    connection.close()


def test_what_is_whole_is_one_screen_and_nothing_is_touched(whole, nobody):
    before = seen(whole.parent)
    answer = doctor(whole)

    assert (answer.code, answer.err) == (0, "")
    assert len(answer.lines) <= 24 and answer.lines[-1] == "Nothing is wrong."
    assert "whole.db" in answer.out and "KiB" in answer.out
    assert seen(whole.parent) == before


def test_a_home_is_looked_at_without_a_trace(home, untouched):
    answer = doctor("--json")

    assert answer.json["targets"][0]["path"] == str(home)
    assert {each["id"] for each in answer.json["findings"]} == {"stale-paths"}  # it was recorded elsewhere
    assert answer.json["overall"] == "warn" and answer.code == 2


def test_the_document_has_the_promised_keys(damaged):
    answer = doctor(damaged, "--json")

    assert set(answer.json) == KEYS
    assert set(answer.json["findings"][0]) == FINDING
    assert (answer.code, answer.json["overall"], answer.json["findings"][0]["id"]) == (1, "fail", "malformed")


def test_what_is_locked_is_partial_and_never_damaged(locked):
    answer = doctor(locked, "--json")

    found = {each["id"]: each["status"] for each in answer.json["findings"]}
    assert found == {"database-locked": "partial", "write-lock-held": "warn"}
    assert answer.code == 2


def test_what_is_never_told_cannot_be_asked_for(home):
    answer = doctor("--only", "wal-sarved")
    assert answer.code == 64
    assert "Did you mean 'wal-starved'?" in answer.err


def test_only_what_was_asked_for_is_told(home):
    assert doctor("--only", "F14").code == 0
    assert doctor("--only", "STALE-PATHS", "--only", "F05", "--json").json["findings"][0]["id"] == "stale-paths"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["/nowhere"], "there is nothing at /nowhere"),
        (["--limit", "0.1"], "--limit"),
        (["--apply", "p.json", "--plan", "q.json"], "one after the other"),
        (["--apply", "p.json", "/tmp"], "PATHs"),
        (["--apply", "p.json", "--deep"], "belong to --plan"),
        (["--yes"], "nothing else asks"),
        (["--live", "--report", "x.html"], "one after the other"),
        (["--empty-logs"], "add --plan"),
        (["--apply", "/nowhere/p.json"], "cannot be read"),
        (["--deap"], "--deep"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_looked_at(cli, arguments, said):
    answer = cli("doctor", *arguments)

    assert answer.code == 64
    assert said in answer.err


def test_the_usual_places_are_looked_at_and_what_is_not_there_is_none(nobody):
    answer = doctor()

    assert answer.code == 0
    assert "Nothing was found to look at" in answer.out
    (nobody / ".codex" / "sessions" / "2026").mkdir(parents=True)
    assert doctor("--json").json["targets"][0]["kind"] == "codex"


def test_a_page_is_written_for_this_user_alone_and_replaced_by_the_next(damaged, tmp_path):
    page = tmp_path / "page.html"
    for _ in range(2):
        assert doctor(damaged, "--report", page).code == 1

    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert "malformed" in page.read_text()
    assert sorted(path.name for path in tmp_path.iterdir() if "page" in path.name) == ["page.html"]


@pytest.mark.parametrize("option", ["--report", "--plan"])
def test_no_file_of_another_kind_is_ever_replaced(damaged, whole, option):
    other = whole.with_name("auth.json")
    other.write_text('{"tokens": {}}')
    before = seen(whole.parent)
    for there in (whole, other):
        answer = doctor(damaged, option, there)
        assert answer.code == 64
        assert "no file that this command wrote" in answer.err
    assert seen(whole.parent) == before


def test_a_plan_is_written_shown_carried_out_and_undone(damaged, tmp_path, state_dir):
    plan, bytes_before = tmp_path / "plan.json", damaged.read_bytes()
    planned = doctor(damaged, "--plan", plan)
    assert planned.code == 1
    assert doctor(damaged, "--plan", plan).code == 1  # and written once more
    assert "1. salvage" in planned.out and f"doctor --apply {plan}" in planned.out
    assert stat.S_IMODE(plan.stat().st_mode) == 0o600
    assert damaged.read_bytes() == bytes_before

    asked = doctor("--apply", plan)
    assert asked.code == 64 and "--yes" in asked.err
    assert damaged.read_bytes() == bytes_before

    applied = doctor("--apply", plan, "--yes")
    assert applied.code == 0
    assert "before" in applied.out and "after" in applied.out
    (undo,) = [line.split()[-1] for line in applied.lines if "holdfast undo" in line]
    assert doctor(damaged).code == 0

    assert process("undo", undo).code == 0
    assert damaged.read_bytes() == bytes_before


def test_a_plan_as_a_document(damaged, tmp_path):
    plan = tmp_path / "plan.json"
    planned = doctor(damaged, "--plan", plan, "--json").json
    applied = doctor("--apply", plan, "--yes", "--json")

    assert set(planned) == KEYS | {"plan"}
    assert planned["plan"]["file"] == str(plan)
    assert [step["action"]["repair"] for step in planned["plan"]["steps"]] == ["salvage"]
    assert (applied.code, applied.json["stopped"], len(applied.json["receipts"])) == (0, None, 1)
    assert applied.json["applied"][0]["gone"] is True


def test_on_a_terminal_it_asks_before_it_changes_something(damaged, tmp_path):
    plan, bytes_before = tmp_path / "plan.json", damaged.read_bytes()
    doctor(damaged, "--plan", plan)
    shown = terminal("doctor", "--apply", plan, answer="n\n")

    assert "Do this?" in shown.out and "1. " in shown.out
    assert shown.code == 130 and damaged.read_bytes() == bytes_before


def test_somebody_who_has_it_open_is_named_and_nothing_is_changed(damaged, tmp_path):
    plan, bytes_before = tmp_path / "plan.json", damaged.read_bytes()
    holder = apsw.Connection(str(damaged))
    holder.execute("SELECT count(*) FROM sqlite_master").fetchall()
    doctor(damaged, "--plan", plan)
    answer = doctor("--apply", plan, "--yes")
    holder.close()

    assert answer.code == 75
    assert f"pid {os.getpid()}" in answer.err
    assert damaged.read_bytes() == bytes_before


@pytest.mark.parametrize(("columns", "colour"), [(30, {}), (120, {"NO_COLOR": "1"})])
def test_on_a_terminal_every_line_fits_and_there_are_colours_for_who_wants_them(damaged, columns, colour):
    sent = terminal("doctor", damaged, columns=columns, **colour).out
    shown = [line.rpartition("\r")[2] for line in without_style(sent).splitlines()]

    assert "malformed" in sent
    assert ("\x1b[31m" in sent) == (not colour)
    assert max(len(line) for line in shown if "\x1b" not in line) <= columns


def test_where_letters_are_ascii_so_is_the_page(damaged):
    answer = doctor(damaged, LC_ALL="C")

    assert answer.out.isascii() and "####" in answer.out
    assert "\x1b" not in answer.out


def test_ctrl_c_leaves_no_process_and_says_that_nothing_was_changed(whole):
    asks = subprocess.Popen([*COMMAND, "doctor", str(whole)], stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    children = Path(f"/proc/{asks.pid}/task/{asks.pid}/children")
    while not (found := children.read_text().split()):
        os.sched_yield()
    its_end = os.pidfd_open(int(found[0]))
    asks.send_signal(signal.SIGINT)
    _, told = asks.communicate()

    assert asks.returncode == 130
    assert b"nothing was changed" in told
    assert select.select([its_end], [], [], 30)[0]
    os.close(its_end)


def test_no_secret_is_in_anything_it_prints_or_writes(tmp_path):
    folder = tmp_path / "".join(SECRETS["openai"])
    folder.mkdir()
    (folder / "notes.db").write_bytes(b"no database " * 1000)
    plan, page = tmp_path / "plan.json", tmp_path / "page.html"
    told = [
        doctor(folder / "notes.db").out,
        doctor(folder / "notes.db", "--plan", plan, "--report", page, "--json").out,
        plan.read_text(),
        page.read_text(),
    ]

    assert all(GONE in text for text in told)
    assert not [part for part in PARTS for text in told if part in text]


def test_bare_holdfast_and_status_point_at_it(home):
    assert "holdfast doctor" in process().out
    assert "holdfast doctor" in process("status").out
    assert json.loads(process("--json").out)["next"].startswith("holdfast")
