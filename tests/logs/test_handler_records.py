"""What a line says is what the host said: cut, cleaned, and never missing because it was odd."""

from __future__ import annotations

import contextvars
import enum
import logging
import logging.config
import math
import threading

import msgspec
import pytest
import structlog

from holdfast import logs
from holdfast.logs import records


class Unshowable:
    def __str__(self):
        raise ValueError("not me")

    __repr__ = __str__


class Worse(dict):
    def items(self):
        raise RuntimeError("nor my items")

    def __str__(self):
        raise RuntimeError("nor me")


class Colour(enum.IntEnum):
    RED = 3


class Liar(str):
    def __str__(self):
        return self

    def isascii(self):
        raise RuntimeError("no")

    encode = __len__ = isascii


def test_a_line_tells_who_said_it_where_and_when(logger, kept):
    logger.warning("disk at %d %%", 93)

    (line,) = kept()
    assert (line.level, line.target, line.message) == ("WARN", logger.name, "disk at 93 %")
    assert line.module == "test_handler_records" and line.file == __file__ and line.line > 0
    assert line.ts > 1_700_000_000_000_000


@pytest.mark.parametrize(
    ("levelno", "level"), [(1, "TRACE"), (5, "TRACE"), (10, "DEBUG"), (25, "INFO"), (30, "WARN"), (50, "ERROR")]
)
def test_each_number_of_logging_has_its_level(logger, kept, levelno, level):
    logger.log(levelno, "x")

    assert [line.level for line in kept()] == [level]


def test_ids_come_from_the_context_and_extra_wins(logger, kept):
    with logs.context(thread_id="t-1", trace_id="r-1"):
        logger.info("one")
        with logs.context(thread_id="t-2"):
            logger.info("two")
        logger.info("three", extra={"thread_id": "t-3"})
    logger.info("four")

    assert [(line.thread_id, line.trace_id) for line in kept()] == [
        ("t-1", "r-1"),
        ("t-2", "r-1"),
        ("t-3", "r-1"),
        (None, None),
    ]


def test_the_context_goes_along_where_contextvars_go(logger, kept):
    with logs.context(thread_id="t-1"):
        there = contextvars.copy_context()
    thread = threading.Thread(target=there.run, args=(logger.info, "from there"))
    thread.start()
    thread.join()

    assert [line.thread_id for line in kept()] == ["t-1"]


def test_extra_is_kept_as_json_whatever_it_is(logger, kept):
    loop: list = []
    loop.append(loop)
    extra = {
        "n": 1,
        "big": 2**70,
        "huge": 10**100_000,
        "nan": math.nan,
        "none": None,
        "colour": Colour.RED,
        "deep": {"a": [1, (2, {3})]},
        "loop": loop,
        "bytes": b"\xff",
        "surrogate": "\ud800",
        "unshowable": Unshowable(),
        "worse": Worse(a=1),
        "liar": Liar("liar"),
        "key": {Unshowable(): 1},
    }
    logger.info("x", extra=extra)

    (line,) = kept()
    assert msgspec.json.decode(msgspec.json.encode(line.fields)) == line.fields
    assert list(line.fields) == list(extra)
    assert line.fields["n"] == 1 and line.fields["big"] == str(2**70) and line.fields["nan"] == "nan"
    assert line.fields["colour"] == 3 and line.fields["deep"] == {"a": [1, [2, [3]]]}
    assert line.fields["unshowable"] == "<Unshowable that cannot be shown: ValueError>"
    assert line.fields["worse"] == {"a": 1} and line.fields["liar"] == "liar"


def test_fields_are_bounded(logger, kept):
    logger.info("x", extra={"many": list(range(10**6)), "long": "y" * 10**6, **{f"k{n}": n for n in range(500)}})

    (line,) = kept()
    assert len(msgspec.json.encode(line.fields)) < 6_000


@pytest.mark.parametrize("text", ["x" * 2**21, "é" * 2**20, "\ud800" * 2**20, "😀" * 2**19])
def test_a_message_of_any_size_is_cut_at_16_kib_and_says_how_long_it_was(logger, kept, text):
    logger.info(text)
    logger.error("%s", text, extra={"f": text}, exc_info=ValueError(text))

    plain, full = kept()
    assert plain.message.endswith(f"… (cut: {len(text)} characters)")
    assert 16_000 < len(plain.message.encode()) <= 16_384
    body = len(full.message.encode()) + len(full.exception.encode()) + len(msgspec.json.encode(full.fields))
    assert body <= 16_384 + 100


def test_an_exception_is_kept_as_text_and_its_end_is_never_cut(logger, kept):
    try:
        raise ValueError("a" * 50_000) from KeyError("first")
    except ValueError:
        logger.exception("went wrong")
    try:
        math.sqrt(-1)
    except ValueError:
        logger.exception("short")
    logger.info("here", stack_info=True)

    wrong, short, here = kept()
    assert "math.sqrt(-1)" in short.exception and short.exception.endswith("ValueError: math domain error")
    assert wrong.exception.startswith("KeyError: 'first'") and wrong.exception.endswith("aaa")
    assert len(wrong.exception.encode()) <= 8_192
    assert "test_an_exception_is_kept_as_text" in here.exception


def test_an_exception_that_cannot_be_shown_loses_no_line(logger, kept):
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError

    logger.error("x", exc_info=Mute())
    logger.handle(logging.makeLogRecord({"msg": "odd", "levelno": 40, "exc_info": "no tuple", "stack_info": object()}))

    assert ["Mute" in kept()[0].exception, kept()[1].message] == [True, "odd"]


@pytest.mark.parametrize("makes", [[str], [str, str, str], [Unshowable]])
def test_a_message_that_does_not_fit_its_arguments_is_kept_raw(logger, kept, makes):
    args = [make() for make in makes]
    logger.info("%d and {} %s", *args)

    (line,) = kept()
    assert line.message == "%d and {} %s" and len(line.fields["args"]) == len(args)


@pytest.mark.parametrize("make", [Unshowable, Worse, Liar, type(None), int, bytes, object])
def test_a_message_may_be_anything(logger, kept, make):
    message = make()
    logger.info(message)
    logger.info("%s", message)

    assert len(kept()) == 2


@pytest.mark.parametrize("broken", ["name", "msg", "levelname", "pathname", "lineno", "module", "args", "created"])
def test_a_record_made_by_hand_with_nonsense_harms_nobody(logger, kept, broken):
    logger.handle(logging.makeLogRecord({"msg": "odd", "levelno": 20, broken: Unshowable()}))
    logger.info("next")

    assert kept()[-1].message == "next"


def test_secrets_are_replaced_in_message_fields_and_exception(make_logger, lines):
    logger, handler = make_logger(secrets=[r"(?P<keep>order )\d+"])
    try:
        raise ValueError("token=abcdef123456")
    except ValueError:
        logger.exception("Authorization: Bearer abcdef123456 for order 7", extra={"api_key": "abcdef123456", "n": 1})
    handler.flush()

    (line,) = lines.host
    assert "abcdef123456" not in str(msgspec.to_builtins(line))
    assert line.message == "Authorization: [redacted] for order [redacted]"
    assert line.fields == {"api_key": "[redacted]", "n": 1}


def test_redaction_can_be_turned_off(make_logger, lines):
    logger, handler = make_logger(redacted=False)
    logger.info("token=abcdef123456")
    handler.flush()

    assert lines.messages == ["token=abcdef123456"]


def test_a_formatter_of_the_host_makes_the_message(make_logger, lines):
    logger, handler = make_logger()
    handler.setFormatter(logging.Formatter("%(levelname)s|%(message)s"))
    logger.info("x")
    handler.flush()

    assert lines.messages == ["INFO|x"]


@pytest.mark.parametrize("last", ["wrap_for_formatter", "render_to_log_kwargs"])
def test_structlog_keeps_its_event_and_its_fields(logger, kept, last):
    final = getattr(structlog.stdlib, last, None) or getattr(structlog.stdlib.ProcessorFormatter, last)
    bridge = structlog.wrap_logger(
        logger,
        processors=[structlog.stdlib.add_log_level, final],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    bridge.info("user came", user="ann", n=2)

    (line,) = kept()
    assert line.message == "user came" and line.level == "INFO"
    assert line.fields["user"] == "ann" and line.fields["n"] == 2


@pytest.mark.parametrize("last", ["wrap_for_formatter", "render_to_log_kwargs"])
def test_a_thread_bound_in_structlog_is_the_records_thread_and_nothing_of_structlogs_own_is_kept(logger, kept, last):
    final = getattr(structlog.stdlib, last, None) or getattr(structlog.stdlib.ProcessorFormatter, last)
    bridge = structlog.wrap_logger(logger, processors=[final], wrapper_class=structlog.stdlib.BoundLogger)
    bridge.bind(thread_id="T9", trace_id="0af7").warning("slow", took_ms=3)

    record = kept()[-1]
    assert (record.message, record.thread_id, record.trace_id) == ("slow", "T9", "0af7")
    assert record.fields == {"took_ms": 3}


def test_dict_config_makes_it(tmp_path):
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {
                "kept": {"()": "holdfast.logs.handler", "directory": str(tmp_path / "logs"), "level": "WARNING"}
            },
            "loggers": {"by_dict_config": {"handlers": ["kept"], "level": "DEBUG"}},
        }
    )
    logger = logging.getLogger("by_dict_config")
    (handler,) = logger.handlers
    try:
        logger.info("no")
        logger.warning("yes")
        handler.flush()

        assert (handler.stats().given, handler.stats().written) == (1, 1)
    finally:
        logger.removeHandler(handler)
        handler.close()


@pytest.mark.parametrize("level", ["TRACE", "info", "WARN", "warning", 7])
def test_levels_go_by_name_or_number(make_logger, level):
    handler = make_logger(level=level)[1]

    assert handler.level == records.levelno(level) and records.levelno("trace") == 5
    with pytest.raises(ValueError, match="no level"):
        handler.setLevel("LOUD")
