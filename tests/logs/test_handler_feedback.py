"""A log never feeds itself: not by our own parts, not by a watcher on its directory at TRACE."""

from __future__ import annotations

import ctypes
import logging
import os
import struct
import threading

import pytest
from log_writers import FileLines
from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer

from holdfast import origin
from holdfast.logs import LogHandler, counts, feedback
from holdfast.logs.model import Record
from holdfast.logs.repeats import Repeats

N = 2_000
IN_ALL_EVENTS = 0xFFF


@pytest.fixture
def place(tmp_path):
    path = tmp_path / "state" / "logs"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def stored(place):
    """A logger that keeps TRACE in ``place``, and what it stored there."""
    handler = LogHandler(lambda: FileLines(place / "b00t-1-1.jsonl"), level=1, protect=[str(place)])
    loud = [logging.getLogger(name) for name in ("watchdog", "inotify")]
    for logger in loud:
        logger.setLevel(1)
        logger.addHandler(handler)
        logger.propagate = False

    def files():
        handler.flush()
        written = [path.read_bytes() for path in place.glob("*.jsonl.*")]
        assert sum(map(len, written)) <= 65_536
        lines = b"".join(written).splitlines()
        assert len(lines) <= 10, lines
        return handler.stats()

    yield files
    for logger in loud:
        logger.removeHandler(handler)
        logger.propagate = True
        logger.setLevel(logging.NOTSET)
    handler.close()


def touch(place, n):
    for number in range(n):
        with open(place / f"b00t-2-{number % 5}.jsonl.zst", "ab") as file:
            file.write(b"x")


@pytest.mark.parametrize("spelling", ["path", "bytes", "name", "field"])
def test_every_inotify_event_of_the_log_directory_logged_at_trace_stores_nothing(place, stored, spelling):
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(os.O_CLOEXEC)
    assert libc.inotify_add_watch(fd, os.fsencode(place), IN_ALL_EVENTS) > 0
    logger = logging.getLogger("inotify")
    over = place / "over"

    def log_each():
        while True:
            buffer, at = os.read(fd, 65_536), 0
            while at < len(buffer):
                _, mask, _, length = struct.unpack_from("iIII", buffer, at)
                name = buffer[at + 16 : at + 16 + length].rstrip(b"\0")
                at += 16 + length
                if name == b"over":
                    return
                path = os.path.join(os.fsencode(place), name)
                match spelling:
                    case "path":
                        logger.log(5, "%s %x", os.fsdecode(path), mask)
                    case "bytes":
                        logger.log(5, "<InotifyEvent: src_path=%r, mask=%x>", path, mask)
                    case "name":
                        logger.log(5, "inotify event: wd: 1, mask: %x, name: %r", mask, name)
                    case "field":
                        logger.log(5, "event", extra={"event": {"mask": mask, "paths": [os.fsdecode(path)]}})

    thread = threading.Thread(target=log_each)
    thread.start()
    logger.info("watching")
    touch(place, N)
    over.touch()
    thread.join()
    os.close(fd)

    assert stored().dropped[counts.FILE_EVENT]["TRACE"] >= N


def test_watchdog_on_the_directory_above_stores_nothing(place, stored):
    class UntilOver(FileSystemEventHandler):
        def __init__(self):
            self.over = threading.Event()

        def on_any_event(self, event):
            if event.src_path.endswith("over"):
                self.over.set()

    seen = UntilOver()
    observer = Observer()
    observer.schedule(seen, str(place.parent), recursive=True)
    observer.start()
    logging.getLogger("watchdog").info("watching")
    touch(place, N)
    (place.parent / "over").touch()
    seen.over.wait()
    observer.stop()
    observer.join()

    # What watchdog says of the directory above, it may: nothing of ours is written there.
    assert stored().dropped[counts.FILE_EVENT]["DEBUG"] >= N


@pytest.mark.parametrize("part", ["watcher", "checkpointer", "log writer"])
def test_records_of_our_own_parts_are_never_stored_whatever_their_level(logger, kept, part):
    with origin.internal(part):
        logger.critical("I am %s", part)
    logger.info("the host")

    assert [line.message for line in kept()] == ["the host"]
    assert (logger.handlers[0].stats().own, logger.handlers[0].stats().given) == (1, 1)


def test_what_the_writer_logs_while_it_writes_is_never_stored(logger, kept, lines):
    append = lines.append

    def loud(records):
        logger.error("I write")
        return append(records)

    lines.append = loud
    logger.info("one")

    assert [line.message for line in kept()] == ["one"] and logger.handlers[0].stats().own >= 1


def test_a_real_path_is_known_under_its_link_and_under_its_own_name(tmp_path, place, lines, make_logger):
    link = tmp_path / "link"
    link.symlink_to(place)
    logger, handler = make_logger(protect=[str(link)])
    logger.info("first")  # which is when the disk is first asked
    handler.flush()
    logger.debug("modified %s/x", place)
    logger.debug("modified %s/x", link)
    handler.flush()

    assert lines.messages == ["first"]


def test_dropped_events_are_told_once_at_the_end(make_logger, lines):
    logger, handler = make_logger(protect=["/state"])
    for _ in range(5):
        logger.debug("inotify event /state/x")
        logger.info("modified: /state/x")
        logger.warning("hello")
        handler.flush()
    assert lines.told() == {}
    handler.close()

    assert lines.told() == {"DEBUG": 5, "INFO": 5} and lines.accounted() == 15


@pytest.mark.parametrize(
    ("line", "quiet", "is_one"),
    [
        ("open failed: /state/logs/x: Permission denied", False, False),
        ("open failed: /state/logs/x: Permission denied", True, True),
        ("FileModifiedEvent(src_path='/state/logs/x')", False, True),
        ("{(<Change.deleted: 3>, '/state/logs')}", False, True),
        ("IN_CLOSE_WRITE /state/logs", False, True),
        ("/state/logs2/x modified", True, False),
        ("/state/logs-old modified", True, False),
        ("modified /other/x", True, False),
        ('Event { wd: 1, mask: MODIFY, name: Some("1a2b-77-3.jsonl.zst") }', True, True),
        ("reading rollout-2026-01-01.jsonl", True, False),
        # What the kernel says names no directory, so it may be ours; and an event of a database, wherever it is.
        ('inotify event: Event { wd: 1, mask: MODIFY, name: Some("logs_2.sqlite-wal") }', True, True),
        ('inotify event: Event { wd: 1, mask: MODIFY, name: Some("") }', True, True),
        ("in-event <InotifyEvent: src_path=b'/home/a', wd=2, mask=IN_OPEN|IN_ISDIR, name='a'>", True, True),
        ("in-event <InotifyEvent: src_path=b'/home/a', wd=2, mask=IN_OPEN|IN_ISDIR, name='a'>", False, False),
        ("FileModifiedEvent(src_path='/home/.codex/state_5.sqlite-shm')", True, True),
        ("3 changes: {(<Change.modified: 2>, '/home/app.db')}", True, True),
        ("FileModifiedEvent(src_path='/home/.codex/state_5.sqlite-shm')", False, False),
        ("FileModifiedEvent(src_path='/home/notes.txt')", True, False),
        ("created table events in /srv/app.db", True, False),
        ("PLAIN_TEXT sent, notify the others", True, False),
    ],
)
def test_what_counts_as_an_event_of_a_file_of_ours(line, quiet, is_one):
    assert feedback.is_file_event(line, quiet=quiet, paths=feedback.Paths(["/state/logs/"])) is is_one


def test_the_root_directory_protects_nothing():
    assert not feedback.is_file_event("modified /etc/passwd", quiet=True, paths=feedback.Paths(["/"]))


def test_a_line_that_each_write_causes_anew_dies_out():
    # A watcher that does not even name the file.
    again, now_us, written = Repeats(), 0, 0
    causes = 1
    while now_us < 3_600_000_000:
        lines = [line for _ in range(causes) for line in again.feed(changed(now_us))]
        if not lines and (wait_s := again.tell_in_s()) is not None:
            now_us += int(wait_s * 1e6)
            lines = list(again.tell(now_us))
        written += len(lines)
        causes = len(lines)
        now_us += 1_000
        if now_us < 60_000_000:
            assert written <= 10
    assert written <= 10 + 60


def changed(ts):
    return Record(id=0, ts=ts, level="INFO", target="t", message="something changed", pid=1)
