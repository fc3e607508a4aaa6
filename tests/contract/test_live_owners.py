"""Whose a thread is that is being written: ids, forks, asyncio, other threads, forked children, and nobody."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import warnings
from pathlib import Path

import pytest

import holdfast
from holdfast import Busy, Refused, Unsupported
from holdfast.rollouts import RolloutWriter, scan
from homes import thread_id
from processes import children
from written import check_numbers, lines_of, says

CWD = "/src/widget"
WRITER = """
import holdfast
own, state_dir = sys.argv[1:3]
def item(words): return {"type": "event_msg", "payload": {"type": "agent_message", "message": words}}
"""


@pytest.fixture
def own(open_state, tmp_path):
    def open_own(*homes, **options):
        options.setdefault("own", tmp_path / "own")
        return open_state(*homes, **options)

    return open_own


@pytest.fixture
def child():
    with children(WRITER) as start:
        yield start


def say(live, text):
    with live.turn(model="gpt-5") as turn:
        live.append(turn.user_message(text))


def said(path):
    return [line["payload"]["message"] for line in lines_of(path) if "message" in line["payload"]]


def asked(state, id):
    return [turn.entries[0].text for turn in state.threads.read(id).turns if turn.entries]


# Ids and places


def test_an_id_that_the_home_knows_is_refused_before_anything_is_written(own, tmp_path):
    state = own()
    with state.threads.create(cwd=CWD) as live:
        say(live, "first words")
    before = sorted(tmp_path.rglob("own/*"))
    for id in (live.id, live.id.upper()):
        with pytest.raises(Refused, match="exists already"):
            state.threads.create(cwd=CWD, id=id)
    unindexed = RolloutWriter.create(state.own_home.path, {"cwd": CWD})
    unindexed.persist()
    unindexed.close()
    with pytest.raises(Refused, match="exists already"):
        state.threads.create(cwd=CWD, id=unindexed.thread_id)
    state.threads.delete(live.id)
    os.unlink(live.path)
    state.index()
    with pytest.raises(Refused, match="exists already"):
        state.threads.create(cwd=CWD, id=live.id)
    assert sorted(tmp_path.rglob("own/*")) == before

    with state.threads.create(cwd=CWD, id=thread_id(7)) as mine:
        say(mine, "an id of my own")
    assert state.threads.get(thread_id(7)).title == "an id of my own"


def test_the_own_home_may_be_a_link(own, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    state = own(own=tmp_path / "link")
    with state.threads.create(cwd=CWD) as live:
        say(live, "first words")
        with pytest.raises(Busy, match="by this process"):
            RolloutWriter.resume(tmp_path / "link", live.path)
    with state.threads.resume(live.id) as again:
        say(again, "more words")
    with state.threads.fork(live.id) as fork:
        pass
    assert asked(state, fork.id) == ["first words", "more words"]
    assert state.index()[0].indexed == 0


def test_what_cannot_be_gone_on_with_says_why_and_how_it_can(own):
    state = own()
    threads = {}
    for what in ("archived", "moved", "deleted", "missing"):
        with state.threads.create(cwd=CWD) as threads[what]:
            say(threads[what], what)
    id = {what: live.id for what, live in threads.items()}
    state.threads.archive(id["archived"])
    state.threads.archive(id["moved"], in_home=True)
    state.threads.delete(id["deleted"])
    os.unlink(threads["missing"].path)
    state.index()
    for what, why, remedy in [
        ("archived", "is archived", "threads.unarchive"),
        ("moved", "is archived", "in_home.unarchive"),
        ("deleted", "was deleted", "undelete"),
        ("missing", "lost its file", "new thread"),
    ]:
        with pytest.raises(Refused, match=why) as refusal:
            state.threads.resume(id[what])
        assert remedy in refusal.value.remedy
    state.threads.unarchive(id["archived"])
    state.threads.undelete(id["deleted"])
    state.in_home.unarchive(id["moved"])
    for what in ("archived", "moved", "deleted"):
        state.threads.resume(id[what]).close()


def test_a_row_that_tells_of_lines_a_power_cut_took_is_set_right_by_the_next_index(own):
    state = own()
    with state.threads.create(cwd=CWD, sync="never") as live:
        say(live, "first words")
        live.flush()
        kept, before = os.path.getsize(live.path), state.threads.get(live.id)
        live.append({"type": "event_msg", "payload": {"type": "thread_name_updated", "thread_name": "lost"}})
    os.truncate(live.path, kept)
    state.index()
    assert state.threads.get(live.id) == before
    with state.threads.resume(live.id) as again:
        say(again, "more words")
    assert asked(state, live.id) == ["first words", "more words"]


# Forks of what is being written


@pytest.mark.parametrize("sync", ["append", "never"])
def test_a_live_thread_is_forked_with_all_that_was_said_so_far(own, sync):
    state = own()
    live = state.threads.create(cwd=CWD, sync=sync)
    with pytest.raises(Refused, match="no item yet"):
        state.threads.fork(live.id)
    say(live, "before")
    with state.threads.fork(live.id) as fork:
        say(live, "after")
        say(fork, "another way")
    assert asked(state, fork.id) == ["before", "another way"]
    assert asked(state, live.id) == ["before", "after"]


def test_what_waits_in_memory_is_written_before_its_thread_is_forked(own):
    state = own()
    live = state.threads.create(cwd=CWD)
    wrong = os.path.join(state.own_home.path, "sessions")
    os.close(os.open(wrong, os.O_CREAT))
    say(live, "waits")
    assert live.queued
    with pytest.raises(Unsupported, match="wait in memory"):
        state.threads.fork(live.id)
    os.unlink(wrong)
    with state.threads.fork(live.id) as fork:
        assert live.queued == 0
    assert asked(state, fork.id) == ["waits"]


def test_a_thread_that_another_process_is_writing_is_forked_at_a_whole_line(own, child, tmp_path, state_dir):
    state = own()
    writing = child(
        """
with holdfast.open(own=own, state_dir=state_dir, search=False) as state:
    live = state.threads.create(cwd="/work")
    with live.turn(model="gpt-5") as turn:
        live.append(turn.user_message("the question"))
        say(live.id)
        n = 0
        while True:
            n += 1
            live.append(item(f"{n} " + "x" * (n * 7919 % 9_000)))
""",
        tmp_path / "own",
        state_dir,
    )
    origin = writing.line()
    for _ in range(5):
        with state.threads.fork(origin) as fork:
            base = fork.next_ordinal - 1
            assert lines_of(fork.path)[0]["payload"]["history_base"]["end_ordinal_exclusive"] == base
            say(fork, "another way")
        conversation = state.threads.read(fork.id)
        assert conversation.problems == []
        assert scan(fork.path).facts.lines == scan(fork.path).facts.last_ordinal - base + 1
    with pytest.raises(Busy, match=f"pid {writing.pid}"):
        state.threads.resume(origin)


# asyncio


def test_what_coroutines_submit_is_written_in_their_order_and_the_loop_goes_on(own):
    state = own()

    async def work():
        live = state.threads.create(cwd=CWD)
        order = []

        async def talk(name):
            for number in range(40):
                order.append(f"{name} {number}")
                answer = await live.submit(says(order[-1]))
                assert answer.durable

        ticks = 0

        async def tick(done):
            nonlocal ticks
            while not done.is_set():
                ticks += 1
                await asyncio.sleep(0)

        done = asyncio.Event()
        ticking = asyncio.create_task(tick(done))
        await asyncio.gather(talk("ann"), talk("bob"))
        done.set()
        await ticking
        later = [live.submit(says(f"later {number}")) for number in range(20)]
        await asyncio.to_thread(live.close)  # waits for them
        assert [each.result().last_ordinal for each in later] == list(range(81, 101))
        with pytest.raises(Refused, match="closed"):
            live.submit(says("too late"))
        return live, [*order, *(f"later {number}" for number in range(20))], ticks

    live, order, ticks = asyncio.run(work())
    assert said(live.path) == order
    assert ticks > 80
    check_numbers(live.path)


def test_who_stops_waiting_takes_nothing_back_that_has_begun(own):
    state = own()

    async def work():
        live = state.threads.create(cwd=CWD)
        entered, go_on = threading.Event(), threading.Event()

        def items():
            entered.set()
            go_on.wait()
            yield says("begun")

        async def append(each):
            return await live.submit(each)

        begun = asyncio.create_task(append(items()))
        await asyncio.to_thread(entered.wait)
        waiting = asyncio.create_task(append(says("not begun")))
        await asyncio.sleep(0)
        for each in (begun, waiting):
            each.cancel()
        await asyncio.gather(begun, waiting, return_exceptions=True)
        go_on.set()
        await live.submit(says("after"))
        await asyncio.to_thread(live.close)
        return live

    assert said(asyncio.run(work()).path) == ["begun", "after"]


# Nobody, this process, other threads, children


def test_deleting_or_archiving_what_this_process_writes_says_that_it_is_this_process(own):
    state = own()
    live = state.threads.create(cwd=CWD)
    say(live, "mine")
    for change in (state.threads.delete, state.threads.archive):
        with pytest.raises(Busy, match="being written by this process") as busy:
            change(live.id, in_home=True)
        assert "Close" in busy.value.remedy
    live.close()
    state.threads.archive(live.id, in_home=True)
    assert not os.path.exists(live.path)


def test_closing_the_state_while_threads_write_keeps_all_that_was_answered(own, tmp_path):
    state = own()
    answered, ended = {}, []
    begun = threading.Barrier(5)

    def work():
        live = state.threads.create(cwd=CWD)
        live.append(says("0"))
        answered[live.id] = live.path, 1
        begun.wait()
        with pytest.raises(Refused, match="closed"):
            while True:
                answered[live.id] = live.path, live.append(says("more")).last_ordinal
        ended.append(live.closed)

    crowd = [threading.Thread(target=work) for _ in range(4)]
    for each in crowd:
        each.start()
    begun.wait()
    state.close()
    for each in crowd:
        each.join()
    assert ended == [True] * 4
    with pytest.raises(Refused, match="closed"):
        state.threads.create(cwd=CWD)
    state = own()
    assert state.reports[0].indexed == 0, "their rows were up to date"
    for id, (path, last) in answered.items():
        assert scan(path).facts.last_ordinal >= last
        check_numbers(path)
        state.threads.resume(id).close()


def test_a_forked_child_is_refused_and_its_parent_goes_on(child, tmp_path, state_dir):
    parent = child(
        """
import threading
state = holdfast.open(own=own, state_dir=state_dir, search=False)
live, unmade = state.threads.create(cwd="/work"), state.threads.create(cwd="/work")
live.append(item("one"))
held, forked = threading.Event(), threading.Event()
def items():
    held.set()
    forked.wait()
    yield item("two")
other = threading.Thread(target=lambda: live.append(items()))
other.start()
held.wait()  # the child inherits locks that a thread has which it has not
if (pid := os.fork()) == 0:
    for do in (lambda: live.append(item("child")), live.flush, live.persist, lambda: live.submit(item("child")),
               lambda: unmade.append(item("child")), lambda: state.threads.fork(live.id).close()):
        try: do()
        except holdfast.Refused as error: say("child", error.remedy[:6])
        else: say("child did it")
    live.close()
    state.close()
    os._exit(7)
say("child ended", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
forked.set()
other.join()
live.append(item("three"))
unmade.append(item("one"))
state.close()
say(live.path)
say(unmade.path)
""",
        tmp_path / "own",
        state_dir,
    )
    lines = parent.lines()
    *heard, ended, path, unmade = lines
    assert heard[:5] == ["child Resume"] * 5
    assert ended == "child ended 7"
    assert (said(path), said(unmade)) == (["one", "two", "three"], ["one"])
    check_numbers(path)


@pytest.mark.parametrize("sync", ["append", "never"])
def test_one_that_is_dropped_lets_its_thread_go_and_loses_nothing(own, sync):
    state = own()
    live = state.threads.create(cwd=CWD, sync=sync)
    say(live, "first words")
    live.append(says("which no row shows yet"))
    id, path, last = live.id, live.path, live.next_ordinal
    live = None
    gc.collect()
    assert not list((Path(state.own_home.path) / "thread-writer-locks").glob("*-*.lock"))
    with state.threads.resume(id) as again:
        assert again.next_ordinal == last
    assert state.threads.get(id).title == "first words"
    check_numbers(path)


def test_what_a_dropped_one_could_not_write_is_said(own):
    state = own()
    live = state.threads.create(cwd=CWD)
    wrong = os.path.join(state.own_home.path, "sessions")
    os.close(os.open(wrong, os.O_CREAT))
    assert live.append(says("one")).because
    id = live.id
    with warnings.catch_warnings(record=True) as said_so:
        warnings.simplefilter("always")
        live = None
        gc.collect()
    (warning,) = said_so
    assert warning.category is RuntimeWarning
    assert "1 items" in str(warning.message)
    assert id in str(warning.message)


def test_a_program_that_ends_without_closing_leaves_what_it_appended(child, tmp_path, state_dir):
    ended = child(
        """
state = holdfast.open(own=own, state_dir=state_dir, search=False)
live = state.threads.create(cwd="/work", sync="never")
for n in range(10): live.append(item(str(n)))
say(live.path)
""",
        tmp_path / "own",
        state_dir,
    )
    (path,) = ended.lines()
    assert ended.wait() == 0
    assert said(path) == [str(n) for n in range(10)]
    with holdfast.open(own=tmp_path / "own", state_dir=state_dir, search=False) as state:
        assert len(state.threads.list().threads) == 1
