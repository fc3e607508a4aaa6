"""`holdfast threads compress`: what it says, does, and refuses to do unasked."""

from __future__ import annotations

import os
import signal

import pytest
from cli_helpers import process, rollout, seen, terminal

import holdfast
from holdfast.rollouts import writer_lock
from processes import python

IDS = [f"01a1fd00-0000-7000-8000-00000000000{number}" for number in range(4)]


@pytest.fixture
def home(tmp_path, monkeypatch):
    path = tmp_path / "made"
    path.mkdir()
    monkeypatch.setenv("CODEX_HOME", str(path))
    for number, thread_id in enumerate(IDS):
        file = rollout(path, thread_id, f"question {number}", "the same words again and again " * 300)
        if number:
            os.utime(file, (1, 1))
    return path


def spellings(home):
    return sorted(path.name.partition(".")[2] for path in home.rglob("rollout-*"))


def test_it_is_not_done_unasked_and_a_dry_run_shows_each_file(cli, home):
    assert cli("index", "--no-search").code == 0
    before = seen(home)
    refused = cli("threads", "compress")
    assert (refused.code, refused.out) == (holdfast.Refused.exit_code, "")
    assert "3 rollouts" in refused.err
    assert "--in-home" in refused.err
    shown = cli("threads", "compress", "--dry-run", "--json").json
    assert (shown["dry_run"], shown["outcomes"]) == (True, {"cold": 3, "not-cold": 1})
    assert {each["outcome"] for each in shown["files"]} == {"cold"}
    assert cli("threads", "compress", "--dry-run", "-v").out.count("sessions/") == 3
    assert seen(home) == before


def test_cold_threads_become_small_those_being_written_are_named_and_all_read_as_before(cli, home):
    before = cli("threads", "list", "--json").json["threads"]
    with writer_lock(str(home), IDS[2]):
        done = cli("threads", "compress", "--in-home")
    assert done.code == 0
    assert done.lines[0].startswith("Compressed 2 rollouts of ")
    (busy,) = [line for line in done.lines if "busy" in line]
    assert IDS[2] in busy
    assert f"pid {os.getpid()}" in busy
    assert spellings(home) == ["jsonl", "jsonl", "jsonl.zst", "jsonl.zst"]
    assert cli("index", "--json", "--no-search").json["indexed"] == 0, "the index was told"
    assert cli("threads", "list", "--json").json["threads"] == before
    assert "question 3" in cli("threads", "show", IDS[3]).out

    again = cli("threads", "compress", "--in-home", "--older-than", "0s", "--json").json
    assert again["outcomes"] == {"compressed": 2}
    assert spellings(home) == ["jsonl.zst"] * 4


@pytest.mark.parametrize("age", ["7", "d", "-1d", "7 d", "7y", "1e3s", ""])
def test_an_age_that_is_none_is_refused(cli, home, age):
    answer = cli("threads", "compress", "--dry-run", "--older-than", age)
    assert answer.code == 64
    assert "7d" in answer.err


def test_ctrl_c_leaves_every_thread_whole_and_the_next_run_goes_on(cli, home, monkeypatch):
    assert cli("index", "--no-search").code == 0
    child = python(
        """
from holdfast.rollouts import compressing
real = compressing.same_text
count = 0
def same_text(*args):
    global count
    count += 1
    if count == 2: pause("second")
    return real(*args)
compressing.same_text = same_text
from holdfast.cli import main
os._exit(main(["threads", "compress", "--in-home"]))
"""
    )
    assert child.stdout.readline() == "second\n"
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=60)
    assert child.returncode == 130
    assert len(spellings(home)) == 4
    assert spellings(home).count("jsonl.zst") == 1
    assert cli("index", "--json", "--no-search").json["indexed"] == 0, "the index was told of the first"
    assert cli("threads", "compress", "--in-home", "--json").json["outcomes"] == {"compressed": 2, "not-cold": 1}


def test_a_terminal_shows_what_was_done(home):
    process("index", "--no-search")
    shown = terminal("threads", "compress", "--in-home").out
    assert "Compressed 3 rollouts" in shown
    assert "1 rollout left plain" in shown
