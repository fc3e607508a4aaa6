"""A worker and all it starts: begun by a word, ended to the last process, and never somebody else's."""

import os
import signal
from dataclasses import replace

import pytest
from worker_steps import wait_for_end

from holdfast import holds
from holdfast.board.dispatching import groups
from holdfast.board.dispatching.spawning import NEVER, Found, read_end


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("exit 0", 0),
        ("exit 75", 75),
        ("no-such-command", 127),
        ("kill -KILL $$", -9),
        ("kill -TERM 0; exit 5", -15),  # its whole group, of which its shell is
        ("cat; exit 3", 3),  # nobody types anything
    ],
)
def test_how_a_command_ended_is_told_and_written_down(start, command, code):
    started = start(command).begin()
    assert started.ended() == code
    assert int(read_end(str(started.end))) == (code if code >= 0 else 128 - code)


def test_a_command_that_was_not_begun_never_runs(start, tmp_path):
    started = start(f"touch {tmp_path}/ran")
    started.worker.leave()  # what the death of its dispatcher does to it
    wait_for_end(started.owner.pid)
    assert read_end(str(started.end)) == NEVER
    assert not (tmp_path / "ran").exists()
    assert Found(started.owner, str(started.end)).ended() == (True, None)


def test_the_claims_process_lives_until_its_end_is_written_down(start):
    started = start("exit 1").begin()
    assert started.ended() == 1
    assert not holds.is_dead(started.owner)
    started.worker.close()
    assert holds.is_dead(started.owner)


def test_a_worker_goes_on_without_its_dispatcher_and_its_end_is_found(start, pipe, make_pipe):
    go = make_pipe("go")
    started = start(f"echo up >{pipe.path}; read line <{go.path}; exit 75").begin()
    assert pipe.line() == "up"
    started.worker.leave()
    found = Found(started.owner, str(started.end))
    assert found.ended() == (False, None)
    go.tell()
    wait_for_end(started.owner.pid)
    assert found.ended() == (True, 75)
    found.close()


GRANDCHILDREN = """
sh -c 'trap "" TERM; echo $$ >{pipe}; while :; do sleep 1; done' &
setsid sh -c 'echo $$ >{pipe}; exec sleep 1000' &
echo $$ >{pipe}; wait
"""


def test_what_a_worker_started_is_found_told_and_killed(start, pipe):
    started = start(GRANDCHILDREN.format(pipe=pipe.path)).begin()
    pids = set(map(int, pipe.lines(3)))
    assert pids <= set(groups.others(started.owner))

    groups.tell(groups.others(started.owner), signal.SIGTERM)
    assert started.ended() == -15
    stubborn = pids & set(groups.others(started.owner))
    assert len(stubborn) == 1, "one of them does not listen to TERM"
    groups.tell(groups.others(started.owner), signal.SIGKILL)
    wait_for_end(*stubborn)
    while left := groups.others(started.owner):  # the sleep of the one that was killed
        wait_for_end(left[0])
    assert not holds.is_dead(started.owner), "the claim is a living process's until its end is written"


def test_what_is_left_when_the_shell_is_killed_is_still_found(start, pipe):
    started = start(f"echo $$ >{pipe.path}; exec sleep 1000").begin()
    command = int(pipe.line())
    os.kill(started.owner.pid, signal.SIGKILL)
    assert started.ended() is None
    assert groups.others(started.owner) == [command]
    groups.kill_all(started.owner)
    wait_for_end(command)
    assert groups.others(started.owner) == []


def test_a_stopped_worker_hears_that_it_is_to_end(start, pipe):
    started = start(f"echo $$ >{pipe.path}; exec sleep 1000").begin()
    command = int(pipe.line())
    os.kill(command, signal.SIGSTOP)
    groups.tell(groups.others(started.owner), signal.SIGTERM)
    assert started.ended() == -15


@pytest.mark.parametrize(
    "other",
    [
        {"started": 1},  # its number was given to another process
        {"pid_namespace": 1},  # of another container
        {"boot_id": "another"},
        {"host": "another"},
    ],
)
def test_nobody_else_is_ever_ended(start, pipe, other):
    started = start(f"echo $$ >{pipe.path}; exec sleep 1000").begin()
    pipe.line()
    stranger = replace(started.owner, **other)
    assert groups.others(stranger) == []
    assert groups.kill_all(stranger) == []
    assert not holds.is_dead(started.owner)
