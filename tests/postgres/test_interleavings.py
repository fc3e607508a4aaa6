"""Two transactions, step by step: what one sees of the other, who waits for whom, and who is told that he is late.

Each session has a clock of its own, so that one may have begun before the other and act after it.
"""

import threading

import pytest

from engines import Clock, open_engine
from holdfast import holds, jobs, schema
from holdfast.errors import Busy, Refused, Stale
from holdfast.holds import Denied, Hold
from holdfast.jobs import Capped, Claimed, Enqueued, Idle, Kind, Known, Running, Status, Watermark
from holdfast.sql import statement

ANN, BOB = holds.me("ann"), holds.me("bob")
LEASE_MS = 1_000
EARLIER, NEWER = Watermark(1), Watermark(2)
WAITING = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


@pytest.fixture
def ann(schema_url):
    with open_engine(schema_url, Clock()) as store:
        schema.migrate(store)
        yield store


@pytest.fixture
def bob(ann, schema_url):
    with open_engine(schema_url, Clock()) as store:
        yield store


@pytest.fixture
def begin(server):
    """Begin ``fn`` in another thread, and return once it waits for a row; calling what is returned ends it."""
    begun = []

    def start(fn):
        said = []

        def run():
            try:
                said.append(fn())
            except Exception as error:
                said.append(error)

        thread = threading.Thread(target=run)
        begun.append(thread)
        thread.start()
        while thread.is_alive() and not server.run(WAITING):
            pass
        assert not said, f"it did not wait: {said[0]!r}"

        def end():
            thread.join(30)
            return said[0]

        return end

    yield start
    for thread in begun:
        thread.join(30)


def do(store, verb, *args, **words):
    with store.write() as tx:
        return verb(tx, *args, **words)


def claim(store, key="1", owner=ANN, **words):
    return do(store, jobs.claim, "k", key, owner, lease_ms=LEASE_MS, **words)


def get(store, key="1"):
    with store.read() as tx:
        return jobs.get(tx, "k", key)


def between(action):
    """What is called for ``is_dead`` lies between the look at a row and the change of it: there ``action`` is done."""
    todo = [action]

    def is_dead(_owner):
        if todo:
            todo.pop()()
        return False

    return is_dead


# --- a renewal that was kept, and a look that is older ------------------------


def test_a_claim_that_was_renewed_since_it_was_judged_is_not_lost(ann, bob):
    claimed = claim(ann)
    bob.clock.advance(LEASE_MS)
    ann.clock.advance(LEASE_MS - 1)
    answer = claim(bob, owner=BOB, is_dead=between(lambda: do(ann, jobs.renew, claimed)))
    assert isinstance(answer, Running)
    do(ann, jobs.finish, claimed)


@pytest.mark.parametrize("stale_after_ms", [None, LEASE_MS])
def test_a_hold_that_was_renewed_since_it_was_judged_is_not_taken(ann, bob, stale_after_ms):
    hold = do(ann, holds.take, "r", ANN, lease_ms=LEASE_MS)
    bob.clock.advance(LEASE_MS)
    ann.clock.advance(LEASE_MS - 1)
    renewing = between(lambda: do(ann, holds.renew, hold, lease_ms=LEASE_MS))
    answer = do(bob, holds.take, "r", BOB, lease_ms=LEASE_MS, stale_after_ms=stale_after_ms, is_dead=renewing)
    assert isinstance(answer, Denied)
    do(ann, holds.confirm, hold)


def test_a_hold_extended_by_two_of_its_owner_at_once_lasts_as_long_as_the_longer_says(ann, bob):
    do(ann, holds.take, "r", ANN, lease_ms=LEASE_MS)
    longer = between(lambda: do(bob, holds.take, "r", ANN, lease_ms=9 * LEASE_MS))
    assert (
        do(ann, holds.take, "r", ANN, lease_ms=2 * LEASE_MS, is_dead=longer).expires_ms == ann.clock.ms + 9 * LEASE_MS
    )


def test_a_hold_released_since_it_was_looked_at_is_taken_with_a_new_fence(ann, bob):
    hold = do(ann, holds.take, "r", ANN, lease_ms=LEASE_MS)
    again = do(ann, holds.take, "r", ANN, lease_ms=LEASE_MS, is_dead=between(lambda: do(bob, holds.release, hold)))
    assert again.fence > hold.fence


def test_a_retry_that_waited_for_a_renewal_is_refused(ann, bob, begin):
    claimed = claim(ann)
    ann.clock.advance(LEASE_MS - 1)
    bob.clock.advance(LEASE_MS)
    with ann.write() as tx:
        jobs.renew(tx, claimed)
        retried = begin(lambda: do(bob, jobs.retry, "k", "1"))
    assert isinstance(retried(), Refused)
    do(ann, jobs.finish, claimed)


# --- a transaction that began before a lease ended, and acts after it -------------


def test_an_end_that_began_in_time_is_stale_once_another_has_claimed(ann, bob):
    claimed = claim(ann)
    bob.clock.advance(LEASE_MS)
    with pytest.raises(Stale, match="changed hands"), ann.write() as tx:
        taken = claim(bob, owner=BOB)
        jobs.finish(tx, claimed)
    do(bob, jobs.finish, taken)


def test_an_end_that_began_in_time_counts_as_long_as_nobody_else_has_claimed(ann, bob, begin):
    """A lease is judged by the moment a transaction began. What is never judged away is the fence."""
    claimed = claim(ann)
    bob.clock.advance(LEASE_MS)
    with ann.write() as tx:
        jobs.finish(tx, claimed, "ann's")
        late = begin(lambda: claim(bob, owner=BOB))
    assert isinstance(late(), jobs.UpToDate)
    assert get(ann).result == "ann's"


@pytest.mark.parametrize("what", ["hold", "claim"])
def test_what_was_confirmed_stays_so_until_the_transaction_ends(ann, bob, begin, what):
    if what == "hold":
        mine = do(ann, holds.take, "r", ANN, lease_ms=LEASE_MS)
        confirm, take = holds.confirm, lambda: do(bob, holds.take, "r", BOB, lease_ms=LEASE_MS)
    else:
        mine = claim(ann)
        confirm, take = jobs.confirm, lambda: claim(bob, owner=BOB)
    bob.clock.advance(LEASE_MS)
    with ann.write() as tx:
        confirm(tx, mine)
        taken = begin(take)
    assert isinstance(taken(), Hold | Claimed)


def test_a_job_asked_for_after_a_claim_began_can_be_claimed_by_it(ann, bob):
    with ann.write() as tx:
        bob.clock.advance(5)
        do(bob, jobs.enqueue, "k", "1")
        claimed = jobs.claim_next(tx, ["k"], ANN)
    do(ann, jobs.finish, claimed)


# --- claims ----------------------------------------------------------------------


def test_each_claim_takes_a_job_no_other_has_in_hand_and_an_undone_claim_gives_it_back(ann, bob):
    for key in "12":
        do(ann, jobs.enqueue, "k", key)
    with pytest.raises(ZeroDivisionError), ann.write() as tx:
        assert jobs.claim_next(tx, ["k"], ANN).job.key == "1"
        assert do(bob, jobs.claim_next, ["k"], BOB).job.key == "2"
        assert isinstance(do(bob, jobs.claim_next, ["k"], BOB), Idle)
        raise ZeroDivisionError
    assert do(bob, jobs.claim_next, ["k"], BOB).job.key == "1"


def test_of_two_who_claim_one_job_by_name_the_second_waits_and_is_told_of_the_first(ann, bob, begin):
    do(ann, jobs.enqueue, "k", "1")
    with ann.write() as tx:
        first = jobs.claim(tx, "k", "1", ANN, lease_ms=LEASE_MS)
        second = begin(lambda: claim(bob, owner=BOB))
    assert second().by == ANN
    do(ann, jobs.finish, first)


@pytest.mark.parametrize("first", ["finish", "newer input"])
def test_newer_input_and_an_end_at_once_lose_nothing_whoever_is_first(ann, bob, begin, first):
    claimed = claim(ann, watermark=EARLIER)
    steps = [
        lambda tx: jobs.finish(tx, claimed),
        lambda tx: jobs.enqueue(tx, "k", "1", watermark=NEWER),
    ]
    if first != "finish":
        steps.reverse()
    with ann.write() as tx:
        steps[0](tx)
        second = begin(lambda: do(bob, steps[1]))
    assert not isinstance(second(), Exception)
    assert (get(ann).status, get(ann).done, get(ann).wanted) == (Status.READY, EARLIER, NEWER)


# --- asking ------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("how", ["one job", "one request"])
def test_what_is_asked_for_twice_at_once_is_asked_for_once(ann, bob, begin, how, kept):
    words = [("1", {}), ("1", {})]
    if how == "one request":
        words = [("1", {"idempotency_key": "r"}), ("2", {"idempotency_key": "r"})]

    def ask(tx, key, more):
        return jobs.enqueue(tx, "k", key, **more)

    try:
        with ann.write() as tx:
            ask(tx, *words[0])
            second = begin(lambda: do(bob, ask, *words[1]))
            if not kept:
                raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    answer = second()
    if kept:
        assert answer == Known(get(ann, "1"))
    else:
        assert answer == Enqueued(get(ann, words[1][0]))


# --- caps ---------------------------------------------------------------------------


def test_a_cap_that_was_lowered_while_a_claim_waited_for_it_holds(ann, bob, begin):
    for key in "12":
        do(ann, jobs.enqueue, "k", key)
    do(ann, jobs.cap, "k", 2)
    do(ann, jobs.claim_next, ["k"], ANN)
    with ann.write() as tx:
        jobs.cap(tx, "k", 1)
        second = begin(lambda: do(bob, jobs.claim_next, ["k"], BOB))
    assert second() == Idle(ann.clock.ms + Kind("k").lease_ms, (Capped("k", 1, 1),))


@pytest.mark.parametrize("capped", ["k", None])
def test_two_claims_under_one_cap_do_not_count_without_each_other(ann, bob, begin, capped):
    for key in "12":
        do(ann, jobs.enqueue, "k", key)
    do(ann, jobs.cap, capped, 1)
    with ann.write() as tx:
        assert isinstance(jobs.claim_next(tx, ["k"], ANN), Claimed)
        second = begin(lambda: do(bob, jobs.claim_next, ["k"], BOB))
    assert isinstance(second(), Idle)


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("by_name", [True, False])
def test_the_first_two_claims_of_a_kind_that_brings_a_cap_keep_it(ann, bob, begin, by_name, kept):
    kind = Kind("k", running_max=1)
    for key in "12":
        do(ann, jobs.enqueue, kind, key)

    def ask(tx, key, owner):
        if by_name:
            return jobs.claim(tx, kind, key, owner, running_max=1)
        return jobs.claim_next(tx, [kind], owner)

    try:
        with ann.write() as tx:
            assert isinstance(ask(tx, "1", ANN), Claimed)
            second = begin(lambda: do(bob, ask, "2", BOB))
            if not kept:
                raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    assert isinstance(second(), (Capped if by_name else Idle) if kept else Claimed)


def test_claims_of_several_kinds_at_once_keep_the_cap_of_each(ann, bob):
    kinds = ["a", "b"]
    for kind in kinds:
        do(ann, jobs.cap, kind, 1)
        for key in "12":
            do(ann, jobs.enqueue, kind, key)
    with ann.write() as tx:
        assert jobs.claim_next(tx, kinds, ANN).job.kind == "a"
        with pytest.raises(Busy, match="holds the cap"):
            do(bob, jobs.claim_next, kinds, BOB)
    assert do(bob, jobs.claim_next, kinds, BOB).job.kind == "b"
    assert isinstance(do(bob, jobs.claim_next, kinds, BOB), Idle)


@pytest.mark.parametrize("by_name", [True, False])
def test_a_renewal_that_is_about_to_be_kept_counts_under_a_cap(ann, bob, begin, by_name):
    claimed = claim(ann)
    do(ann, jobs.enqueue, "k", "2")
    do(ann, jobs.cap, "k", 1)
    ann.clock.advance(LEASE_MS - 1)
    bob.clock.advance(LEASE_MS)
    with ann.write() as tx:
        jobs.renew(tx, claimed)
        second = begin(lambda: claim(bob, "2", BOB) if by_name else do(bob, jobs.claim_next, ["k"], BOB))
    assert isinstance(second(), Capped if by_name else Idle)


def test_a_silent_job_gives_its_place_under_a_cap_of_all_kinds_to_another_kind(ann, bob):
    claim(ann)
    do(ann, jobs.cap, None, 1)
    do(bob, jobs.enqueue, "other", "1")
    assert isinstance(do(bob, jobs.claim_next, ["other"], BOB), Idle)
    bob.clock.advance(LEASE_MS)
    assert isinstance(do(bob, jobs.claim_next, ["other"], BOB), Claimed)
    assert get(bob).status == Status.READY


def test_who_waits_for_a_cap_holds_no_job_that_another_may_want(ann, bob, begin):
    do(ann, jobs.cap, "k", 1)
    claim(ann)
    do(ann, jobs.enqueue, "k", "2")
    bob.clock.advance(LEASE_MS)
    with ann.write() as tx:
        jobs.cap(tx, "k", 1)
        waiting = begin(lambda: do(bob, jobs.claim_next, ["k"], BOB))
        jobs.cancel(tx, "k", "1")
    assert waiting().job.key == "2"


# --- two jobs in one transaction -------------------------------------------------------


def test_two_that_end_two_jobs_in_opposite_order_both_come_through(ann, bob):
    mine = {key: claim(ann, key) for key in "12"}
    count = statement("UPDATE counters SET value = value + 1 WHERE name = 'revision'")
    met = threading.Barrier(2)

    def both(keys):
        met_once = []

        def fn(tx):
            for key in keys:
                jobs.renew(tx, mine[key])
                if not met_once:
                    met_once.append(met.wait(30))
            tx.run(count)

        return fn

    answers = [ann.submit(both("12"), wait_ms=30_000), bob.submit(both("21"), wait_ms=30_000)]
    assert [answer.result(60) for answer in answers] == [None, None]
    with ann.read() as tx:
        assert tx.row(statement("SELECT value FROM counters WHERE name = 'revision'"))["value"] == 2
