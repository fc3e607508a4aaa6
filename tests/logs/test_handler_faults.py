"""A real segment writer below a handler, every call to the system failing in every way: no error, exact counts."""

from __future__ import annotations

import errno
import fcntl
import logging
import os

import pytest
from log_writers import host_lines

from holdfast import logs, origin

ERRNOS = ("ENOSPC", "EDQUOT", "EROFS", "EMFILE", "EIO", "EACCES", "ENOENT", "ENOTDIR")
CALLS = ("open", "mkdir", "scandir", "stat", "fstat", "statvfs", "write", "pread", "ftruncate", "truncate", "fsync")
CALLS += ("replace", "unlink", "utime", "close")


def dropped(stats):
    return sum(n for levels in stats.dropped.values() for n in levels.values())


@pytest.mark.parametrize("call", [*CALLS, "flock"])
@pytest.mark.parametrize("begun", [False, True], ids=["first", "later"])
def test_a_call_that_fails_in_the_writer_is_never_seen_by_the_host(tmp_path, monkeypatch, capfd, call, begun):
    module = fcntl if call == "flock" else os
    real = getattr(module, call)
    for number, name in enumerate(ERRNOS):
        place = tmp_path / name
        handler = logs.handler(place)
        logger = logging.Logger("host")
        logger.addHandler(handler)
        if begun:
            logger.info("before")
            handler.flush()

        code = getattr(errno, name)

        def failing(*args, code=code, **named):
            if origin.part() is None:
                return real(*args, **named)
            if call == "close":
                real(*args, **named)  # Linux closes it whatever it answers
            raise OSError(code, os.strerror(code))

        with monkeypatch.context() as broken:
            broken.setattr(module, call, failing)
            for n in range(20):
                logger.info("during %d", n)
            handler.flush()
        logger.error("after %d", number)
        handler.close()

        stats = handler.stats()
        assert stats.given == 21 + begun == stats.written + stats.repeats + dropped(stats)
        assert len(host_lines(place)) == stats.written
        assert sum(map(len, stats.errors)) <= 16_384
    assert capfd.readouterr() == ("", "")


def test_an_idle_handler_changes_no_file_however_often_it_is_woken(tmp_path):
    place = tmp_path / "logs"
    handler = logs.handler(place)
    handler.handle(logging.makeLogRecord({"msg": "one", "levelno": 20}))
    handler.flush()

    def seen():
        return {entry.name: (entry.stat().st_size, entry.stat().st_mtime_ns) for entry in os.scandir(place)}

    before = seen()
    for _ in range(500):
        assert handler._pump.flush(10.0)

    assert before and seen() == before
    handler.close()


def test_off_creates_nothing_until_a_level_is_set_in_the_running_process(tmp_path):
    place = tmp_path / "logs"
    handler = logs.handler(place, level="OFF")
    critical = logging.makeLogRecord({"msg": "one", "levelno": 50})
    handler.handle(critical)
    handler.flush()
    assert not place.exists()

    handler.setLevel("ERROR")
    handler.handle(critical)
    handler.close()

    assert [line.message for line in host_lines(place)] == ["one"]
