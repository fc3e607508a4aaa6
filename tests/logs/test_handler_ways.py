"""However a host hands its records over, they arrive: files of settings, queues, warnings, asyncio, forks, signals."""

from __future__ import annotations

import asyncio
import logging
import logging.config
import logging.handlers
import os
import queue
import tracemalloc
import warnings

import pytest
from log_writers import host_lines

from holdfast import logs
from holdfast.logs import counts
from holdfast.logs.model import Record
from holdfast.logs.queue import SLOTS_MAX


@pytest.fixture
def lent(make_logger, lines):
    """Lend our handler to a logger of the standard library; returns the host's lines once flushed."""
    handler = make_logger()[1]
    lent_to = []

    def lend(name):
        logger = logging.getLogger(name)
        lent_to.append((logger, logger.propagate, logger.level))
        logger.propagate = False
        logger.setLevel(1)
        logger.addHandler(handler)

        def kept():
            handler.flush()
            return lines.host

        return kept

    yield lend
    for logger, propagate, level in lent_to:
        logger.removeHandler(handler)
        logger.propagate, logger.level = propagate, level


def test_file_config_makes_it(tmp_path):
    settings = tmp_path / "logging.ini"
    settings.write_text(
        f"""
[loggers]
keys=root,ours
[handlers]
keys=kept
[formatters]
keys=
[logger_root]
handlers=
[logger_ours]
qualname=by_file_config
level=DEBUG
handlers=kept
[handler_kept]
class=holdfast.logs.Handler
args=({str(tmp_path / "logs")!r},)
level=WARNING
""",
        encoding="utf-8",
    )
    root = logging.getLogger()
    was, level = root.handlers[:], root.level
    logging.config.fileConfig(settings, disable_existing_loggers=False)
    root.handlers[:], root.level = was, level
    logger = logging.getLogger("by_file_config")
    (handler,) = logger.handlers
    logger.info("no")
    logger.warning("yes")
    logger.removeHandler(handler)
    handler.close()

    assert [line.message for line in host_lines(tmp_path / "logs")] == ["yes"]


def test_a_queue_listener_in_front_of_it_changes_no_line(make_logger, lines):
    waiting: queue.SimpleQueue = queue.SimpleQueue()
    handler = make_logger()[1]
    listener = logging.handlers.QueueListener(waiting, handler)
    logger = logging.Logger("through a queue", level=1)
    logger.addHandler(logging.handlers.QueueHandler(waiting))
    listener.start()
    with logs.context(thread_id="t1"):
        logger.info("n %d", 7, extra={"user": "ann", "thread_id": "t2"})
    try:
        raise ValueError("why")
    except ValueError:
        logger.exception("raised")
    listener.stop()
    handler.flush()

    one, other = lines.host
    assert (one.message, one.fields, one.thread_id) == ("n 7", {"user": "ann"}, "t2")
    assert other.target == "through a queue" and "ValueError: why" in other.message + (other.exception or "")


def test_warnings_that_logging_captures_are_kept(lent):
    kept = lent("py.warnings")
    logging.captureWarnings(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("old thing", DeprecationWarning, stacklevel=1)
    finally:
        logging.captureWarnings(False)

    assert [line.level for line in kept()] == ["WARN"] and "DeprecationWarning: old thing" in kept()[0].message


def test_what_asyncio_says_in_debug_is_kept(lent):
    kept = lent("asyncio")

    async def forgotten():
        raise ValueError("nobody asked")

    async def main():
        task = asyncio.ensure_future(forgotten())
        await asyncio.wait([task])

    asyncio.run(main(), debug=True)

    said = "\n".join(f"{line.message} {line.exception}" for line in kept())
    assert "selector" in said and "Task exception was never retrieved" in said and "nobody asked" in said


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_ends_a_host_goes_to_the_host_out_of_a_str_and_is_counted(make_logger, lines, kind):
    class Ends:
        def __str__(self):
            raise kind

    logger, handler = make_logger()
    with pytest.raises(kind):
        logger.info("%s", Ends())
    with pytest.raises(kind):
        logger.info("x", extra={"it": Ends()})
    logger.info("next")
    handler.flush()

    assert lines.messages == ["next"]
    assert handler.stats().dropped == {counts.UNREADABLE: {"INFO": 2}}


@pytest.mark.parametrize("make", [lambda big: (big,), lambda big: ("%s of %d", big, 1)])
def test_a_message_of_a_hundred_megabytes_is_not_copied(logger, kept, make):
    template, *args = make("x" * 100_000_000)
    logger.info("first")  # what is made once
    tracemalloc.start()
    logger.info(template, *args)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    line = kept()[-1]
    assert peak < 1_000_000
    assert len(line.message.encode()) <= 16_384 and "(cut: 10000000" in line.message
    length = len(template % tuple(args)) if args else len(template)
    assert line.message.endswith(f"(cut: {length} characters)")


def test_two_megabytes_cost_less_than_16_kib_of_disk(tmp_path):
    handler = logs.handler(tmp_path / "logs", compress=False)
    handler.handle(logging.makeLogRecord({"msg": os.urandom(2**20).hex(), "levelno": 20}))
    handler.close()

    (line,) = host_lines(tmp_path / "logs")
    assert line.message.endswith("(cut: 2097152 characters)")
    assert sum(entry.stat().st_size for entry in os.scandir(tmp_path / "logs") if ".jsonl" in entry.name) <= 17_500


def test_by_default_nothing_below_info_is_stored(tmp_path):
    handler = logs.handler(tmp_path / "logs")
    logger = logging.Logger("quiet", level=1)
    logger.addHandler(handler)
    for n in range(1_000):
        logger.log(5, "trace %d", n)
        logger.debug("debug %d", n)
    logger.info("one")
    handler.close()

    assert [line.message for line in host_lines(tmp_path / "logs")] == ["one"]


def test_drops_are_told_by_level_and_logger_to_the_last(make_logger, lines):
    handler = make_logger()[1]
    loggers = [logging.Logger(f"part {n}", level=1) for n in range(3)]
    emitted: dict = {}
    lines.stuck = True
    for logger in loggers:
        logger.addHandler(handler)
    loggers[0].error("first")
    lines.reached.wait()
    for n in range(4_000):
        for number, logger in enumerate(loggers):
            level = (logging.DEBUG, logging.INFO, logging.ERROR)[(n + number) % 3]
            logger.log(level, "line %d %s", n, "x" * (n % 7 * 400))
            key = (logger.name, logging.getLevelName(level))
            emitted[key] = emitted.get(key, 0) + 1
    emitted["part 0", "ERROR"] += 1
    lines.released.set()
    assert handler._pump.flush(60.0)

    stored: dict = {}
    for line in lines.host:
        stored[line.target, line.level] = stored.get((line.target, line.level), 0) + 1 + (line.repeats or 0)
    told: dict = {}
    for line in lines.all:
        for target, levels in (line.fields or {}).get("targets", {}).items():
            for level, n in levels.items():
                told[target, level] = told.get((target, level), 0) + n
    assert told == {key: n - stored.get(key, 0) for key, n in emitted.items() if n > stored.get(key, 0)}
    by_target = handler.stats().dropped_by_target
    assert {(target, level): n for target, levels in by_target.items() for level, n in levels.items()} == told


def test_however_many_loggers_drop_few_are_counted_by_name_and_none_is_lost():
    drops = counts.Drops()
    for n in range(1_000):
        drops.row(f"logger {n}")[counts.RATE][2].add()
    drops.row("x" * 10_000)[counts.RATE][2].add()
    drops.row(None)[counts.RATE][2].add()

    by_target = counts.by_target(drops.so_far())
    assert len(by_target) == counts.TARGETS_MAX + 1 and by_target["logger 0"] == {"INFO": 1}
    assert counts.by_reason(drops.so_far()) == {counts.RATE: {"INFO": 1_002}}


def test_a_line_that_finds_the_queue_full_begins_the_thread_that_could_not_be_had(make_logger, lines, monkeypatch):
    def no_more(*_):
        raise RuntimeError("can't start new thread")

    class Silent:
        said = 0

        def __str__(self):
            Silent.said += 1
            return "said"

    logger, handler = make_logger()
    with monkeypatch.context() as none:
        none.setattr("holdfast.logs.pump._thread.start_new_thread", no_more)
        for n in range(SLOTS_MAX):
            logger.info("line %d", n)
        logger.info("%s", Silent())
    logger.info("%s", Silent())
    assert lines.reached.wait(60)
    assert handler._pump.flush(60.0)

    assert Silent.said == 0, "a line that has no room is not made into text"
    assert len(lines.host) == SLOTS_MAX
    assert handler.stats().dropped == {counts.QUEUE_FULL: {"INFO": 2}}


def test_what_the_disk_says_is_kept_in_64_kib_whatever_it_says(make_logger, lines):
    logger, handler = make_logger()
    for n in range(100):
        lines.raises = OSError(n, "😀" * 100_000)
        logger.info("line %d", n)
        handler.flush()

    errors = handler.stats().errors
    assert len(errors) == 16 and sum(len(error.encode()) for error in errors) <= 65_536


def test_a_fork_while_the_writer_stands_still_leaves_the_child_free(make_logger, lines):
    logger, handler = make_logger()
    lines.stuck = True
    logger.info("the parent's")
    lines.reached.wait()
    pid = os.fork()
    if not pid:
        lines.stuck = False
        lines.all.clear()
        logger.info("the child's")
        os._exit(0 if handler._pump.flush(20.0) and lines.messages == ["the child's"] and lines.abandoned else 9)

    assert os.waitpid(pid, 0)[1] == 0
    lines.released.set()
    handler.flush()
    assert lines.messages == ["the parent's"]


@pytest.mark.parametrize("forks", [20, pytest.param(1_000, marks=pytest.mark.torture)])
def test_forked_children_write_segments_of_their_own_and_none_into_the_parents(tmp_path, forks):
    handler = logs.handler(tmp_path / "logs")
    logger = logging.Logger("forks", level=1)
    logger.addHandler(handler)
    for n in range(forks):
        logger.info("parent %d", n)
        pid = os.fork()
        if not pid:
            logger.info("child %d", n)
            handler.close()
            os._exit(0 if handler.stats().written == 1 else 9)
        assert os.waitpid(pid, 0)[1] == 0
    handler.close()

    kept: list[Record] = host_lines(tmp_path / "logs")
    assert sorted(line.message for line in kept) == sorted(
        f"{who} {n}" for who in ("parent", "child") for n in range(forks)
    )
    assert {line.pid == os.getpid() for line in kept if line.message.startswith("parent")} == {True}
    assert len({line.id for line in kept}) == 2 * forks
