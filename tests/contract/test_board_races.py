"""Several at one board at the same moment: nothing is counted twice or lost, and nobody waits for ever."""

from __future__ import annotations

import threading

import pytest

from holdfast import board, holds
from holdfast.board import Claimed, Created, Known, Status
from holdfast.errors import Refused

ROUNDS = 6


def at_once(engine, *doings):
    """Do all of these at the same moment, each in a transaction and a thread of its own; return what came of each."""
    begin, answers = threading.Barrier(len(doings)), [None] * len(doings)

    def run(place, doing):
        begin.wait(30)
        try:
            with engine.write(wait_ms=30_000) as tx:
                answers[place] = doing(tx)
        except Refused as refused:
            answers[place] = refused

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(doings)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert None not in answers
    return answers


def do(verb, *args, **words):
    return lambda tx: getattr(board, verb)(tx, *args, **words)


def make(engine, **words):
    with engine.write() as tx:
        return board.create(tx, "t", **words).task.task_id


def get(engine, task):
    with engine.read() as tx:
        return board.get(tx, task)


def test_two_links_that_together_close_a_circle_are_not_both_made(real):
    for _ in range(ROUNDS):
        a, b, c, d = (make(real) for _ in range(4))
        with real.write() as tx:
            board.link(tx, a, b)
            board.link(tx, c, d)
        answers = at_once(real, do("link", b, c), do("link", d, a))  # of no row that both lock
        assert sum(isinstance(each, Refused) for each in answers) == 1


def test_a_parent_that_ends_while_it_is_linked_is_counted_once(real):
    for _ in range(ROUNDS):
        parent, child = make(real), make(real)
        at_once(real, do("done", parent), do("link", parent, child))
        assert get(real, child).status == Status.READY
        assert get(real, parent).links == 1


def test_parents_that_end_together_free_their_child(real):
    for _ in range(ROUNDS):
        parents = [make(real) for _ in range(4)]
        child = make(real, parents=parents)
        at_once(real, *[do("done", each) for each in parents])
        assert get(real, child).status == Status.READY


def test_a_chain_that_ends_from_both_sides_at_once_locks_nobody_out(real):
    for _ in range(ROUNDS):
        first = make(real)
        second = make(real, parents=[(first, "none")])
        third = make(real, parents=[(second, "none")])
        at_once(real, *[do("done", each) for each in (third, first, second)])
        assert {get(real, each).status for each in (first, second, third)} == {Status.DONE}
        assert get(real, first).children_open == get(real, second).children_open == 0


def test_four_who_ask_under_one_key_get_one_task(real):
    for key in range(ROUNDS):
        answers = at_once(real, *[do("create", "t", request=f"r{key}")] * 4)
        assert sum(isinstance(each, Created) for each in answers) == 1
        assert sum(isinstance(each, Known) for each in answers) == 3
        assert len({each.task.task_id for each in answers}) == 1


def test_eight_who_claim_at_once_get_eight_tasks(real):
    for _ in range(8):
        make(real)
    answers = at_once(real, *[do("claim_next", "default", holds.me())] * 8)
    assert len({each.task.task_id for each in answers}) == 8


@pytest.mark.parametrize("capped", [None, "ann"])
@pytest.mark.parametrize("entry", ["claim", "claim_next"])
def test_a_cap_is_kept_by_every_entry_when_eight_claim_at_once(real, capped, entry):
    tasks = [make(real, assignee="ann") for _ in range(8)]
    with real.write() as tx:
        board.cap(tx, "default", capped, 2)
    if entry == "claim":
        doings = [do("claim", each, holds.me()) for each in tasks]
    else:
        doings = [do("claim_next", "default", holds.me())] * 8
    answers = at_once(real, *doings)
    assert sum(isinstance(each, Claimed) for each in answers) == 2
    with real.read() as tx:
        assert board.stats(tx, "default").running == {"ann": 2}


def test_a_follower_is_told_of_each_event_once_whoever_commits_first(real):
    followed = []

    def follow():
        with real.read() as tx:
            after = followed[-1].event_id if followed else 0
            followed.extend(board.events(tx, board="default", after=after))

    second = threading.Thread(target=make, args=(real,))
    with real.write() as tx:
        board.create(tx, "begun first")
        second.start()
        if real.kind == "postgres":  # there it is kept before this one
            second.join(30)
        follow()
        board.create(tx, "begun first, too")
    second.join(30)
    follow()
    follow()
    assert len(followed) == 3
    assert len({event.task_id for event in followed}) == 3
