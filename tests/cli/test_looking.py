"""Bare `holdfast`, `status` and `holds`: they look, and leave no trace."""

from __future__ import annotations

import os
import subprocess
import sys

from cli_helpers import process, terminal


def test_bare_holdfast_says_what_is_here_and_creates_nothing(cli, home, state_dir, untouched):
    answer = cli()

    assert f"Home   {home}\n       48 rollout files, not indexed yet\n" in answer.out
    assert "Next:  holdfast index\n" in answer.out
    assert not state_dir.exists()


def test_bare_holdfast_after_an_index_says_so(cli, home, state_dir):
    cli("index")
    found = cli("--json").json

    assert found["homes"][0]["threads"] == 48
    assert found["next"] == "holdfast threads list"
    assert found["state_dir"] == str(state_dir)


def test_bare_holdfast_finds_both_homes_a_machine_may_have(cli, home, nobody, old_home):
    os.rename(old_home, nobody / ".codex")

    assert [one["path"] for one in cli("--json").json["homes"]] == [str(home), str(nobody / ".codex")]


def test_on_a_machine_without_a_home_everything_that_looks_still_answers(cli, state_dir):
    assert "No agent home was found" in cli().out
    assert cli("status").code == 0
    assert cli("holds").err == "No holds: nobody is working on anything.\n"
    assert not state_dir.exists()


def test_what_needs_a_home_says_there_is_none(cli):
    answer = cli("threads", "list")

    assert answer.code == 64
    assert "there is no home at" in answer.err


def test_status_counts_what_is_kept(cli, home):
    cli("index")
    status = cli("status", "--json").json

    assert status["homes"][0]["threads"] == 48
    assert status["homes"][0]["archived"] == 4
    assert status["files"]["state.db"]["bytes"] > 0
    assert "48 threads: 4 archived, 0 missing" in cli("status").out


def test_looking_leaves_the_state_directory_as_it_was(cli, home, state_dir):
    cli("index")

    def shape():
        return {path.name: (path.stat().st_size, path.stat().st_mtime_ns) for path in state_dir.rglob("*")}

    before = shape()
    for arguments in ([], ["status"], ["holds"]):
        assert process(*arguments).code == 0
    assert shape() == before


def test_holds_shows_who_works_on_what_while_they_do(cli, home, state_dir):
    cli("index")
    worker = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import holdfast, sys\n"
            "from holdfast import holds\n"
            f"with holdfast.open({str(home)!r}, search=False) as state:\n"
            "    with state.write() as tx:\n"
            "        holds.take(tx, 'index:1', holds.me('test'), lease_ms=60_000)\n"
            "    print('taken', flush=True)\n"
            "    sys.stdin.read()\n",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert worker.stdout.readline() == b"taken\n"
        (hold,) = cli("holds", "--json").json["holds"]
        line = cli("holds").lines[0].split("\t")
        shown = terminal("holds", columns=160)
    finally:
        worker.communicate()

    assert (hold["resource"], hold["owner_pid"]) == ("index:1", worker.pid)
    assert line[0] == f"index:1 ({home})"
    assert line[1].startswith(f"pid {worker.pid}")
    assert f"pid {worker.pid}" in shown.out
