"""The host never notices: no exception, no deadlock, no line on its stderr, whatever happens around a log line."""

from __future__ import annotations

import gc
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from log_writers import read

from holdfast.logs import LogHandler, counts

HEAD = f"""
import atexit, gc, logging, os, signal, sys, threading
sys.path.insert(0, {str(Path(__file__).parent)!r})
from holdfast.logs import LogHandler
from log_writers import FileLines
path = sys.argv[1]
handler = LogHandler(lambda: FileLines(path), level=1)
log = logging.getLogger("host")
log.setLevel(1)
log.propagate = False
log.addHandler(handler)
"""


@pytest.fixture
def run(tmp_path):
    """Run a host to its end; it must end well and say nothing on stderr. Returns its lines by process."""

    def run_it(body, *options, code=0):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", *options, "-c", HEAD + textwrap.dedent(body), str(tmp_path / "lines")],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (code, "")
        return read(tmp_path / "lines")

    return run_it


def messages(by_pid):
    return [line.message for lines in by_pid.values() for line in lines]


def test_an_object_that_logs_itself_for_ever_ends(logger, kept):
    class Chatty:
        def __str__(self):
            logger.info("%s", self)
            return "chatty"

    logger.info("%s", Chatty())

    assert sum(1 + (line.repeats or 0) for line in kept()) == 8  # from the inside out
    assert logger.handlers[0].stats().dropped == {counts.RECURSION: {"INFO": 1}}


def test_logging_at_the_end_of_the_stack_raises_nothing_new(logger, kept):
    depths = []

    def down(n):
        depths.append(n)
        logger.info("depth %d", n)
        down(n + 1)

    with pytest.raises(RecursionError):
        down(0)
    logger.info("still here")

    assert kept()[-1].message == "still here"


def test_nothing_is_printed_whatever_fails(make_logger, lines, capfd, monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", True)
    logger, handler = make_logger()
    handler.addFilter(lambda record: 1 / 0 if record.msg == "filter" else True)
    lines.raises = RuntimeError("the writer is broken")
    logger.info("filter")
    logger.info("%d", "x")
    handler.handleError(logging.makeLogRecord({}))
    handler.flush()
    logging.shutdown([lambda: handler])

    assert capfd.readouterr() == ("", "")


def test_a_writer_that_cannot_be_opened_or_closed_harms_nobody(lines, make_logger):
    logger, handler = make_logger()
    lines.close = lambda: 1 / 0
    logger.info("one")
    handler.close()
    logger.info("two")
    handler.close()

    assert lines.messages == ["one", "two"]
    assert handler.stats().errors == ("ZeroDivisionError: division by zero",)


def test_a_closed_handler_begins_anew_with_the_next_record(logger, kept, lines):
    logger.info("one")
    logging.shutdown([lambda: logger.handlers[0]])
    logger.info("two")

    assert [line.message for line in kept()] == ["one", "two"] and lines.closed == 1


def test_flush_and_close_do_not_wait_for_a_stuck_disk_for_ever(make_logger, lines):
    logger, handler = make_logger()
    lines.stuck = True
    logger.info("one")
    lines.reached.wait()
    handler.flush()
    handler.close()

    assert lines.all == []


def test_a_forgotten_handler_writes_what_it_has_and_its_thread_ends(lines):
    ended = threading.Event()
    lines.close = ended.set
    handler = LogHandler(lambda: lines)
    handler.handle(logging.makeLogRecord({"msg": "one", "levelno": 20}))
    del handler
    gc.collect()
    ended.wait()

    assert lines.messages == ["one"]


def test_what_was_logged_is_there_when_the_interpreter_ends(run):
    found = run(
        """
        atexit.register(log.info, "at exit")
        log.info("one")
        """
    )

    assert messages(found) == ["one", "at exit"]


def test_an_exit_with_a_traceback_or_by_a_thread_that_logs_on_is_quiet(run):
    found = run(
        """
        def on():
            while True:
                log.info("on and on")
        threading.Thread(target=on, daemon=True).start()
        class Last:
            def __del__(self):
                log.info("last words")
        last = Last()
        atexit.register(log.error, "at exit")
        sys.exit(3)
        """,
        code=3,
    )

    assert "at exit" in messages(found)


def test_a_record_before_logging_is_imported_by_anyone_else_or_after_its_shutdown_is_harmless(run):
    found = run(
        """
        atexit._clear()
        atexit.register(log.info, "after the shutdown")
        atexit.register(logging.shutdown)
        log.info("one")
        """
    )

    assert messages(found)[0] == "one"


def test_a_signal_handler_that_logs_in_the_middle_of_logging_never_waits(run):
    found = run(
        """
        n = 0
        def on_signal(*_):
            global n
            n += 1
            log.warning("signal %d", n)
        signal.signal(signal.SIGALRM, on_signal)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0003)
        logged = 0
        while n < 2_000:
            log.info("line %d", logged)
            logged += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        handler.flush()
        handler.close()
        stats = handler.stats()
        assert stats.given == n + logged, (stats, n, logged)
        dropped = sum(sum(levels.values()) for levels in stats.dropped.values())
        assert stats.given == stats.written + stats.repeats + dropped, stats
        """
    )

    assert (
        len([message for message in messages(found) if message.startswith("signal")]) > 1_800
    )  # deeply nested ones are counted


def test_an_exception_out_of_a_signal_handler_goes_to_the_host_and_logging_goes_on(run):
    found = run(
        """
        class Stop(BaseException):
            pass
        def on_signal(*_):
            raise Stop
        signal.signal(signal.SIGALRM, on_signal)
        for n in range(300):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0001 + n * 0.000003)
                while True:
                    log.info("line %s", "x" * 5_000)
            except Stop:
                pass
        log.warning("still here")
        """
    )

    assert messages(found)[-1] == "still here"


def test_finalizers_that_log_while_the_collector_runs_inside_logging_never_wait(run):
    found = run(
        """
        gc.set_threshold(1)
        class Loud:
            def __init__(self): self.me = self
            def __del__(self): log.info("gone %d", id(self))
        def storm():
            for n in range(500):
                Loud()
                log.info("line %d", n, extra={"n": [n]})
        threads = [threading.Thread(target=storm) for _ in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        gc.set_threshold(700)
        gc.collect()
        handler.flush()
        stats = handler.stats()
        # What a finalizer says while the collector runs in the handler's own thread is the handler's own word.
        assert stats.given + stats.own == 4_000 and stats.own < 100, stats
        """
    )

    assert 3_900 < len(messages(found)) <= 4_000


FORK = """
def storm():
    n = 0
    while not over.is_set():
        n += 1
        log.info("parent %d", n)
over = threading.Event()
threads = [threading.Thread(target=storm, daemon=True) for _ in range(4)]
for thread in threads: thread.start()
for n in range({forks}):
    pid = os.fork()
    if not pid:
        log.info("child %d", n)
        handler.flush()
        stats = handler.stats()
        os._exit(0 if (stats.given, stats.written) == (1, 1) else 9)
    assert os.waitpid(pid, 0)[1] == 0
over.set()
for thread in threads: thread.join()
handler.close()
stats = handler.stats()
dropped = sum(sum(levels.values()) for levels in stats.dropped.values())
assert stats.given == stats.written + stats.repeats + dropped, stats
"""


@pytest.mark.parametrize("forks", [30, pytest.param(1_000, marks=pytest.mark.torture)])
def test_a_forked_child_has_its_own_queue_and_segment_and_the_parent_loses_nothing(tmp_path, forks):
    # Four threads log without a pause: each fork falls into the middle of something.
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", HEAD + FORK.format(forks=forks), str(tmp_path / "lines")],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert (done.returncode, done.stderr) == (0, "")

    by_pid = read(tmp_path / "lines")
    children = [[line.message for line in lines] for lines in by_pid.values() if len(lines) == 1]
    assert sorted(children) == sorted([f"child {n}"] for n in range(forks))
    assert len(by_pid) == forks + 1
    for pid, lines in by_pid.items():
        assert {line.pid for line in lines} == {pid}


def test_a_child_of_multiprocessing_logs_to_a_segment_of_its_own(run):
    found = run(
        """
        import multiprocessing
        log.info("parent")
        child = multiprocessing.get_context("fork").Process(target=log.info, args=("child",))
        child.start()
        child.join()
        """
    )

    assert sorted(messages(found)) == ["child", "parent"] and len(found) == 2


def test_a_kill_loses_no_error_that_is_older_than_a_batch(run):
    found = run(
        """
        log.error("why")
        while handler.stats().written < 1:
            pass
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        code=-signal.SIGKILL,
    )

    assert messages(found) == ["why"]


def test_no_thread_to_be_had_drops_nothing(make_logger, lines, monkeypatch):
    def no_more(*_):
        raise RuntimeError("can't start new thread")

    logger, handler = make_logger()
    with monkeypatch.context() as none:
        none.setattr("holdfast.logs.pump._thread.start_new_thread", no_more)
        logger.info("one")
    logger.info("two")
    handler.flush()

    assert lines.messages == ["one", "two"]


def test_the_environment_turns_it_off(tmp_path, monkeypatch):
    from holdfast import logs

    monkeypatch.setenv("HOLDFAST_LOGS", "off")
    handler = logs.handler(tmp_path / "logs", level="TRACE")
    handler.setLevel("TRACE")
    handler.handle(logging.makeLogRecord({"msg": "x", "levelno": 50}))
    handler.close()

    assert handler.stats().given == 0 and os.listdir(tmp_path) == []


def test_many_handlers_in_many_threads_come_and_go(make_logger, lines):
    def one():
        for n in range(20):
            logger, handler = make_logger()
            logger.info("n %d", n)
            handler.close()

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(lines.all) == 160
