"""`--in-home`, `receipts` and `undo`: the only commands that change a home, and how to take that back."""

from __future__ import annotations

import pytest

import holdfast
from holdfast import receipts
from holdfast.sqlite import foreign
from holdfast.state.carrying import folder_of

THREAD = "01a1fa0b-589d-7420-a3a3-86c4f7ca642c"  # it started two sub-agents
LEGACY = "01a1fa08-2161-7e32-870d-1d50962ff311"


def looks(home):
    """Names, contents and times of all files but the locks, which Codex itself leaves lying about."""
    return {
        str(path.relative_to(home)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(home.rglob("*"))
        if path.is_file() and "lock" not in str(path.relative_to(home))
    }


def test_a_thread_is_archived_in_its_home_shown_and_taken_back(cli, home):
    before = looks(home)

    archived = cli("threads", "archive", LEGACY, "--in-home")
    (line,) = cli("receipts", "list").lines
    receipt, _, state, title = line.split("\t")

    assert archived.out.startswith(f"{LEGACY} is archived: ")
    assert f"Undo: holdfast undo {receipt}" in archived.err
    assert "Codex's own state_5.sqlite says that the file of" in archived.err  # its rows are of another machine
    assert (state, title) == ("done", f"archive thread {LEGACY}")
    (moved,) = (home / "archived_sessions").glob(f"*{LEGACY}.jsonl")
    assert cli("threads", "find", LEGACY, "--archived").out == f"{moved}\n"
    shown = cli("receipts", "show", receipt[:12])
    assert f"1. move {home}/sessions/" in shown.out and f"   undo: move {moved} to {home}/sessions/" in shown.out
    assert "   done; its files are as it leaves them" in shown.out

    would = cli("undo", receipt, "--dry-run")
    assert would.out.startswith(f"Would move {moved} to {home}/sessions/")
    assert moved.exists()
    assert cli("undo", receipt).out == f"Undone: archive thread {LEGACY}\n"
    assert looks(home) == before
    assert cli("undo", receipt, "--json").json["state"] == "undone"
    assert cli("threads", "find", LEGACY, "--active").code == 0


def test_a_dry_run_prints_the_steps(cli, home, untouched):
    answer = cli("threads", "archive", THREAD, LEGACY, "--in-home", "--dry-run")

    assert [line.split()[0] for line in answer.lines] == ["Would", "move", "move", "move", "Would", "move"]
    assert answer.lines[0] == f"Would archive thread {THREAD} and 2 of its sub-agents:"
    assert cli("receipts", "list", "--json").json == {"receipts": []}
    assert cli("threads", "unarchive", THREAD, "--in-home", "--dry-run").out == f"{THREAD}: nothing to do\n"


def test_a_name_is_given_in_the_home(cli, home):
    before, title = looks(home), titles(home)[LEGACY]
    answer = cli("threads", "rename", LEGACY, "in the home", "--in-home", "--json").json

    assert answer["threads"][0]["name"] == "in the home"
    (change,) = answer["changes"]
    assert change["steps"][0]["what"].startswith("append 1")
    assert change["steps"][1]["what"] == f"in {home}/state_5.sqlite: set title=in the home of threads {LEGACY}"
    assert changed(before, looks(home)) == {"session_index.jsonl", "state_5.sqlite"}
    assert titles(home)[LEGACY] == "in the home"
    assert "state_5.sqlite" in cli("undo", change["receipt"], "--dry-run").out
    assert cli("undo", change["receipt"]).code == 0
    assert changed(before, looks(home)) == {"state_5.sqlite"}
    assert titles(home)[LEGACY] == title


def titles(home):
    with foreign.looking(f"{home}/state_5.sqlite") as look:
        return {row["id"]: row["title"] for row in look.rows("threads", {"has_user_event": 0})}


def test_what_was_stopped_in_the_middle_is_finished(cli, home, state_dir):
    with holdfast.open(home, state_dir=state_dir, search=False) as state:
        planned = state.in_home.archive(LEGACY, dry_run=True).plan
        receipt = receipts.write(folder_of(state), planned)

    assert cli("undo", receipt.id, "--finish", "--dry-run").code == 64
    assert cli("undo", receipt.id, "--finish").out == f"Finished: archive thread {LEGACY}\n"
    assert cli("receipts", "list", "--json").json["receipts"][0]["state"] == "done"
    assert cli("threads", "find", LEGACY, "--archived").code == 0
    assert cli("undo", receipt.id).code == 0
    assert cli("undo", receipt.id, "--finish").code == 64


def changed(before, after):
    return {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["threads", "archive", THREAD, "--dry-run"], 64, "--dry-run goes with --in-home"),
        (["threads", "rename", THREAD, "", "--in-home"], 64, "Codex has no way to say that"),
        (["threads", "archive", "no such thread", "--in-home"], 1, "there is no thread"),
        (["undo", "no-such-receipt"], 1, "there is no receipt 'no-such-receipt'"),
        (["receipts", "show", "2026"], 1, "there is no receipt '2026'"),
    ],
)
def test_what_cannot_be_done_in_a_home_is_said(cli, home, arguments, code, says):
    before = looks(home)
    answer = cli(*arguments)

    assert answer.code == code
    assert says in answer.err
    assert looks(home) == before


def test_what_was_worked_in_since_is_not_undone_and_named(cli, home):
    receipt = cli("threads", "archive", THREAD, "--in-home", "--json").json["changes"][0]["receipt"]
    (moved,) = (home / "archived_sessions").glob(f"*{THREAD}.jsonl")
    with moved.open("a") as file:
        file.write("{}\n")

    assert cli("undo", receipt, "--dry-run").lines[1].startswith(f"  move {home}/sessions/")
    answer = cli("undo", receipt)
    assert answer.code == 64
    assert f"not undone: changed since, by somebody else: {home}/sessions/" in answer.err
    assert cli("receipts", "show", receipt, "--json").json["steps"][0]["files"] == "changed"
