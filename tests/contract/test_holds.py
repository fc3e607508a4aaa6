import os
import shutil
import subprocess
import threading
from dataclasses import replace

import pytest
from contract_helpers import PRELUDE

from engines import Watched, open_engine
from holdfast import holds, origin
from holdfast.errors import Damaged, Refused, Stale
from holdfast.holds import Denied, Hold
from holdfast.holds import owner as owners
from holdfast.holds.rules import COUNTER_BITS
from holdfast.sql import statement
from processes import Child

ANN, BOB = holds.me("ann"), holds.me("bob")
LEASE_MS = 1_000


def q(text):
    return statement(text, "q")


TOUCH = q("UPDATE holds SET note = note")


def take(engine, owner=ANN, resource="r", lease_ms=LEASE_MS, **how):
    with engine.write() as tx:
        return holds.take(tx, resource, owner, lease_ms=lease_ms, **how)


def seen(engine, resource="r"):
    with engine.read() as tx:
        return holds.get(tx, resource)


def put(engine, sql, **params):
    with engine.write() as tx:
        tx.run(q(sql), **params)


# --- take, extend, release, confirm, renew ---------------------------------


def test_a_free_resource_is_taken_and_everyone_sees_by_whom(engine, clock):
    hold = take(engine)
    assert hold == Hold("r", ANN, (1 << COUNTER_BITS) + 1, clock.ms, clock.ms, clock.ms + LEASE_MS)
    assert seen(engine) == hold
    assert seen(engine, "never held") is None


def test_a_held_resource_is_denied_with_who_has_it_since_when_and_for_how_long(engine, clock):
    hold = take(engine)
    clock.advance(400)
    assert take(engine, BOB) == Denied("r", ANN, hold.fence, hold.renewed_ms, 600)
    assert seen(engine) == hold


def test_taking_again_extends_and_keeps_the_fence(engine, clock):
    hold = take(engine)
    clock.advance(400)
    again = take(engine)
    assert again == replace(hold, renewed_ms=clock.ms, expires_ms=clock.ms + LEASE_MS)
    assert seen(engine) == again


def test_an_expired_hold_changes_hands_and_the_fence_grows(engine, clock):
    first = take(engine)
    clock.advance(LEASE_MS)
    second = take(engine, BOB)
    assert (second.owner, second.fence) == (BOB, first.fence + 1)


def test_a_released_hold_is_free_at_once_for_others_and_for_who_had_it(engine):
    first = take(engine)
    with engine.write() as tx:
        assert holds.release(tx, first) is True
    second = take(engine, BOB)
    with engine.write() as tx:
        assert holds.release(tx, second) is True
    third = take(engine, BOB)
    assert [hold.fence - first.fence for hold in (first, second, third)] == [0, 1, 2]


def test_releasing_twice_or_too_late_changes_nothing(engine, clock):
    first = take(engine)
    clock.advance(LEASE_MS)
    second = take(engine, BOB)
    with engine.write() as tx:
        assert holds.release(tx, first) is False
        assert holds.release(tx, second) is True
        assert holds.release(tx, second) is False
        with pytest.raises(Stale, match="ended before the work did"):
            holds.renew(tx, second, lease_ms=LEASE_MS)


def test_a_released_hold_does_not_come_back_when_the_clock_falls(engine, clock):
    hold = take(engine)
    clock.advance(500)
    with engine.write() as tx:
        holds.release(tx, hold)
    clock.advance(-100)
    with engine.write() as tx:
        with pytest.raises(Stale):
            holds.renew(tx, hold, lease_ms=LEASE_MS)
        with pytest.raises(Stale):
            holds.confirm(tx, hold)
        assert holds.release(tx, hold) is False
    assert take(engine).fence == hold.fence + 1


def test_renewing_moves_the_end_and_says_how_far_the_work_is(engine, clock):
    hold = take(engine)
    clock.advance(900)
    with engine.write() as tx:
        renewed = holds.renew(tx, hold, lease_ms=LEASE_MS, note="41 %")
    assert renewed == replace(hold, renewed_ms=clock.ms, expires_ms=clock.ms + LEASE_MS, note="41 %")
    assert seen(engine) == renewed
    denied = take(engine, BOB)
    assert (denied.note, denied.renewed_ms) == ("41 %", clock.ms)


def test_a_hold_that_changed_hands_cannot_be_renewed_or_confirmed_and_the_error_says_who_has_it(engine, clock):
    first = take(engine)
    clock.advance(LEASE_MS)
    second = take(engine, BOB)
    with engine.write() as tx:
        with pytest.raises(Stale, match=f"fence {first.fence} is over, pid {os.getpid()} .* fence {second.fence}"):
            holds.renew(tx, first, lease_ms=LEASE_MS)
        with pytest.raises(Stale, match="changed hands"):
            holds.confirm(tx, first)
        holds.confirm(tx, second)


def test_an_expired_hold_that_nobody_took_is_over_all_the_same(engine, clock):
    hold = take(engine)
    clock.advance(LEASE_MS)
    with engine.write() as tx:
        with pytest.raises(Stale, match="ended before the work did"):
            holds.renew(tx, hold, lease_ms=LEASE_MS)
        with pytest.raises(Stale):
            holds.confirm(tx, hold)


@pytest.mark.parametrize("lease_ms", [0, -5])
def test_a_lease_without_length_is_refused(engine, lease_ms):
    with pytest.raises(Refused):
        take(engine, lease_ms=lease_ms)
    hold = take(engine)
    with engine.write() as tx, pytest.raises(Refused):
        holds.renew(tx, hold, lease_ms=lease_ms)
    assert seen(engine) == hold


def test_a_taker_may_judge_by_silence_instead(engine, clock):
    first = take(engine, lease_ms=60_000)
    clock.advance(200)
    assert isinstance(take(engine, BOB, stale_after_ms=300), Denied)
    clock.advance(100)
    assert take(engine, BOB, stale_after_ms=300).fence == first.fence + 1


def test_work_and_hold_are_kept_together_or_not_at_all(engine, clock):
    first = take(engine)
    clock.advance(LEASE_MS)
    second = take(engine, BOB)
    with pytest.raises(Stale), engine.write() as tx:
        tx.run(q("UPDATE counters SET value = value + 1 WHERE name = 'revision'"))
        holds.confirm(tx, first)
    with engine.write() as tx:
        holds.confirm(tx, second)
        tx.run(q("UPDATE counters SET value = value + 10 WHERE name = 'revision'"))
    with engine.read() as tx:
        assert tx.row(q("SELECT value FROM counters WHERE name = 'revision'"))["value"] == 10
    with pytest.raises(ZeroDivisionError), engine.write() as tx:
        holds.release(tx, second)
        raise ZeroDivisionError
    assert seen(engine) == second


def test_the_listing_has_what_was_not_released_oldest_first(engine, clock):
    kept = []
    for name in ("c", "a", "b"):
        kept.append(take(engine, resource=name))
        clock.advance(10)
    kept.append(take(engine, resource="also now"))
    kept.append(take(engine, resource="and now"))
    gone = take(engine, resource="gone")
    with engine.write() as tx:
        holds.release(tx, gone)
    clock.advance(LEASE_MS)
    with engine.read() as tx:
        assert [hold.resource for hold in holds.listing(tx)] == ["c", "a", "b", "also now", "and now"]
        assert set(holds.listing(tx)) == set(kept)


def test_a_raised_epoch_makes_every_later_fence_larger(engine, clock):
    first = take(engine)
    with engine.write() as tx:
        raised = holds.raise_epoch(tx, least=5)
    assert raised == 5
    assert isinstance(take(engine, BOB), Denied)
    assert take(engine).fence == (5 << COUNTER_BITS) + 1 > first.fence
    assert take(engine, BOB, resource="new").fence == (5 << COUNTER_BITS) + 1


def test_a_decision_made_on_a_row_that_has_moved_since_changes_nothing(engine, clock):
    first = take(engine)
    clock.advance(LEASE_MS)
    second = take(engine, BOB)
    with engine.write() as tx:
        late = replace(second, owner=ANN, fence=first.fence + 1)
        assert holds.store._put(tx, late, first) is False
        assert holds.store._put(tx, late, None) is False
        assert holds.store._put(tx, late, replace(second, renewed_ms=second.renewed_ms - 1)) is False
    assert seen(engine) == second


def test_an_owner_that_cannot_be_read_is_damage_with_a_way_out(engine):
    take(engine)
    put(engine, "UPDATE holds SET owner = 'someone'")
    with engine.read() as tx, pytest.raises(Damaged, match="owner of the hold on r") as told:
        holds.get(tx, "r")
    assert "delete" in told.value.remedy
    put(engine, "DELETE FROM holds")


# --- who is dead ------------------------------------------------------------

HOLDER = """
store = open_engine(ARGS[0], clock=lambda: int(ARGS[1]))
with store.write() as tx:
    hold = holds.take(tx, "r", holds.me(), lease_ms=60_000)
say(hold.fence)
hear()
"""


@pytest.fixture
def holder(engine, database, clock, child):
    """Another process that has the hold, and has said so."""
    started = child(HOLDER, database, clock.ms)
    started.fence = int(started.line())
    return started


def test_a_living_holder_of_another_process_is_not_replaced(engine, holder):
    denied = take(engine)
    assert (denied.by.pid, denied.fence) == (holder.pid, holder.fence)
    assert holds.describe(denied.by).startswith(f"pid {holder.pid} (")


def test_a_killed_holder_is_replaced_at_once(engine, holder):
    holder.kill()
    assert holds.describe(seen(engine).owner) == f"pid {holder.pid}, which is gone"
    assert take(engine).fence == holder.fence + 1


def test_a_zombie_counts_as_dead(engine, holder):
    holder.kill_only()
    os.kill(holder.pid, 0)  # it still has its pid
    assert take(engine).fence == holder.fence + 1


def test_a_pid_that_came_again_is_another_process(engine, holder, clock):
    reused = replace(seen(engine).owner, started=seen(engine).owner.started - 1)
    put(engine, "UPDATE holds SET owner = :owner", owner=owners.dump(reused))
    assert take(engine).fence == holder.fence + 1


@pytest.mark.parametrize("elsewhere", [{"host": "other"}, {"boot_id": "other"}, {"pid_namespace": 1}])
def test_an_owner_elsewhere_can_only_expire(engine, holder, clock, elsewhere):
    far = replace(seen(engine).owner, **elsewhere)
    put(engine, "UPDATE holds SET owner = :owner", owner=owners.dump(far))
    holder.kill()
    assert isinstance(take(engine), Denied)
    assert "(" not in holds.describe(far)  # no command: that pid is somebody else's here
    clock.advance(60_000)
    assert take(engine).fence == holder.fence + 1


def test_an_owner_of_unknown_start_lives_as_long_as_its_pid_does(engine, holder):
    put(engine, "UPDATE holds SET owner = :owner", owner=owners.dump(replace(seen(engine).owner, started=0)))
    assert isinstance(take(engine), Denied)
    holder.kill()
    assert isinstance(take(engine), Hold)


def test_a_forked_child_is_another_owner():
    read, write = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            os.write(write, owners.dump(holds.me("ann")).encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    theirs = owners.load(os.read(read, 4096).decode())
    os.close(read)
    os.close(write)
    assert (theirs.pid, theirs.host, theirs.boot_id) == (pid, ANN.host, ANN.boot_id)
    assert theirs.started >= ANN.started
    assert holds.is_dead(theirs)


def _unshare() -> bool:
    tool = shutil.which("unshare")
    command = [tool, "--pid", "--fork", "true"]
    return tool is not None and subprocess.run(command, capture_output=True, check=False).returncode == 0


NAMESPACE = """
pid = os.fork()
if pid == 0:
    hear()
    os._exit(0)
def owner(pid): return holds.me.__globals__["_of"](pid, "")
theirs = owner(pid)
say(os.readlink("/proc/self") != str(os.getpid()))
say(holds.is_dead(theirs), holds.is_dead(holds.me()))
os.kill(pid, 9)
os.waitpid(pid, 0)
say(holds.is_dead(theirs))
"""


@pytest.mark.skipif(not _unshare(), reason="making a pid namespace is not allowed here")
def test_in_a_namespace_whose_proc_is_another_ones_the_living_are_not_called_dead():
    # `unshare --pid` alone: /proc numbers the outer namespace, kill(2) the inner one.
    inside = Child(PRELUDE + NAMESPACE, command=("unshare", "--pid", "--fork"))
    try:
        assert [inside.line() for _ in range(3)] == ["True", "False False", "True"]
    finally:
        inside.end()


# --- kept alive ---------------------------------------------------------------


def test_a_keeper_renews_and_writes_down_its_note(engine, clock):
    hold = take(engine)
    with holds.kept(engine, hold, lease_ms=LEASE_MS) as keeper:
        engine.clock = watched = Watched(clock)
        keeper.note = "41 %"
        clock.advance(900)
        watched.wait(2)  # the second begins when the first is kept
        engine.clock = clock
        now = seen(engine)
        assert (now.renewed_ms, now.expires_ms, now.note) == (clock.ms, clock.ms + LEASE_MS, "41 %")
        assert not keeper.lost.is_set()


def test_a_keepers_work_is_marked_as_ours(engine, clock):
    parts = []
    hold = take(engine)
    engine.clock = watched = Watched(lambda: parts.append(origin.part()) or clock())
    with holds.kept(engine, hold, lease_ms=30):
        watched.wait(1)
    engine.clock = clock
    assert parts[0] == "keeper"


def test_a_kept_hold_is_released_at_the_end_and_after_an_exception(engine):
    with holds.kept(engine, take(engine), LEASE_MS):
        assert isinstance(take(engine, BOB), Denied)
    with pytest.raises(ZeroDivisionError), holds.kept(engine, take(engine, BOB), LEASE_MS):
        raise ZeroDivisionError
    with engine.read() as tx:
        assert holds.listing(tx) == []
    assert not [thread for thread in threading.enumerate() if "keeper" in thread.name]


def test_a_keeper_tells_the_worker_when_the_hold_was_taken_away_and_leaves_the_new_one_alone(engine, clock):
    hold = take(engine)
    with holds.kept(engine, hold, lease_ms=300) as keeper:
        taken = take(engine, BOB, stale_after_ms=0)
        assert keeper.lost.wait(30)
        with pytest.raises(Stale, match=f"fence {hold.fence}.* was lost.*changed hands"):
            keeper.check()
    assert seen(engine) == taken


def test_a_keeper_that_cannot_reach_the_database_for_a_lease_says_the_hold_is_lost(engine, clock):
    hold = take(engine, lease_ms=60)
    with holds.kept(engine, hold, lease_ms=60) as keeper:
        with engine.write() as tx:
            tx.run(TOUCH)  # nobody else can write now, or not this row
            assert keeper.lost.wait(30)
        with pytest.raises(Stale, match="waited"):
            keeper.check()
    assert seen(engine) == hold  # it ends with its lease


def test_an_error_nobody_thought_of_does_not_end_a_keeper(engine, clock):
    hold = take(engine)
    calls = []

    def broken_once():
        calls.append(1)
        if len(calls) == 1:
            raise OSError("too many open files")
        return clock()

    watched = Watched(broken_once)
    with holds.kept(engine, hold, lease_ms=LEASE_MS) as keeper:
        clock.advance(500)
        engine.clock = watched
        watched.wait(3)
        engine.clock = clock
        assert seen(engine).renewed_ms == clock.ms
        assert not keeper.lost.is_set()


def test_a_keeper_that_renewed_for_longer_than_one_lease_has_not_lost_its_hold(engine, clock):
    hold = take(engine)
    lease_ms = 900
    with holds.kept(engine, hold, lease_ms) as keeper:
        engine.clock = watched = Watched(clock)
        watched.wait(4)  # at a third of a lease each
        engine.clock = clock
        keeper.check()


def test_a_hold_that_cannot_be_released_hides_nothing_and_ends_with_its_lease(engine, database, clock):
    hold = take(engine)
    inside, leave = threading.Event(), threading.Event()

    def keep_writing():
        with engine.write() as tx:
            tx.run(TOUCH)
            inside.set()
            leave.wait(30)

    writer = threading.Thread(target=keep_writing)
    with open_engine(database, clock) as hurried:
        write = hurried.write
        hurried.write = lambda **how: write(**{**how, "wait_ms": 0})  # it waits for nobody
        with pytest.raises(ZeroDivisionError), holds.kept(hurried, hold, LEASE_MS):
            writer.start()
            assert inside.wait(30)
            raise ZeroDivisionError
        leave.set()
        writer.join()
    assert seen(engine) == hold


# --- many at once -------------------------------------------------------------


def test_of_many_threads_exactly_one_wins_each_round_and_the_fences_grow(engine, clock):
    rounds, workers = 15, 12
    start = threading.Barrier(workers)
    answers = [[] for _ in range(rounds)]

    def work(number):
        for answer in answers:
            start.wait(30)
            answer.append(take(engine, holds.me(f"worker-{number}")))
            if start.wait(30) == 0:
                clock.advance(LEASE_MS)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [[got for got in answer if isinstance(got, Hold)] for answer in answers]
    assert [len(won) for won in winners] == [1] * rounds
    assert [len(answer) for answer in answers] == [workers] * rounds
    first = (1 << COUNTER_BITS) + 1
    assert [won[0].fence for won in winners] == list(range(first, first + rounds))
    assert {got.by for got in answers[-1] if isinstance(got, Denied)} == {winners[-1][0].owner}


RACER = """
store = open_engine(ARGS[0], clock=clock.wall_ms)
me = holds.me()
say("ready")
while hear() == "go":
    with store.write(wait_ms=30_000) as tx:
        got = holds.take(tx, "r", me, lease_ms=600_000)
    say("won" if isinstance(got, Hold) else "lost", got.fence)
    if hear() == "release":
        with store.write(wait_ms=30_000) as tx:
            released = holds.release(tx, got)
        say(released)
"""


def test_of_many_processes_exactly_one_wins_each_round_and_the_fences_grow(engine, database, child):
    racers = [child(RACER, database) for _ in range(5)]
    assert [racer.line() for racer in racers] == ["ready"] * 5
    fences = []
    for number in range(8):
        for racer in racers:
            racer.tell("go")
        said = [racer.line().split() for racer in racers]
        winners = [racer for racer, (word, _) in zip(racers, said, strict=True) if word == "won"]
        assert len(winners) == 1
        fences.append({fence for _, fence in said})
        for racer in racers:
            if racer not in winners:
                racer.tell("lost")
        if number % 2:
            winners[0].tell("release")
            assert winners[0].line() == "True"
        else:
            winners[0].kill()
            racers.remove(winners[0])
            racers.append(child(RACER, database))
            assert racers[-1].line() == "ready"
    first = (1 << COUNTER_BITS) + 1
    assert fences == [{str(fence)} for fence in range(first, first + 8)]
    put(engine, "DELETE FROM holds")  # their clock was the real one, ours is not


def test_what_is_submitted_from_marked_work_is_marked(engine):
    with origin.internal("indexer"):
        assert engine.submit(lambda _tx: origin.part()).result(30) == "indexer"
        assert engine.submit_read(lambda _tx: origin.part()).result(30) == "indexer"
    assert engine.submit(lambda _tx: origin.part()).result(30) is None
