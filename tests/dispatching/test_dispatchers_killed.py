"""Dispatchers and workers killed, stopped and told to end: no task is done twice, and no end is lost."""

import os
import signal

import pytest
from dispatch_steps import create, do, get, outcomes, runs, says, stop, until
from worker_steps import is_running, wait_for_end

from holdfast.board import Status

WAITS = "echo $$ >{pipe}; read line <{go}; {then}"


@pytest.fixture
def waits(pipe, make_pipe):
    """The command of a worker that tells its pid, waits to be told, and then does ``then``."""
    go = make_pipe("go")
    pipe.go = go
    return lambda then: WAITS.format(pipe=pipe.path, go=go.path, then=then)


# --- adopted -----------------------------------------------------------------------


def test_a_dead_dispatchers_worker_is_adopted_and_its_word_counts(engine, child, pipe, waits):
    task_id = create(engine)
    command = waits(says("done"))
    first = child(command)
    until(first, "leads")
    pid = int(pipe.line())
    second = child(command)  # stands by
    first.kill()
    assert f"pid {get(engine, task_id).owner.pid}" in until(second, "adopted")
    until(second, "leads")
    assert is_running(pid)
    pipe.go.tell()
    assert until(second, f"task {task_id}").endswith("completed")
    assert (get(engine, task_id).status, outcomes(engine, task_id)) == (Status.DONE, ["completed"])


@pytest.mark.parametrize(
    ("then", "outcome", "failures"),
    [
        (says("done"), "completed", 0),
        ("exit 75", "rate_limited", 0),
        ("exit 0", "protocol", 1),
        ("exit 4", "crashed", 1),
    ],
)
def test_how_a_worker_ended_while_nobody_watched_is_found(engine, child, make, pipe, waits, then, outcome, failures):
    task_id = create(engine)
    first = child(waits(then))
    pipe.line()
    owner = get(engine, task_id).owner
    first.kill()
    pipe.go.tell()
    wait_for_end(owner.pid)
    report = make("exit 1", stages=("review",)).run(until_idle=True)
    assert (report.adopted, report.ended) == (1, {outcome: 1})
    assert (outcomes(engine, task_id), get(engine, task_id).failures) == ([outcome], failures)


def test_a_worker_killed_while_nobody_watched_is_given_again_and_counted(engine, child, make, pipe, waits):
    task_id = create(engine)
    first = child(waits("exit 0"))
    command = int(pipe.line())
    first.kill()
    os.kill(get(engine, task_id).owner.pid, signal.SIGKILL)
    make("exit 1", stages=("review",)).run(until_idle=True)
    assert (outcomes(engine, task_id), get(engine, task_id).failures) == (["crashed"], 1)
    assert not is_running(command), "what the shell left behind is ended, too"


POINTS = {
    "claimed": "from holdfast.board.dispatching import starting; starting.Start.make_ready = stop",
    "started": "from holdfast.board.dispatching import records; records.Records.put = stop",
    "written down": "from holdfast import board; board.hand_over = stop",
    "handed over": "from holdfast.board.dispatching import spawning; spawning.Worker.begin = stop",
}


@pytest.mark.parametrize("point", POINTS)
def test_a_dispatcher_killed_while_it_starts_a_worker_has_begun_nothing(engine, child, make, tmp_path, point):
    task_id = create(engine)
    code = "def stop(*_words, **_more):\n    pause('here')\n"
    command = f"echo begun >>{tmp_path}/begun; {says('done')}"
    first = child(command, first=code + POINTS[point])
    until(first, "here")
    first.kill()
    dispatcher = make(command)
    while get(engine, task_id).status != Status.DONE:
        dispatcher.turn()
    assert (tmp_path / "begun").read_text() == "begun\n"
    assert outcomes(engine, task_id) in (["released", "completed"], ["crashed", "completed"])
    dispatcher.run(until_idle=True)


# --- stopped -----------------------------------------------------------------------


def test_a_leader_that_was_stopped_claims_nothing_beside_its_successor(engine, child, pipe, waits):
    first = child(waits("exit 1"), leader_ms=300, running_max=1)
    until(first, "leads")
    stop(first, engine)
    second = child(waits("exit 1"), leader_ms=300, running_max=1)
    until(second, "leads")
    first.go_on()
    tasks = [create(engine) for _ in range(2)]
    assert until(second, "started").startswith(f"started task {tasks[0]}")
    pipe.line()
    second.kill()
    assert until(first, "").startswith("adopted"), "nothing was started before"


def test_what_a_stopped_dispatcher_started_is_ended_before_its_task_is_given_again(engine, child, pipe, waits):
    task_id = create(engine)
    command = f'[ "$HOLDFAST_ATTEMPT" = 1 ] || {{ echo again >{pipe.path}; exec sleep 1000; }}; {waits("exit 1")}'
    first = child(command, leader_ms=300, lease_ms=300)
    pid = int(pipe.line())
    stop(first, engine)
    child(command, leader_ms=300)
    assert pipe.line() == "again"
    assert not is_running(pid)
    assert outcomes(engine, task_id) == ["expired", "None"]


# --- told to end ---------------------------------------------------------------------


def test_sigterm_waits_for_who_works_and_starts_nothing_more(engine, child, pipe, waits):
    tasks = [create(engine) for _ in range(2)]
    first = child(waits(says("done")), running_max=1)
    pipe.line()
    os.kill(first.pid, signal.SIGTERM)
    until(first, "drains")
    pipe.go.tell()
    assert until(first, "report") == "report 1 0 {'completed': 1}"
    assert first.wait() == 0
    assert [get(engine, task_id).status for task_id in tasks] == [Status.DONE, Status.READY]


@pytest.mark.parametrize("how", ["grace", "second signal"])
def test_who_does_not_end_in_time_is_ended_and_the_task_given_back_uncounted(engine, child, pipe, how):
    task_id = create(engine)
    stubborn = f'trap "" TERM; echo $$ >{pipe.path}; while :; do sleep 1; done'
    first = child(stubborn, grace_s=0.2 if how == "grace" else 600, kill_after_s=0.2 if how == "grace" else 600)
    pid = int(pipe.line())
    os.kill(first.pid, signal.SIGTERM)
    if how == "second signal":
        until(first, "drains")
        os.kill(first.pid, signal.SIGINT)
    assert until(first, "report") == "report 1 0 {'released': 1}"
    assert not is_running(pid)
    task = get(engine, task_id)
    assert (task.status, task.failures, outcomes(engine, task_id)) == (Status.READY, 0, ["released"])


def test_another_leads_as_soon_as_one_drains(engine, child, pipe, waits):
    first = child(waits("exit 1"))
    until(first, "leads")
    create(engine)
    pipe.line()
    second = child(waits("exit 1"))
    os.kill(first.pid, signal.SIGTERM)
    until(second, "leads")
    assert is_running(first.pid), "it waits for its worker"
    os.kill(first.pid, signal.SIGTERM)
    until(first, "report")


# --- no descriptor left ----------------------------------------------------------------

LIMIT = """
import resource, threading
def limit():
    while hear():
        soft = 4096 if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 4096 else len(os.listdir('/proc/self/fd')) + 2
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        say('limit')
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
threading.Thread(target=limit, daemon=True).start()
"""


def test_without_a_free_descriptor_nothing_is_claimed_and_it_goes_on_once_there_is_one(engine, child, pipe, waits):
    first = child(waits(says("done")), first=LIMIT, running_max=2)
    until(first, "leads")
    do(engine, "create_board", "other")
    first.tell("limit")
    until(first, "limit")
    tasks = [create(engine) for _ in range(2)]
    assert "open files" in until(first, "has to wait")
    assert [runs(engine, task_id) for task_id in tasks] == [[], []]
    first.tell("no limit")
    pipe.lines(2)
    assert [outcomes(engine, task_id) for task_id in tasks] == [["None"], ["None"]]
    pipe.go.tell()
    pipe.go.tell()
    until(first, f"task {tasks[0]}")
