"""The commands, told with ``--state URL`` where the state is."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest


@pytest.fixture
def cli(make_home, tmp_path, schema_url):
    home = make_home()
    home.id = home.thread("words of a thread")

    def run(*words, url=schema_url):
        command = [sys.executable, "-m", "holdfast", *words, "--state", url]
        env = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "xdg"), "CODEX_HOME": str(home)}
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False)

    run.home = home
    return run


def test_it_is_indexed_listed_shown_and_renamed(cli, schema_url):
    assert cli("index").returncode == 0
    (thread,) = json.loads(cli("threads", "list", "--search", "WORDS", "--json").stdout)["threads"]
    assert thread["id"] == cli.home.id
    assert cli("threads", "rename", cli.home.id, "called so").returncode == 0
    assert "called so" in cli("threads", "list").stdout
    status = cli("status").stdout
    assert f"State   postgresql://{schema_url.partition('host=')[2].partition('&')[0]}/postgres?schema=" in status
    assert "1 thread" in status
    assert "SQLite" not in cli("holds").stdout


@pytest.mark.parametrize("command", [("backup",), ("index", "--rebuild"), ("threads", "search", "words")])
def test_what_does_not_run_there_yet_says_so_and_what_to_do(cli, command):
    done = cli(*command)
    assert (done.returncode, done.stdout) == (69, "")
    assert "PostgreSQL" in done.stderr


def test_a_server_that_is_down_is_busy_and_no_password_is_printed(cli, tmp_path):
    url = f"postgresql://ann:s3cret@/agents?host={tmp_path}&connect_timeout=1"
    done = cli("status", url=url)
    assert done.returncode == 75
    assert "Is the server up" in done.stderr
    assert "s3cret" not in done.stdout + done.stderr


def test_a_board_is_worked_on_there(cli):
    assert cli("board", "create", "Fix it").stdout == "1\tready\tFix it\n"
    assert cli("board", "create", "Deploy it", "--parent", "FIX").stdout == "2\ttodo\tDeploy it\n"
    fence = json.loads(cli("board", "claim", "--json").stdout)["fence"]
    assert cli("board", "done", "1", "--fence", "5").returncode == 3
    assert cli("board", "done", "1", "--fence", str(fence)).returncode == 0
    assert [line.split("\t")[:2] for line in cli("board", "list").stdout.splitlines()] == [["2", "ready"]]
    kinds = [event["kind"] for event in json.loads(cli("board", "events", "--json").stdout)["events"]]
    assert kinds == ["created", "created", "claimed", "completed", "promoted"]
