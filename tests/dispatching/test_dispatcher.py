"""From ready to the end of the run: what workers are given, how they end, what ends them."""

import os
import threading
from dataclasses import replace

import pytest
from dispatch_steps import create, do, get, kinds, outcomes, runs, says
from worker_steps import is_running, wait_for_end

from holdfast import board, holds
from holdfast.board import BlockKind, Status
from holdfast.board.dispatching import leaders, starting
from holdfast.errors import Refused

# --- how workers end ------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "status", "outcome"),
    [("done", Status.DONE, "completed"), ("review", Status.REVIEW, "review"), ("block", Status.BLOCKED, "blocked")],
)
def test_what_a_worker_says_of_its_task_counts(engine, make, word, status, outcome):
    task_id = create(engine)
    report = make(says(word)).run(until_idle=True)
    assert (get(engine, task_id).status, outcomes(engine, task_id)) == (status, [outcome])
    assert (report.started, report.ended) == (1, {outcome: 1})


@pytest.mark.parametrize(
    ("command", "outcome", "failures", "exit_code"),
    [
        ("exit 0", "protocol", 1, 0),
        ("exit 75", "rate_limited", 0, 75),
        ("exit 3", "crashed", 1, 3),
        ("kill -SEGV $$", "crashed", 1, -11),
        ("kill -KILL $PPID; exec sleep 1000", "crashed", 1, None),  # what the claim belongs to
        ("no-such-command", "spawn_failed", 1, 127),
    ],
)
def test_what_ends_without_a_word_is_told_and_tried_again_later(engine, make, command, outcome, failures, exit_code):
    task_id = create(engine)
    make(command).run(until_idle=True)
    task, (run,) = get(engine, task_id), runs(engine, task_id)
    assert (task.status, task.failures) == (Status.SCHEDULED, failures), run
    assert (run.outcome, run.exit_code) == (outcome, exit_code)
    assert (task.due_ms - run.ended_ms > 250_000) == (outcome == "rate_limited")


def test_a_task_that_fails_time_and_again_ends_blocked(engine, make):
    task_id = create(engine, failures_max=1)
    make("exit 1").run(until_idle=True)
    assert (get(engine, task_id).status, get(engine, task_id).block_kind) == (Status.BLOCKED, BlockKind.FAILURES)


def test_an_exit_code_after_the_word_changes_nothing(engine, make):
    task_id = create(engine)
    make(f"{says('done')}; exit 9").run(until_idle=True)
    assert (get(engine, task_id).status, outcomes(engine, task_id)) == (Status.DONE, ["completed"])


def test_a_failure_is_tried_again_by_itself(engine, running, pipe):
    task_id = create(engine)
    running(
        f"echo $HOLDFAST_ATTEMPT >{pipe.path}; [ $HOLDFAST_ATTEMPT = 1 ] && exit 1;"
        f" {says('done')}; echo over >{pipe.path}"
    )
    assert pipe.lines(3) == ["1", "2", "over"]
    assert outcomes(engine, task_id)[0] == "crashed"


def test_one_that_drains_looks_now_and_then_and_not_all_the_time(engine, make, pipe):
    create(engine)
    stubborn = f'trap "" TERM; echo $$ >{pipe.path}; while :; do sleep 1; done'
    draining = make(stubborn, grace_s=0, kill_after_s=1)
    turn, looks = draining.turn, []

    def counted():
        pause_ms = turn()
        if draining.report.started and not looks:
            pipe.line()
            draining.drain()
        looks.append(pause_ms)
        return pause_ms

    draining.turn = counted
    assert draining.run().ended == {"released": 1}
    assert len(looks) < 60, "a second, looked at ten times, and woken a few times more"


def test_one_that_drains_gives_back_what_it_claimed_and_has_not_begun(engine, make):
    draining = make("exit 1")
    draining.turn()
    draining._crew.is_going = lambda _task_id: True  # the folder of an earlier run is still being taken away
    task_id = create(engine)
    draining.turn()
    assert get(engine, task_id).status == Status.RUNNING
    draining.drain()
    draining.turn()
    assert (get(engine, task_id).status, outcomes(engine, task_id)) == (Status.READY, ["released"])
    draining.close()


# --- what they are given ----------------------------------------------------------


def test_a_worker_finds_its_task_in_its_environment(engine, make, database, tmp_path, monkeypatch):
    monkeypatch.setenv("OF_THE_OPERATOR", "kept")
    monkeypatch.setenv("GIT_DIR", "/somewhere")
    do(engine, "create_board", "b")
    task_id = create(engine, "Write the parser", body="All of it.", board="b", assignee="ann", tenant="t")
    make(f"env -0 >{tmp_path}/env; {says('done')}", board="b").run(until_idle=True)
    found = dict(pair.split("=", 1) for pair in (tmp_path / "env").read_text().split("\0") if pair)
    told = {name.removeprefix("HOLDFAST_"): text for name, text in found.items() if name.startswith("HOLDFAST_")}
    prompt, workspace = told.pop("PROMPT"), told.pop("WORKSPACE")
    (run,) = runs(engine, task_id)
    assert told == {
        "STATE": database, "BOARD": "b", "TASK": str(task_id), "FENCE": str(run.fence), "RUN": str(run.run_id),
        "ATTEMPT": "1", "STAGE": "work", "ASSIGNEE": "ann", "TENANT": "t", "BRANCH": "",
    }  # fmt: skip
    assert "Write the parser" in prompt and "All of it." in prompt
    assert os.path.samefile(os.path.dirname(workspace), tmp_path / "dispatching" / "scratch" / "b")
    assert found["OF_THE_OPERATOR"] == "kept" and "GIT_DIR" not in found
    assert found["PWD"] == workspace


def test_a_prompt_too_long_for_an_environment_is_in_a_file(engine, make, tmp_path, monkeypatch):
    from holdfast.board.dispatching import environment

    monkeypatch.setattr(environment, "PROMPT_BYTES_MAX", 1_000)
    create(engine, body="x" * 3_000)
    copy = f'cp "$HOLDFAST_PROMPT_FILE" {tmp_path}/prompt; echo "$HOLDFAST_PROMPT" >{tmp_path}/said'
    make(f"{copy}; {says('done')}").run(until_idle=True)
    assert "x" * 3_000 in (tmp_path / "prompt").read_text()
    assert "prompt.md" in (tmp_path / "said").read_text()
    assert os.listdir(tmp_path / "dispatching" / "living") == [], "the file goes with its run"


def test_what_a_worker_says_is_in_the_log_of_its_run_and_no_descriptor_of_ours_is_in_its_hands(engine, make):
    task_id = create(engine)
    make("echo to stdout; echo to stderr >&2; ls /proc/self/fd; exit 1").run(until_idle=True)
    (run,) = runs(engine, task_id)
    with open(run.log) as file:
        assert file.read().split("\n") == ["to stdout", "to stderr", "0", "1", "2", "3", ""]  # 3: ls reads it


def test_a_command_may_be_words_that_no_shell_reads(engine, make, tmp_path):
    task_id = create(engine)
    make(["touch", str(tmp_path / "a b; $c")]).run(until_idle=True)
    assert (tmp_path / "a b; $c").exists() and outcomes(engine, task_id) == ["protocol"]


# --- what ends them -----------------------------------------------------------------

STUBBORN = """
sh -c 'trap "" TERM; echo $$ >{pipe}; while :; do sleep 1; done' &
trap "" TERM; echo $$ >{pipe}; while :; do sleep 1; done
"""


def test_a_worker_over_its_time_is_ended_with_all_it_started_before_the_task_is_given_again(engine, running, pipe):
    task_id = create(engine, time_max_ms=300)
    second = f"[ $HOLDFAST_ATTEMPT = 2 ] && {{ echo again >{pipe.path}; exec sleep 1000; }}"
    running(second + STUBBORN.format(pipe=pipe.path), kill_after_s=0.2)
    pids = [int(pid) for pid in pipe.lines(2)]
    assert pipe.line() == "again"
    assert [pid for pid in pids if is_running(pid)] == []
    assert outcomes(engine, task_id)[0] == "timed_out"


def test_what_a_worker_left_behind_is_ended_with_it(engine, make, pipe):
    create(engine)
    make(f"sh -c 'echo $$ >{pipe.path}; exec sleep 1000' & {says('done')}").run(until_idle=True)
    assert not is_running(int(pipe.line()))


def test_a_worker_is_at_work_as_long_as_anything_it_started_is(engine, make, pipe):
    task_id = create(engine)
    ends = make(f'kill -KILL $PPID; trap "" TERM; echo $$ >{pipe.path}; while :; do sleep 1; done', kill_after_s=600)
    while not pipe.is_told():
        ends.turn()
    pid = int(pipe.line())
    wait_for_end(get(engine, task_id).owner.pid)  # the shell that the claim belongs to
    ends.turn()
    with engine.write() as tx:
        board.sweep(tx, is_dead=ends._crew.is_dead)
    assert (get(engine, task_id).status, is_running(pid)) == (Status.RUNNING, True)
    ends.stop()
    ends.run()
    assert not is_running(pid)


def test_a_silent_worker_is_ended(engine, make):
    task_id = create(engine, silence_max_ms=200)
    make("exec sleep 1000").run(until_idle=True)
    assert outcomes(engine, task_id) == ["silent"]


def test_a_worker_whose_output_is_heard_is_not_silent(engine, make):
    task_id = create(engine, silence_max_ms=1_000)
    make("for turn in 1 2 3 4 5 6 7 8; do echo still here; sleep 0.2; done; exit 3").run(until_idle=True)
    assert (outcomes(engine, task_id), runs(engine, task_id)[0].exit_code) == (["crashed"], 3)


def test_a_worker_whose_heartbeat_is_heard_is_not_silent(engine, running, pipe, make_pipe):
    go = make_pipe("go")
    task_id = create(engine, silence_max_ms=500)
    dispatcher = running(f"echo up >{pipe.path}; read line <{go.path}; exit 3")
    pipe.line()
    begun = get(engine, task_id)
    while get(engine, task_id).renewed_ms < begun.renewed_ms + 1_500:
        do(engine, "renew", task_id, begun.fence, lease_ms=60_000, note="half way")
    assert get(engine, task_id).note == "half way"
    go.tell()
    while not dispatcher.report.ended:
        pass
    assert (outcomes(engine, task_id), runs(engine, task_id)[0].exit_code) == (["crashed"], 3)


@pytest.mark.parametrize("verb", ["cancel", "reclaim"])
def test_whose_task_is_taken_away_is_ended(engine, running, pipe, verb):
    task_id = create(engine)
    running(f"echo $$ >{pipe.path}; [ $HOLDFAST_ATTEMPT = 2 ] && {says('done')}; exec sleep 1000")
    pid = int(pipe.line())
    do(engine, verb, task_id, "a person says so")
    wait_for_end(pid)
    if verb == "reclaim":
        assert int(pipe.line()) != pid
    assert outcomes(engine, task_id)[0] in ("cancelled", "reclaimed")


def test_a_worker_that_does_not_end_after_its_word_is_ended(engine, make):
    task_id = create(engine)
    make(f"{says('done')}; exec sleep 1000", linger_s=0.1).run(until_idle=True)
    assert outcomes(engine, task_id) == ["completed"]


def test_claims_are_renewed_as_long_as_their_workers_live(engine, running, pipe, make_pipe):
    go = make_pipe("go")
    task_id = create(engine)
    running(f"echo up >{pipe.path}; read line <{go.path}; exec sleep 1000", lease_ms=300)
    pipe.line()
    task = get(engine, task_id)
    while (now := get(engine, task_id)).expires_ms <= task.expires_ms + 600:
        assert (now.status, now.fence) == (Status.RUNNING, task.fence)


# --- how many ---------------------------------------------------------------------


def test_no_more_work_at_once_than_may_and_all_is_done(engine, make, tmp_path):
    for _ in range(6):
        create(engine)
    count = f"mkdir {tmp_path}/at-$HOLDFAST_RUN; ls -d {tmp_path}/at-* | wc -l >>{tmp_path}/counts; "
    report = make(f"{count} {says('done')}; rmdir {tmp_path}/at-$HOLDFAST_RUN", running_max=2).run(until_idle=True)
    assert report.ended == {"completed": 6}
    assert {int(line) for line in (tmp_path / "counts").read_text().split()} <= {1, 2}


def test_caps_of_the_board_are_kept_and_others_go_on(engine, running, pipe):
    do(engine, "cap", "default", "ann", 1)
    for assignee in ("ann", "ann", "bob"):
        create(engine, assignee=assignee)
    running(f"echo $HOLDFAST_ASSIGNEE >{pipe.path}; exec sleep 1000", running_max=3)
    assert sorted(pipe.lines(2)) == ["ann", "bob"]


def test_every_board_has_its_turn(engine, make):
    for slug in ("b", "c"):
        do(engine, "create_board", slug)
    tasks = [create(engine, board=slug) for slug in ("default", "b", "c")]
    make(says("done"), board=None, running_max=1).run(until_idle=True)
    assert [get(engine, task_id).status for task_id in tasks] == [Status.DONE] * 3


def test_a_board_that_is_none_is_said(engine, make):
    with pytest.raises(Refused, match="no board nowhere"):
        make("exit 0", board="nowhere").run()


def test_one_whose_lead_was_taken_claims_nothing_though_it_has_not_heard(engine, make):
    late = make("exit 1")
    late.turn()
    assert late.leads
    with engine.write() as tx:
        holds.end_all(tx)
        assert isinstance(holds.take(tx, "board:dispatcher:default", holds.me("another"), lease_ms=60_000), holds.Hold)
    task_id = create(engine)
    late.turn()
    assert (get(engine, task_id).status, get(engine, task_id).attempts) == (Status.READY, 0)
    late.close()


def test_reviews_wait_for_a_person_unless_they_are_asked_for(engine, make):
    task_id = create(engine)
    make(says("review")).run(until_idle=True)
    assert get(engine, task_id).status == Status.REVIEW
    make(f'[ "$HOLDFAST_STAGE" = review ] && {says("done")}', stages=("work", "review")).run(until_idle=True)
    assert get(engine, task_id).status == Status.DONE


def test_it_hears_of_a_task_that_is_made_while_it_waits(engine, running, pipe):
    dispatcher = running(f"echo $HOLDFAST_TASK >{pipe.path}; {says('done')}")
    while not dispatcher.leads:
        pass
    task_id = create(engine)
    assert pipe.line() == str(task_id)


def test_another_machines_worker_is_left_alone(engine, make):
    task_id = create(engine)
    elsewhere = replace(holds.me(), host="another")
    claimed = do(engine, "claim", task_id, elsewhere, lease_ms=60_000)
    make("exit 1").run(until_idle=True)
    task = get(engine, task_id)
    assert (task.status, task.fence, task.owner) == (Status.RUNNING, claimed.fence, elsewhere)


# --- starts that fail ----------------------------------------------------------------


def test_a_lane_in_which_nothing_can_be_started_is_paused_and_others_are_not(engine, make, said):
    bad = [create(engine, assignee="ann", priority=9) for _ in range(5)]
    good = [create(engine, assignee="bob") for _ in range(2)]
    dispatcher = make(f'[ "$HOLDFAST_ASSIGNEE" = bob ] || exec no-such-command; {says("done")}', running_max=1)
    dispatcher.run(until_idle=True)
    assert [len(runs(engine, task_id)) for task_id in bad] == [1, 1, 1, 0, 0]
    assert [get(engine, task_id).status for task_id in good] == [Status.DONE] * 2
    assert any("nothing is started for ann on default for" in line for line in said)


def test_a_start_that_went_well_is_what_a_lane_is_judged_by_from_then_on(engine, make):
    nowhere = {"workspace": "directory:/no/such/folder", "failures_max": 1}
    kinds_of = [nowhere, nowhere, {}, nowhere, nowhere, {}]  # never three in a row
    tasks = [create(engine, priority=-at, **words) for at, words in enumerate(kinds_of)]
    make(says("done"), running_max=1).run(until_idle=True)
    assert [len(runs(engine, task_id)) for task_id in tasks] == [1] * len(tasks)


def test_where_the_machine_starts_nothing_a_lane_is_paused_and_no_failure_is_counted(engine, make, monkeypatch):
    def refuse(*_):
        raise OSError("no more processes")

    monkeypatch.setattr(starting.Start, "go", refuse)
    tasks = [create(engine) for _ in range(4)]
    refused = make("exit 0", running_max=1)
    for _ in range(10):
        refused.turn()
    assert [paused.why for paused in refused._lanes.paused()] == ["no more processes"]
    assert [end for task_id in tasks for end in outcomes(engine, task_id)] == ["released"] * 3
    assert {get(engine, task_id).failures for task_id in tasks} == {0}


def test_one_that_can_take_no_more_still_sees_to_what_others_lost(engine, make, pipe):
    create(engine)
    full = make(f"echo $$ >{pipe.path}; exec sleep 1000", running_max=1)
    while not pipe.is_told():
        full.turn()
    lost = create(engine)
    do(engine, "claim", lost, replace(holds.me(), host="another"), lease_ms=1)
    full._looked_ms = -1_000_000  # its next look is due
    full.turn()
    assert outcomes(engine, lost) == ["expired"]
    full.stop()
    full.run()


def test_a_workspace_that_cannot_be_made_is_the_tasks_failure(engine, make):
    task_id = create(engine, workspace="directory:/no/such/folder", failures_max=1)
    make("exit 0").run(until_idle=True)
    task, (run,) = get(engine, task_id), runs(engine, task_id)
    assert (run.outcome, task.status) == ("spawn_failed", Status.BLOCKED)
    assert "/no/such/folder" in run.failure


# --- looking -----------------------------------------------------------------------


def test_a_thousand_looks_write_no_event_and_keep_no_descriptor(engine, make):
    task_id = create(engine, status="blocked", why="a person")
    dispatcher = make("exit 0")
    for _ in range(10):
        dispatcher.turn()
    for thread in threading.enumerate():
        if thread.name == "holdfast-board-cleaning":
            thread.join()  # it comes and goes
    before, events = len(os.listdir("/proc/self/fd")), kinds(engine, task_id)
    threads = threading.active_count()
    for _ in range(1_000):
        dispatcher.wake()
        dispatcher.turn()
    # Two that read at once open a second connection, once; the next cleaning may be at it just now.
    assert len(os.listdir("/proc/self/fd")) < before + 10
    assert threading.active_count() <= threads + 1
    assert kinds(engine, task_id) == events


def test_who_leads_and_who_works_can_be_seen(engine, make, pipe):
    task_id = create(engine)
    dispatcher = make(f"echo up >{pipe.path}; exec sleep 1000", running_max=3)
    while not (seen := leaders_told(engine)) or not seen[0].told.working or not seen[0].told.working[0].pid:
        dispatcher.turn()
    (leader,) = seen
    (working,) = leader.told.working
    assert (leader.board, leader.is_alive, leader.told.running_max) == ("default", True, 3)
    assert (working.task_id, working.attempt, working.doing) == (task_id, 1, "working")
    assert is_running(working.pid)
    dispatcher.drain()
    dispatcher.stop()
    dispatcher.run()
    assert leaders_told(engine) == []


def leaders_told(engine):
    with engine.read() as tx:
        return leaders(tx)


# --- what is left ---------------------------------------------------------------------


def test_a_scratch_folder_goes_with_its_task_and_its_artefacts_stay(engine, make, folder):
    done, open_ = create(engine), create(engine)
    left = "mkdir -p artefacts; echo $HOLDFAST_TASK >artefacts/report; echo half >notes"
    dispatcher = make(f"{left}; [ $HOLDFAST_TASK = {open_} ] && exit 1; {says('done')}")
    while (folder / "scratch" / "default" / f"task-{done}").exists() or not get(engine, done).ended_ms:
        dispatcher.turn()
    assert (folder / "artefacts" / "default" / f"task-{done}" / "report").read_text() == f"{done}\n"
    while not outcomes(engine, open_) or outcomes(engine, open_)[0] == "None":
        dispatcher.turn()
    assert (folder / "scratch" / "default" / f"task-{open_}" / "notes").exists()


def test_the_door_dispatches_and_shows_who_does(open_state, home, tmp_path):
    state = open_state(home)
    made = state.board.create("through the door").task
    dispatcher = state.board.dispatcher(f'echo "$HOLDFAST_STATE" >{tmp_path}/named; exit 75', running_max=1)
    assert dispatcher.run(until_idle=True).ended == {"rate_limited": 1}
    assert os.path.samefile((tmp_path / "named").read_text().strip(), state.path)
    assert [run.outcome for run in state.board.runs(made.task_id)] == ["rate_limited"]
    assert state.board.dispatchers() == []
