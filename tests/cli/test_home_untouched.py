"""Whatever is run, and however many at once: the home's names, times and contents stay as they were."""

from __future__ import annotations

import os
import subprocess

import pytest
from cli_helpers import COMMAND

THREAD = "01a1fa0b-589d-7420-a3a3-86c4f7ca642c"
EVERYTHING = [
    [],
    ["index"],
    ["index", "--full"],
    ["index", "--rebuild"],
    ["threads", "list", "--refresh"],
    ["threads", "show", THREAD],
    ["threads", "find", THREAD],
    ["threads", "rename", THREAD, "a name"],
    ["threads", "archive", THREAD],
    ["threads", "unarchive", THREAD],
    ["threads", "archive", THREAD, "--in-home", "--dry-run"],
    ["threads", "rename", THREAD, "a name", "--in-home", "--dry-run"],
    ["threads", "reindex"],
    ["receipts"],
    ["receipts", "list"],
    ["threads", "search", "lines"],
    ["status"],
    ["holds"],
]


@pytest.mark.parametrize("arguments", EVERYTHING, ids=" ".join)
def test_no_command_changes_the_home(cli, home, untouched, arguments):
    assert cli(*arguments).code == 0


def test_several_commands_at_once_on_a_new_home_all_answer(home, untouched):
    children = [
        subprocess.Popen([*COMMAND, "threads", "list", "-n", "1000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    answers = [child.communicate() for child in children]

    assert [child.returncode for child in children] == [0] * 4
    assert len({out for out, _ in answers}) == 1
    assert len(answers[0][0].splitlines()) == 44


def test_the_state_directory_is_for_its_owner_alone(cli, home, state_dir):
    cli("index")

    assert os.stat(state_dir).st_mode & 0o777 == 0o700
    assert {os.stat(path).st_mode & 0o077 for path in state_dir.rglob("*")} == {0}
