"""The commands, told with ``--state URL`` where the state is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.cli import main


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
    assert status.splitlines()[0].partition(", ")[2].startswith("PostgreSQL ")
    assert json.loads(cli("status", "--json").stdout)["postgres_version"]
    assert "SQLite" not in cli("holds").stdout


@pytest.mark.parametrize(
    ("command", "instead"),
    [
        (("backup",), "pg_dump"),
        (("index", "--rebuild"), "holdfast index --full"),
        (("threads", "search", "words"), "holdfast threads list --search"),
    ],
)
def test_what_does_not_run_there_yet_says_so_and_what_to_do_instead(cli, command, instead):
    done = cli(*command, "--json")
    assert (done.returncode, done.stdout) == (69, "")
    error = json.loads(done.stderr)["error"]
    assert error["kind"] == "unsupported"
    assert "PostgreSQL" in error["message"]
    assert instead in error["remedy"]


THREAD = "01a1fa0b-0000-7000-8000-000000000001"
DOORS = [
    [], ["status"], ["index"], ["holds"], ["threads", "list"], ["threads", "show", THREAD], ["threads", "find", THREAD],
    ["threads", "rename", THREAD, "x"], ["jobs", "list"], ["jobs", "show", "k", "1"], ["jobs", "why", "k", "1"],
    ["jobs", "retry", "k", "1"], ["jobs", "cancel", "k", "1"], ["jobs", "enqueue", "k", "1"], ["jobs", "cap", "1"],
    ["jobs", "run", "k", "--until-idle", "true"], ["memory", "list"], ["memory", "show"], ["memory", "show", THREAD],
    ["memory", "run", "--dry-run"], ["memory", "forget", THREAD], ["memory", "reset", "--yes"],
]  # fmt: skip


@pytest.fixture
def locked(server):
    """A role whose password is asked for."""
    ((path,),) = server.run("SHOW hba_file")
    before = Path(path).read_text()
    server.run("CREATE ROLE locked LOGIN PASSWORD 'right'")
    Path(path).write_text(f"local all locked scram-sha-256\n{before}")
    server.run("SELECT pg_reload_conf()")
    yield "locked"
    Path(path).write_text(before)
    server.run("SELECT pg_reload_conf()")
    server.run("DROP ROLE locked")


@pytest.mark.parametrize(
    ("wrong", "told", "remedy"),
    [
        ("password", "password authentication failed", "Check user, password"),
        ("database", 'database "nowhere" does not exist', "create what is missing"),
        ("option", 'invalid URI query parameter: "fo"', "options of libpq"),
    ],
)
def test_every_door_says_what_is_wrong_with_the_url_in_a_sentence(
    server, locked, make_home, tmp_path, monkeypatch, capfd, wrong, told, remedy
):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("CODEX_HOME", str(make_home()))
    url = {
        "password": f"postgresql://{locked}:s3cret@/postgres?host={server.folder}",
        "database": f"postgresql://postgres:s3cret@/nowhere?host={server.folder}",
        "option": f"postgresql://postgres:s3cret@/postgres?host={server.folder}&fo=1",
    }[wrong]
    for door in DOORS:
        code = main([*door, "--state", url] if "true" not in door else [*door[:-1], "--state", url, "true"])
        said = capfd.readouterr()
        sentence, advice = said.err.splitlines()
        assert (door, code, said.out) == (door, 64, "")
        assert told in sentence, door
        assert remedy in advice, door
        assert "s3cret" not in said.err


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
