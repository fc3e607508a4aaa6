"""Phase 1 and phase 2 as a whole: what is read and when, what is kept, and which files count afterwards."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from holdfast import holds, jobs
from holdfast.errors import Busy, Full, Refused
from holdfast.memory import extracting, merging
from holdfast.memory.model import NotThisThread, Settings, Unavailable
from homes import NOON_MS, thread_id
from memory_models import MERGED, Parrot

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
ONE = Settings(workers=1)


class Now:
    ms = NOON_MS + DAY_MS

    def __call__(self):
        return self.ms


@pytest.fixture
def now():
    return Now()


@pytest.fixture
def made(make_home):
    return make_home()


@pytest.fixture
def state(open_state, made, now):
    """The state of a home with three threads, a day later."""
    for number in (1, 2, 3):
        made.thread(f"task {number}", id=thread_id(number), created_ms=NOON_MS + number)
    return open_state(made, clock=now)


def notes(state):
    return sorted({memory.thread_id for memory in state.memory.list()})


# --- phase 1 ---------------------------------------------------------------------


def test_each_thread_is_read_once_for_what_it_says(state, made):
    model = Parrot()
    assert state.memory.run(model, phase="extract").extract.kept == 3
    assert state.memory.run(model, phase="extract").extract.skipped == {"up_to_date": 3}
    assert len(model.extractions) == 3

    made.change(lambda: append(made, thread_id(2)))
    state.index()
    assert state.memory.run(model, phase="extract").extract.kept == 1
    assert len(model.extractions) == 4


def append(made, id):
    (path,) = made.path.rglob(f"*{id}.jsonl")
    text = path.read_text().splitlines()[-1].replace("task 2", "more of it")
    with path.open("a") as file:
        file.write(f"{text}\n")


def test_copying_and_compressing_a_rollout_make_nothing_new_of_it(state, made):
    model = Parrot()
    state.memory.run(model, phase="extract")
    made.change(lambda: [os.utime(path, ns=(1, 1)) for path in made.path.rglob("*.jsonl")])
    state.index()
    assert state.memory.due().due == 0


def test_the_most_recent_are_read_first_and_only_the_idle_the_young_and_the_allowed(state, made, now):
    old, busy, off, sub = (thread_id(number) for number in (11, 12, 13, 14))
    made.thread("old", id=old, created_ms=NOON_MS - 31 * DAY_MS)
    made.thread("busy", id=busy, created_ms=now.ms - 5 * HOUR_MS)
    made.thread("off", id=off, created_ms=NOON_MS)
    made.thread("sub", id=sub, created_ms=NOON_MS, source={"subagent": "review"})
    state.index()
    state.threads.set_memory_mode(off, "disabled")
    state.threads.archive(thread_id(1))

    report = state.memory.run(Parrot(), Settings(rollouts_max=1), phase="extract").extract
    assert (report.seen, report.due, report.skipped) == (2, 1, {"next_run": 1})
    assert notes(state) == [thread_id(3)]
    state.memory.run(Parrot(), phase="extract")
    assert notes(state) == [thread_id(2), thread_id(3)]


def test_only_threads_of_the_directories_named_are_read(state, made):
    made.thread("elsewhere", id=thread_id(4), cwd="/else/where")
    state.index()
    assert state.memory.run(Parrot(), phase="extract", cwds=["/else/where/"]).extract.kept == 1
    assert notes(state) == [thread_id(4)]


def test_nothing_to_keep_is_an_answer_and_takes_an_older_note_away(state, made):
    state.memory.run(Parrot(), phase="extract")
    made.change(lambda: append(made, thread_id(2)))
    state.index()
    silent = Parrot(lambda prompt: {"raw_memory": "", "rollout_summary": "", "rollout_slug": None})
    report = state.memory.run(silent, phase="extract").extract
    assert (report.nothing, report.kept) == (1, 0)
    assert notes(state) == [thread_id(1), thread_id(3)]
    assert state.memory.due().due == 0


def test_a_failure_is_one_thread_s_own_and_is_tried_again_later_so_often(state, now):
    def answers(prompt):
        if "task 2" in prompt.user:
            raise ValueError("boom, the key is sk-abcdefghijklmnopqrstuvwx")
        return {"raw_memory": "a note", "rollout_summary": "in short", "rollout_slug": None}

    model = Parrot(answers)
    report = state.memory.run(model, phase="extract").extract
    assert report.kept == 2
    assert [(id, "sk-abc" in why, "ValueError: boom" in why) for id, why in report.failed] == [
        (thread_id(2), False, True)
    ]
    assert state.memory.run(model, phase="extract").extract.skipped == {"up_to_date": 2, "resting": 1}
    for _ in range(5):
        now.ms += DAY_MS
        state.memory.run(model, phase="extract")
    assert len(model.extractions) == 2 + Settings().attempts_max
    assert state.memory.due().skipped["exhausted"] == 1


@pytest.mark.parametrize("answer", ["", "no json", '{"raw_memory": "x"}', "```json\n{}\n```"])
def test_a_malformed_answer_stores_nothing(state, answer):
    report = state.memory.run(lambda prompt: answer, phase="extract").extract
    assert len(report.failed) == 3
    assert notes(state) == []


def test_a_used_up_budget_ends_the_run_and_costs_no_attempt(state):
    calls = []

    def model(prompt):
        calls.append(prompt)
        raise Full("the budget of 1 tokens is used up")

    report = state.memory.run(model, ONE, phase="extract").extract
    assert (len(calls), len(report.failed), report.stopped) == (1, 1, 2)
    assert state.memory.run(Parrot(), ONE, phase="extract").extract.kept == 3


class WrongKey(Refused, NotThisThread):
    pass


def test_what_every_thread_would_meet_ends_the_run_and_costs_no_attempt(state):
    calls = []

    def model(prompt):
        calls.append(prompt)
        raise WrongKey("status 401")

    for _ in range(Settings().attempts_max + 1):
        report = state.memory.run(model, ONE, phase="extract").extract
        assert ([why for _, why in report.failed], report.stopped) == (["status 401"], 2)
    assert len(calls) == Settings().attempts_max + 1
    assert state.memory.run(Parrot(), ONE, phase="extract").extract.kept == 3


class Down(Busy, Unavailable):
    pass


def down(retry_in_ms=0):
    error = Down("status 503")
    error.retry_in_ms = retry_in_ms
    raise error


def test_a_server_that_is_down_ends_the_run_after_a_few_and_costs_nobody_an_attempt(state, made):
    for number in (4, 5):
        made.thread(f"task {number}", id=thread_id(number), created_ms=NOON_MS - number)
    state.index()
    model = Parrot(lambda prompt: down())
    for _ in range(Settings().attempts_max + 1):
        run = state.memory.run(model, ONE)
        read = run.extract
        assert (len(read.failed), read.stopped, read.ended_by, run.merge) == (3, 2, "server", None)
        assert read.ended == (
            "The run ended early, 5 threads were left to the next one:"
            " the model's server did not answer 3 times in a row"
        )
    assert state.memory.run(Parrot(), ONE, phase="extract").extract.kept == 5
    assert state.memory.due().skipped == {"up_to_date": 5}


def test_with_fewer_threads_than_that_no_files_are_asked_for_either(state):
    model = Parrot(lambda prompt: down())
    run = state.memory.run(model, Settings(workers=1, rollouts_max=1))
    assert (run.extract.ended_by, run.merge, model.merges) == ("server", None, [])


def test_an_answer_in_between_shows_that_the_server_is_there(state):
    def now_and_then(prompt):
        if "task 2" not in prompt.user:
            down()
        return {"raw_memory": "a note", "rollout_summary": "in short", "rollout_slug": None}

    read = state.memory.run(Parrot(now_and_then), ONE, phase="extract").extract
    assert (read.kept, len(read.failed), read.stopped, read.ended) == (1, 2, 0, None)


def test_a_server_that_asks_to_be_left_alone_is_and_the_thread_rests_so_long(state, now):
    model = Parrot(lambda prompt: down(retry_in_ms=HOUR_MS))
    read = state.memory.run(model, ONE, phase="extract").extract
    assert (len(model.extractions), read.stopped, read.ended_by) == (1, 2, "server")
    assert state.memory.due().skipped == {"resting": 1}
    now.ms += HOUR_MS
    assert state.memory.due().due == 3


def test_input_that_brings_a_server_down_comes_last_and_keeps_nobody_from_being_read(state, made):
    for number in (4, 5):
        made.thread(f"task {number}", id=thread_id(number), created_ms=NOON_MS - number)
    state.index()

    def brought_down(prompt):
        if any(f"task {number}" in prompt.user for number in (1, 2, 3)):
            down()
        return {"raw_memory": "a note", "rollout_summary": "in short", "rollout_slug": None}

    assert state.memory.run(Parrot(brought_down), ONE, phase="extract").extract.kept == 0
    read = state.memory.run(Parrot(brought_down), ONE, phase="extract").extract
    assert (read.kept, len(read.failed), read.ended_by) == (2, 3, "server")


def test_the_caller_s_own_event_is_left_alone_when_a_run_ends_early(state):
    stop = threading.Event()
    state.memory.run(Parrot(lambda prompt: down()), ONE, stop=stop)
    assert not stop.is_set()


def test_a_worker_that_lost_its_claim_stores_nothing(state, made):
    claimed = threading.Event()
    stolen = threading.Event()

    def slow(prompt):
        claimed.set()
        assert stolen.wait(30)
        return {"raw_memory": "late", "rollout_summary": "late", "rollout_slug": None}

    settings = Settings(workers=1, rollouts_max=1)
    reports = []
    worker = threading.Thread(
        target=lambda: reports.append(state.memory.run(Parrot(slow), settings, phase="extract").extract)
    )
    worker.start()
    assert claimed.wait(30)
    with state.write() as tx:
        (job,) = jobs.listing(tx, kind=extracting.KIND)
        kind = extracting.kind_of(settings)
        thief = jobs.claim(tx, kind, job.key, holds.me("thief"), stale_after_ms=0)
        assert isinstance(thief, jobs.Claimed)
    stolen.set()
    worker.join()
    assert reports[0].lost == 1
    assert notes(state) == []


@pytest.mark.parametrize("change", ["disable", "delete"])
def test_what_may_not_be_remembered_any_more_is_not_stored_when_its_model_answers(state, change):
    def late(prompt):
        if change == "disable":
            state.threads.set_memory_mode(thread_id(3), "disabled")
        else:
            state.threads.delete(thread_id(3))
        return {"raw_memory": "late", "rollout_summary": "late", "rollout_slug": None}

    report = state.memory.run(Parrot(late), Settings(workers=1, rollouts_max=1), phase="extract").extract
    assert (report.kept, report.skipped.get("disabled"), report.lost) == (0, 1, 0)
    assert notes(state) == []

    if change == "disable":
        state.threads.set_memory_mode(thread_id(3), "enabled")
    else:
        state.threads.undelete(thread_id(3))
    assert state.memory.run(Parrot(), phase="extract").extract.kept == 3  # it was no attempt


def test_what_is_remembered_of_a_disabled_thread_is_given_to_nobody(state):
    state.memory.run(Parrot(), phase="extract")
    state.threads.set_memory_mode(thread_id(3), "disabled")
    assert {memory.thread_id for memory in state.memory.last(10)} == {thread_id(1), thread_id(2)}
    assert len(state.memory.get(thread_id(3))) == 2  # it is kept, and shown to who asks for it
    state.threads.set_memory_mode(thread_id(3), "enabled")
    assert len(state.memory.last(10)) == 3


def test_two_runs_at_once_read_each_thread_once(state):
    together = threading.Barrier(2)
    models = [Parrot(), Parrot()]

    def run(model):
        together.wait()
        state.memory.run(model, phase="extract")

    threads = [threading.Thread(target=run, args=(model,)) for model in models]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sum(len(model.extractions) for model in models) == 3
    assert len(notes(state)) == 3


def test_without_the_scope_of_the_person_nothing_leaves_its_directory(state):
    run = state.memory.run(Parrot(), Settings(scopes=("cwd",)))
    assert run.merge is None
    assert {memory.scope_kind for memory in state.memory.list()} == {"cwd"}
    assert len(state.memory.last(10, cwd="/home/dev/src/made/")) == 3
    assert state.memory.last(10) == []


def test_a_thread_read_again_leaves_the_scopes_it_is_no_longer_in(state, made):
    state.memory.run(Parrot(), phase="extract")
    made.change(lambda: append(made, thread_id(2)))
    state.index()
    state.memory.run(Parrot(), Settings(scopes=("cwd",)))
    assert [memory.scope_kind for memory in state.memory.get(thread_id(2))] == ["cwd"]


def test_what_a_harness_says_itself_is_kept_without_secrets(state):
    state.memory.put(thread_id(1), "password=hunter2secret", "ghp_abcdefghijklmnopqrstuvwxyz0123")
    assert {(memory.raw_memory, memory.memory_summary) for memory in state.memory.get(thread_id(1))} == {
        ("password=[redacted]", "[redacted]")
    }


# --- phase 2 ---------------------------------------------------------------------


def test_the_files_are_made_once_for_what_is_new(state, now):
    model = Parrot()
    first = state.memory.run(model).merge
    assert (first.outcome, first.selected, first.added) == ("published", 3, 4)
    files = state.memory.files()
    assert MERGED.items() <= files.items()
    assert len([path for path in files if path.startswith("rollout_summaries/")]) == 3
    assert os.readlink(os.path.join(state.memory.root, "current")) == first.folder
    assert state.memory.run(model).merge.outcome == "unchanged"
    assert len(model.merges) == 1


def test_a_handle_on_another_home_does_not_take_the_notes_of_the_first_away(state, open_state, make_home, now):
    state.memory.run(Parrot())
    other = make_home("other")
    other.thread("elsewhere", id=thread_id(9))
    merged = open_state(other, clock=now).memory.run(Parrot(), force=True).merge
    assert (merged.outcome, merged.selected, merged.removed) == ("published", 4, 0)


def test_two_homes_with_the_same_thread_have_a_summary_each_and_each_can_be_forgotten(
    state, open_state, make_home, now
):
    state.memory.put(thread_id(1), "of the first", "of the first")
    other = make_home("other")
    other.thread("elsewhere", id=thread_id(1))
    theirs = open_state(other, clock=now)
    theirs.memory.put(thread_id(1), "of the second", "of the second")
    assert theirs.memory.run(Parrot(), phase="merge").merge.added == 3
    summaries = {path: text for path, text in theirs.memory.files().items() if path.startswith("rollout_summaries/")}
    assert len(summaries) == 2
    assert sorted(text.splitlines()[-1] for text in summaries.values()) == ["of the first", "of the second"]

    assert state.memory.forget(thread_id(1)) == 2
    merged = theirs.memory.run(Parrot(), phase="merge").merge  # within the cooldown: what was forgotten does not wait
    assert (merged.outcome, merged.selected) == ("published", 1)
    assert "of the first" not in "".join(theirs.memory.files().values())


def test_files_are_not_made_of_nothing_so_the_first_notes_wait_for_no_cooldown(state):
    model = Parrot()
    assert state.memory.run(model, phase="merge").merge.outcome == "unchanged"
    assert state.memory.files() == {}
    assert state.memory.run(model).merge.outcome == "published"


def test_new_notes_wait_for_the_cooldown_unless_told_otherwise(state, now):
    state.memory.run(Parrot())
    state.memory.put(thread_id(1), "other words", "in other words")
    cooling = state.memory.run(Parrot(), phase="merge").merge
    assert (cooling.outcome, cooling.until_ms) == ("cooling", now.ms + Settings().cooldown_ms)
    assert state.memory.run(Parrot(), phase="merge", force=True).merge.changed == 2
    state.memory.put(thread_id(1), "yet other words", "again")
    now.ms += Settings().cooldown_ms
    assert state.memory.run(Parrot(), phase="merge").merge.outcome == "published"


@pytest.mark.parametrize("path", ["../../x", "/tmp/x", "skills/../../x/SKILL.md", "MEMORY.md/x"])
def test_files_elsewhere_are_never_written(state, path):
    hijacked = Parrot(files=lambda prompt: {**MERGED, path: "gotcha"})
    merged = state.memory.run(hijacked).merge
    assert merged.outcome == "failed"
    assert "not one of those it may write" in merged.problem
    assert state.memory.files() == {}
    assert os.listdir(state.memory.root) == []


def test_what_is_forgotten_or_deleted_leaves_the_files_and_is_not_shown_again(state):
    secretive = Parrot(
        lambda prompt: {"raw_memory": "the cake is at 7", "rollout_summary": "cake", "rollout_slug": None},
        files=lambda prompt: {**MERGED, "MEMORY.md": "cake" if "cake" in prompt.user else "none"},
    )
    state.memory.run(secretive, ONE)
    state.memory.put(thread_id(1), "plain", "plain")
    state.memory.put(thread_id(2), "plain", "plain")
    state.threads.delete(thread_id(3))
    merged = state.memory.run(secretive, phase="merge").merge  # within the cooldown

    assert (merged.outcome, merged.removed) == ("published", 1)
    assert "cake" not in secretive.merges[-1].user
    assert state.memory.files()["MEMORY.md"] == "none"
    kept = [path.read_text() for path in Path(state.memory.root).rglob("*.md")]
    assert kept
    assert not any("cake" in text for text in kept)

    for number in (1, 2):
        assert state.memory.forget(thread_id(number)) == 2
    asked = len(secretive.merges)
    assert state.memory.run(secretive, phase="merge").merge.outcome == "published"
    assert len(secretive.merges) == asked  # there is nothing to ask about
    assert "Nothing yet" in state.memory.files()["MEMORY.md"]


def test_what_a_person_wrote_into_the_files_is_shown_to_the_model(state):
    model = Parrot(files=lambda prompt: {**MERGED, "MEMORY.md": "mine, merged" if "mine" in prompt.user else "# M"})
    state.memory.run(model)
    with open(os.path.join(state.memory.root, "current", "MEMORY.md"), "a") as file:
        file.write("\nmine")
    assert state.memory.run(model, phase="merge", force=True).merge.outcome == "published"
    assert '"changed_by_a_person_since_you_wrote_them":["MEMORY.md"]' in model.merges[-1].user
    assert state.memory.files()["MEMORY.md"] == "mine, merged"


def test_what_a_person_writes_while_the_model_is_at_it_is_not_lost(state):
    state.memory.run(Parrot())
    state.memory.put(thread_id(1), "new", "new")
    path = os.path.join(state.memory.root, "current", "MEMORY.md")

    def meanwhile(prompt):
        with open(path, "a") as file:
            file.write("\nmine")
        return MERGED

    assert state.memory.run(Parrot(files=meanwhile), phase="merge", force=True).merge.outcome == "edited"
    assert state.memory.files()["MEMORY.md"] == "# Memory\nmine"


def test_links_are_neither_read_nor_written_through(state, tmp_path):
    state.memory.run(Parrot())
    outside = tmp_path / "outside"
    outside.write_text("not ours")
    path = os.path.join(state.memory.root, "current", "MEMORY.md")
    os.unlink(path)
    os.symlink(outside, path)
    assert "MEMORY.md" not in state.memory.files()
    model = Parrot()
    assert state.memory.run(model, phase="merge", force=True).merge.outcome == "published"
    assert "not ours" not in model.merges[0].user
    assert outside.read_text() == "not ours"

    state.memory.reset()
    os.rmdir(state.memory.root)
    os.symlink(tmp_path, state.memory.root)
    with pytest.raises(Refused, match="is a link"):
        state.memory.run(Parrot(), phase="merge")
    with pytest.raises(Refused, match="is a link"):
        state.memory.reset()


def test_only_one_puts_the_files_together(state):
    state.memory.run(Parrot(), phase="extract")
    inside = threading.Event()
    go_on = threading.Event()

    def slow(prompt):
        inside.set()
        assert go_on.wait(30)
        return MERGED

    reports = []
    first = threading.Thread(target=lambda: reports.append(state.memory.run(Parrot(files=slow), phase="merge").merge))
    first.start()
    assert inside.wait(30)
    second = state.memory.run(Parrot(), phase="merge").merge
    go_on.set()
    first.join()
    assert (second.outcome, reports[0].outcome) == ("running", "published")
    assert second.by.startswith(f"pid {os.getpid()}")


def test_who_lost_the_hold_meanwhile_publishes_nothing(state):
    state.memory.run(Parrot(), phase="extract")

    def stolen(prompt):
        with state.write() as tx:
            assert isinstance(
                holds.take(tx, merging.RESOURCE, holds.me("thief"), lease_ms=1_000, stale_after_ms=0), holds.Hold
            )
        return MERGED

    merged = state.memory.run(Parrot(files=stolen), phase="merge").merge
    assert merged.outcome == "lost"
    assert state.memory.files() == {}
    assert not os.path.lexists(os.path.join(state.memory.root, "current"))


def test_a_model_that_fails_leaves_the_files_as_they_were(state, now):
    state.memory.run(Parrot())
    state.memory.put(thread_id(1), "new", "new")

    def broken(prompt):
        raise Busy("no answer")

    merged = state.memory.run(Parrot(files=broken), phase="merge", force=True).merge
    assert (merged.outcome, merged.problem) == ("failed", "no answer")
    assert state.memory.files()["MEMORY.md"] == "# Memory"


def test_after_a_failure_the_files_are_not_asked_for_again_at_once_and_ever_later(state, now):
    model = Parrot(files=lambda prompt: {"elsewhere": "x"})
    state.memory.run(model)
    rests = []
    for _ in range(8):
        failure = state.memory.failure()
        assert "elsewhere" in failure.failure
        resting = state.memory.run(model, phase="merge").merge
        assert (resting.outcome, resting.until_ms, resting.problem) == ("resting", failure.due_ms, failure.failure)
        rests.append(resting.until_ms - now.ms)
        now.ms = resting.until_ms
        assert state.memory.run(model, phase="merge").merge.outcome == "failed"
    assert len(model.merges) == 9
    assert rests[0] < Settings().retry_ms // 8 < rests[2] < rests[-1] <= Settings().retry_ms
    said = state.jobs.why(merging.KIND, merging.key_of(merging.place_of(state.memory.root)))
    assert said.startswith("It rests after attempt 9")

    assert state.memory.run(Parrot(), phase="merge", force=True).merge.outcome == "published"
    assert state.memory.failure() is None


def test_a_server_that_is_down_costs_the_files_no_rest_but_the_one_it_asked_for(state, now):
    state.memory.run(Parrot(), phase="extract")
    for _ in range(2):
        merged = state.memory.run(Parrot(files=lambda prompt: down()), phase="merge").merge
        assert (merged.outcome, merged.ended_by) == ("failed", "server")
    state.memory.run(Parrot(files=lambda prompt: down(HOUR_MS)), phase="merge")
    assert state.memory.run(Parrot(), phase="merge").merge.until_ms == now.ms + HOUR_MS
    now.ms += HOUR_MS
    assert state.memory.run(Parrot(), phase="merge").merge.outcome == "published"


def test_a_reset_takes_everything_and_lets_it_be_made_again(state):
    state.memory.run(Parrot())
    assert state.memory.reset() == (6, 1)
    assert (state.memory.files(), notes(state)) == ({}, [])
    assert state.memory.run(Parrot()).extract.kept == 3


def test_a_stopped_run_gives_back_what_it_had(state):
    stop = threading.Event()

    def once(prompt):
        stop.set()
        return {"raw_memory": "a note", "rollout_summary": "in short", "rollout_slug": None}

    run = state.memory.run(Parrot(once), ONE, stop=stop)
    assert (run.extract.kept, run.extract.stopped, run.merge) == (1, 2, None)
    assert state.memory.due().due == 2


def test_what_is_forgotten_while_it_is_read_is_not_stored_a_moment_later(state):
    def forgetful(prompt):
        state.memory.forget(thread_id(3))
        return {"raw_memory": "late", "rollout_summary": "late", "rollout_slug": None}

    report = state.memory.run(Parrot(forgetful), Settings(workers=1, rollouts_max=1), phase="extract").extract
    assert (report.lost, notes(state)) == (1, [])
    assert state.memory.due().due == 2


def test_what_is_forgotten_while_files_are_made_of_it_is_not_published(state):
    state.memory.run(Parrot(), phase="extract")

    def forgetful(prompt):
        state.memory.forget(thread_id(3))
        return MERGED

    merged = state.memory.run(Parrot(files=forgetful), phase="merge").merge
    assert (merged.outcome, "forgotten" in merged.problem) == ("lost", True)
    assert state.memory.files() == {}
    assert state.memory.run(Parrot(), phase="merge").merge.selected == 2


def test_a_reset_ends_what_is_under_way(state):
    def resetting(prompt):
        state.memory.reset()
        return {"raw_memory": "late", "rollout_summary": "late", "rollout_slug": None}

    assert state.memory.run(Parrot(resetting), ONE, phase="extract").extract.lost == 3
    state.memory.run(Parrot(), phase="extract")

    def merging(prompt):
        state.memory.reset()
        return MERGED

    assert state.memory.run(Parrot(files=merging), phase="merge").merge.outcome == "lost"
    assert (state.memory.files(), notes(state)) == ({}, [])
