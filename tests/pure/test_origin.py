import asyncio
import contextvars
import threading

import pytest

from holdfast import origin


def test_the_host_programs_own_work_has_no_part():
    assert origin.part() is None


def test_work_inside_is_marked_and_the_mark_ends_with_it():
    with origin.internal("writer"):
        assert origin.part() == "writer"
        with origin.internal("checkpoint"):
            assert origin.part() == "checkpoint"
        assert origin.part() == "writer"
    assert origin.part() is None


def test_the_mark_ends_when_the_work_fails():
    with pytest.raises(ZeroDivisionError), origin.internal("writer"):
        raise ZeroDivisionError
    assert origin.part() is None


def in_thread(work):
    heard = []
    thread = threading.Thread(target=lambda: heard.append(work()))
    thread.start()
    thread.join()
    return heard[0]


def test_a_thread_of_the_host_is_not_marked_by_what_we_do_beside_it():
    with origin.internal("writer"):
        assert in_thread(origin.part) is None


def test_work_handed_to_a_thread_with_its_context_keeps_its_mark():
    with origin.internal("writer"):
        context = contextvars.copy_context()
    assert in_thread(lambda: context.run(origin.part)) == "writer"


def test_a_mark_in_one_thread_is_not_seen_in_another():
    inside, leave = threading.Event(), threading.Event()

    def work():
        with origin.internal("watcher"):
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=work)
    thread.start()
    assert inside.wait(10)
    seen = origin.part()
    leave.set()
    thread.join()
    assert seen is None


def test_tasks_are_marked_each_for_itself_and_children_with_their_parent():
    async def part():
        await asyncio.sleep(0)
        return origin.part()

    async def marked():
        with origin.internal("indexer"):
            return await asyncio.gather(part(), asyncio.to_thread(origin.part))

    async def main():
        return await asyncio.gather(marked(), part())

    assert asyncio.run(main()) == [["indexer", "indexer"], None]
