"""``holdfast jobs``: asked for, done by a command, explained, tried again."""

import contextlib
import os
import signal
import subprocess
import threading
from types import SimpleNamespace

from cli_helpers import COMMAND, process, terminal, without_style

from holdfast.cli import jobs_run as commands


def test_a_job_is_asked_for_done_by_a_command_and_shown(cli):
    assert cli("jobs", "enqueue", "mail", "1", "--payload", '{"to": "ann"}').out == "mail\t1\tready\n"
    known = cli("jobs", "enqueue", "mail", "1")
    assert (known.code, "asked for before" in known.err) == (0, True)
    assert "0 of its kind are to be done before it" in cli("jobs", "why", "mail", "1").out

    command = ["sh", "-c", 'echo "$HOLDFAST_JOB_KEY $HOLDFAST_JOB_ATTEMPT $HOLDFAST_JOB_PAYLOAD"']
    ran = process("jobs", "run", "mail", "--until-idle", "--", *command)
    assert (ran.code, ran.err) == (0, "1 done\n")
    job = cli("jobs", "show", "mail", "1", "--json").json["job"]
    assert (job["status"], job["result"]) == ("done", '1 1 {"to": "ann"}')


def test_a_command_that_fails_or_says_later_leaves_the_job_for_another_time(cli):
    cli("jobs", "enqueue", "k", "bad")
    ran = process("jobs", "run", "k", "--until-idle", "--", "sh", "-c", "echo no disk >&2; exit 5")
    assert (ran.code, ran.err.splitlines()[:2]) == (
        75,
        ["1 failed", "holdfast: no job was done: the only one that was begun failed"],
    )
    job = cli("jobs", "show", "k", "bad", "--json").json["job"]
    assert (job["status"], job["attempts"]) == ("resting", 1)
    assert "exit code 5: no disk" in job["failure"]
    assert cli("jobs", "retry", "k", "bad").out == "k\tbad\tready\n"
    assert process("jobs", "run", "k", "--until-idle", "--", "sh", "-c", "exit 75").err == "1 released\n"
    assert cli("jobs", "show", "k", "bad", "--json").json["job"]["attempts"] == 0


def test_jobs_are_listed_and_cancelled(cli):
    assert "No jobs" in cli("jobs", "list").err
    for key in ("1", "2"):
        cli("jobs", "enqueue", "k", key)
    assert cli("jobs", "cancel", "k", "1", "--why", "wrong model").out == "k\t1\tcancelled\n"
    listed = cli("jobs", "list", "--json").json
    assert [(job["key"], job["status"]) for job in listed["jobs"]] == [("1", "cancelled"), ("2", "ready")]
    assert listed["counts"] == {"k": {"cancelled": 1, "ready": 1}}
    assert cli("jobs", "list", "--status", "ready").out.split("\t")[:4] == ["k", "2", "ready", "0/3"]
    missing = cli("jobs", "why", "k", "3")
    assert (missing.code, "there is no job k/3" in missing.err) == (1, True)
    assert cli("jobs", "enqueue", "k", "3", "--payload", "{").code == 64


def test_a_command_whose_claim_was_lost_is_ended_with_all_it_started(monkeypatch):
    monkeypatch.setattr(commands, "_GRACE_S", 0.05)
    stubborn = "trap '' TERM; sleep 1000"
    command = ["sh", "-c", f'sh -c "{stubborn}" & echo begun; {stubborn}']
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as child:
        assert child.stdout.readline() == b"begun\n"
        lost = threading.Event()
        lost.set()
        assert commands._wait(SimpleNamespace(lost=lost), child) != 0
        assert child.stdout.read() == b""  # its end comes when the last of them is gone


def test_a_command_that_there_is_not_costs_no_attempt(cli):
    cli("jobs", "enqueue", "k", "1")
    ran = process("jobs", "run", "k", "--until-idle", "--", "no-such-command")
    assert (ran.code, "no-such-command is no command" in ran.err) == (64, True)
    assert cli("jobs", "show", "k", "1", "--json").json["job"]["attempts"] == 0


def test_a_second_ctrl_c_ends_the_command_too(cli, tmp_path):
    cli("jobs", "enqueue", "k", "1")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    running = subprocess.Popen(
        [*COMMAND, "jobs", "run", "k", "--", "sh", "-c", f"exec >{pipe}; echo begun; sleep 60"],
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    with pipe.open() as said:
        assert said.readline() == "begun\n"
        code = None
        while code is None:  # the first one drains, a later one ends
            running.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = running.wait(timeout=0.5)
        assert said.read() == ""  # its end comes when the last that can write is gone
    with running.stderr as told:
        assert (code, told.read()) == (130, "holdfast: interrupted\n")


def test_all_that_failed_is_told_by_the_exit_code_and_what_was_done_too_is_not(cli):
    for key in ("1", "2"):
        cli("jobs", "enqueue", "k", key, "--attempts", "1")
    ran = process("jobs", "run", "k", "--until-idle", "--json", "--", "sh", "-c", "exit 5")
    assert (ran.code, ran.json["failed"], ran.err) == (75, 2, "")
    for key in ("1", "2"):
        cli("jobs", "retry", "k", key)
    ran = process("jobs", "run", "k", "--until-idle", "--", "sh", "-c", '[ "$HOLDFAST_JOB_KEY" = 1 ]')
    assert (ran.code, ran.err) == (0, "1 done, 1 failed\n")


def test_a_job_is_asked_for_with_all_that_can_be_said_of_it(cli):
    words = ("--not-before", "2h", "--attempts", "7", "--watermark", "120:9f2c", "--terminal")
    job = cli("jobs", "enqueue", "k", "1", *words, "--json").json["job"]
    assert (job["status"], job["attempts_max"], job["on_failure"]) == ("resting", 7, "terminal")
    assert job["watermark"] == {"size": 120, "hash": "9f2c"}
    assert "asked for not before a time that is 1 h 59 min from now" in cli("jobs", "why", "k", "1").out
    assert "asked for before" in cli("jobs", "enqueue", "k", "1", "--watermark", "120:9f2c").err
    assert cli("jobs", "enqueue", "k", "2", "--watermark", "x").code == 64


def test_a_cap_pauses_a_kind_until_it_is_lifted(cli):
    cli("jobs", "enqueue", "k", "1")
    assert cli("jobs", "cap", "0", "--kind", "k").out == "k\t0\n"
    assert process("jobs", "run", "k", "--until-idle", "--", "true").err == "No jobs.\n"
    assert cli("jobs", "cap", "none", "--kind", "k", "--json").json == {"kind": "k", "running_max": None}
    ran = process("jobs", "run", "k", "--until-idle", "--lease", "5s", "--cap", "1", "--", "true")
    assert ran.err == "1 done\n"


def test_on_a_terminal_what_is_known_of_a_job_is_aligned(cli):
    cli("jobs", "enqueue", "k", "a key", "--payload", '{"to": "ann"}')
    shown = without_style(terminal("jobs", "show", "k", "a key", columns=60).out).splitlines()
    begins = {line.index(word) for line in shown for word in ("a key", '{"to"', "It is ready") if word in line}
    assert len(begins) == 1
    assert max(map(len, shown)) <= 60


def test_a_narrow_terminal_shows_what_became_of_each_job(cli):
    cli("jobs", "enqueue", "memory:extract", "1:01a1fa0b000070008000000000000000")
    assert (
        process("jobs", "run", "memory:extract", "--until-idle", "--", "sh", "-c", "echo no disk >&2; exit 5").code
        == 75
    )
    shown = without_style(terminal("jobs", "list", columns=80).out)
    assert all(word in shown for word in ("memory:extract", "STATUS", "resting", "1/3", "CHANGED")), shown
    assert max(map(len, shown.splitlines())) <= 80


def test_a_state_that_is_neither_a_directory_nor_postgresql_is_refused(cli):
    wrong = process("jobs", "list", "--state", "mysql://db/agents")
    assert (wrong.code, "mysql:// is no state" in wrong.err) == (64, True)
