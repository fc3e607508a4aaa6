"""What is dropped is counted to the last record, the lowest level goes first, and a line tells."""

from __future__ import annotations

import logging
import random
import threading

import pytest
from log_writers import Lines

from holdfast.logs import counts, pump
from holdfast.logs.model import Record
from holdfast.logs.queue import SLOTS_MAX, Queue


def record(n, level="INFO", message=""):
    return Record(id=0, ts=n, level=level, target="t", message=message, pid=1)


def dropped(drops):
    return drops.so_far()["t"][counts.QUEUE_FULL]


def test_records_come_out_in_the_order_of_their_time_whatever_their_level():
    queue = Queue(counts.Drops())
    order = random.Random(7)
    ranks = [order.randrange(5) for _ in range(1_000)]
    for n, rank in enumerate(ranks):
        queue.put(rank, record(n), order.choice([10, 5_000]))

    taken = []
    while some := queue.take(7):
        taken += some
    assert [one.ts for one in taken] == list(range(1_000))
    assert not queue.waiting() and len(queue) == 0


@pytest.mark.parametrize("size", [1, 1_023, 1_024, 16_384])
def test_the_queue_has_a_bound_in_entries_and_in_bytes(size):
    queue = Queue(counts.Drops())
    for n in range(SLOTS_MAX * 2):
        queue.put(2, record(n), size)

    taken = queue.take(SLOTS_MAX * 2)
    assert len(taken) <= SLOTS_MAX and len(taken) * size <= SLOTS_MAX * 1_024
    assert len(taken) >= SLOTS_MAX * 1_024 // (size + 1_024) - 1


def test_the_lowest_level_goes_first_and_of_a_level_the_oldest():
    drops = counts.Drops()
    queue = Queue(drops, slots_max=10)
    for n in range(30):
        queue.put((4, 0, 2)[n % 3], record(n), 1)

    assert dropped(drops) == {"TRACE": 10, "INFO": 10}
    for n in range(30, 35):
        queue.put(2, record(n), 1)
    assert dropped(drops) == {"TRACE": 10, "INFO": 15}  # full of ERROR: an INFO gives way at once
    assert [one.ts for one in queue.take(99)] == list(range(0, 30, 3))


def test_a_stuck_disk_drops_the_lowest_and_a_line_tells_exactly_how_many(make_logger, lines):
    logger, handler = make_logger()
    lines.stuck = True
    logger.info("first")
    lines.reached.wait()
    for n in range(5_000):
        logger.debug("d%d", n)
        logger.info("i%d", n)
        if n % 10 == 0:
            logger.error("e%d", n)

    assert handler.stats().waiting_slots <= SLOTS_MAX
    lines.released.set()
    assert handler._pump.flush(60.0)
    handler.close()

    assert lines.accounted() == handler.stats().given == 1 + 5_000 * 2 + 500
    assert [line.message for line in lines.host if line.level == "ERROR"] == [f"e{n}" for n in range(0, 5_000, 10)]
    told = lines.told()
    assert set(told) == {"DEBUG", "INFO"} and told["DEBUG"] == 5_000
    assert handler.stats().dropped == {counts.QUEUE_FULL: told}


def test_sixty_four_threads_lose_no_count(make_logger, lines):
    logger, handler = make_logger()
    lines.stuck = True
    each = 300
    gate = threading.Barrier(64)

    def storm(number):
        gate.wait()
        for n in range(each):
            logger.log((5, 20, 40)[n % 3], "%d of %d %s", n, number, "x" * (n * 13 % 3_000))
            if number == 0 and n == each // 2:
                lines.released.set()

    threads = [threading.Thread(target=storm, args=(number,)) for number in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert handler._pump.flush(60.0)
    handler.close()

    assert handler.stats().given == 64 * each == lines.accounted()
    assert max(lines.appends) <= 256


@pytest.mark.parametrize("trouble", ["no room", "raises"])
def test_what_the_disk_does_not_take_is_told_once_it_takes_again(make_logger, lines, trouble):
    logger, handler = make_logger()
    if trouble == "raises":
        lines.raises = OSError(28, "No space left on device")
    else:
        lines.room = 3
    for n in range(10):
        logger.info("i%d", n)
        logger.error("e%d", n)
    handler.flush()
    stats = handler.stats()
    refused = 20 - stats.written
    assert refused == sum(stats.dropped[counts.DISK].values()) in (17, 20)
    assert len(stats.errors) == 1

    lines.raises = lines.room = None
    logger.info("there is room again")
    handler.flush()

    assert lines.accounted() == 21 and sum(lines.told().values()) == refused
    assert lines.all[-1].fields[counts.DISK] == refused


def test_identical_lines_are_one_line_and_a_count(make_logger, lines):
    logger, handler = make_logger()
    for _ in range(1_000):
        logger.info("again")
    logger.info("other")
    logger.info("again", extra={"n": 1})
    logger.info("again", extra={"n": 2})
    handler.flush()

    assert lines.accounted() == 1_003 and len(lines.all) <= 6
    assert lines.messages[-3:] == ["other", "again", "again"]
    assert handler.stats().repeats == 1_003 - len(lines.all)


def test_a_line_that_goes_on_is_told_ever_less_often(make_logger, lines):
    logger, handler = make_logger()
    for n in range(1_000):
        one = logger.makeRecord("t", logging.INFO, "f", 1, "again", (), None)
        one.created = 1_000.0 + n / 2  # twice a second, for 500 seconds
        handler.handle(one)
    handler.flush()

    assert lines.accounted() == 1_000
    assert len(lines.all) <= 20


def test_a_rate_limit_drops_and_counts_but_never_an_error(make_logger, lines):
    logger, handler = make_logger(per_template=20, per_target=50)
    for n in range(100):
        for level in (logging.INFO, logging.ERROR):
            one = logger.makeRecord("t", level, "f", 1, "n %d", (n,), None)
            one.created = 1_000.5
            handler.handle(one)
        one = logger.makeRecord("t", logging.INFO, "f", 2, "m %d", (n,), None)
        one.created = 1_000.5
        handler.handle(one)
    handler.flush()

    assert handler.stats().dropped == {counts.RATE: {"INFO": 200 - 40}}
    assert lines.accounted() == 300


def test_a_raised_level_ends_by_itself(make_logger, lines, monkeypatch):
    now = [0]
    monkeypatch.setattr("holdfast.logs.handling.time.monotonic_ns", lambda: now[0])
    logger, handler = make_logger(level="INFO")
    logger.debug("no")
    handler.raise_level("TRACE", for_s=60)
    logger.log(5, "yes")
    now[0] = 60 * 10**9
    logger.debug("no more")
    logger.info("as before")
    handler.raise_level("DEBUG", for_s=10**9)
    now[0] += 3_600 * 10**9
    logger.debug("an hour is the most")
    handler.flush()

    assert lines.messages == ["yes", "as before"]
    assert handler.level == logging.INFO


class Bell:
    """A bell that tells when the thread waits at it for an hour, or without an end."""

    def __init__(self, bell, awaited):
        self.bell = bell
        self.awaited = awaited
        self.put, self.empty = bell.put, bell.empty
        self.slept = threading.Event()
        self.sleeps = threading.Semaphore(0)

    def get(self, timeout=None):
        if timeout == self.awaited:
            self.slept.set()
            self.sleeps.release()
        return self.bell.get(timeout=timeout)


def test_idle_the_thread_sleeps_for_an_hour_and_writes_nothing(make_logger, lines):
    logger, handler = make_logger()
    bell = handler._pump._bell = Bell(handler._pump._bell, pump.IDLE_S)
    logger.info("one")
    bell.slept.wait()
    bell.slept.clear()
    logger.info("one")  # counted, and told by the thread itself after a second of silence
    bell.slept.wait()

    assert lines.appends == [1, 1] and lines.accounted() == 2


def test_after_an_idle_hour_the_segment_is_sealed_and_then_it_sleeps_without_an_end(make_logger, lines, monkeypatch):
    monkeypatch.setattr(pump, "IDLE_S", 0.05)
    logger, handler = make_logger()
    bell = handler._pump._bell = Bell(handler._pump._bell, None)
    for turn in (1, 2):
        logger.info("%d", turn)
        for _ in range(3 - turn):  # the first time also before it knows of the record
            assert bell.sleeps.acquire(timeout=20)
        assert (lines.messages, lines.closed) == (["1", "2"][:turn], turn)


def test_a_handler_nobody_used_began_no_thread(make_logger, lines):
    handler = make_logger()[1]

    handler.flush()
    handler.close()
    assert not handler._pump._seat.locked() and lines.closed == 0


def test_a_flush_waits_for_a_thread_that_is_slow_but_not_for_a_disk_that_is_stuck():
    # A busy machine gives the thread no processor: it is at no disk, and what was logged is not given up.
    pause = threading.Event()
    lines = Lines()

    def slowly(record):
        pause.wait(0.02)
        return record

    its = pump.Pump(lambda: lines, slowly)
    for number in range(20):
        its.ring(2, its.queue.put(2, record(number, message=f"line {number}"), 100))
    assert its.flush(0.1) is True
    assert len(lines.all) == 20

    lines.stuck = True
    its.ring(2, its.queue.put(2, record(20, message="stuck"), 100))
    assert its.flush(0.1) is False
    lines.released.set()
    assert its.close(0.1) is True
