"""What the hosts of an incident begin with, and what is on the disk afterwards."""

from __future__ import annotations

import json
import os

CAP = 4 << 20

PRELUDE = """
import json, logging, random, signal, threading, time
from holdfast import logs
def warm(scratch):
    "Import what the first record imports, once for all that are forked from here."
    writer = logs.SegmentWriter(scratch)
    writer.append([logs.Record(id=0, ts=0, level="INFO", target="", message="")])
    writer.close()
def tell_stats(handler, **more):
    stats = handler.stats()
    dropped = sum(sum(levels.values()) for levels in stats.dropped.values())
    say(json.dumps({"given": stats.given, "written": stats.written, "repeats": stats.repeats, "dropped": dropped,
                    "reasons": stats.dropped, "errors": stats.errors, **more}))
"""


HOST = """
directory, cap, user, scratch = sys.argv[1:]
def begun(place):
    handler = logs.handler(place, "TRACE", caps=logs.Caps(bytes=int(cap), free_bytes=0))
    log.addHandler(handler)
    return handler
log = logging.getLogger("host")
log.propagate = False
log.setLevel(1)
if int(user):
    first = begun(scratch)  # what is imported late must be read by root
    log.info("first")
    log.removeHandler(first)
    first.close()
    os.setgid(int(user))
    os.setuid(int(user))
handler = begun(directory)
noise = random.Random(1)
number = 0
def lines(count):
    global number
    for _ in range(count):
        number += 1
        log.info("line %d %s", number, noise.randbytes(400).hex())
        if number % 100 == 0:
            handler.flush()
    handler.flush()
say("ready")
while True:
    match hear():
        case "lines":
            lines(500)  # more than was reserved
        case "until kept":
            before = handler.stats().written
            pause = threading.Event()
            for _ in range(1_000):
                lines(1)
                if handler.stats().written > before:
                    break
                pause.wait(0.02)
        case "no descriptors":
            full = []
            try:
                while True:
                    full.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                pass
            lines(500)
            for fd in full:
                os.close(fd)
        case "end":
            handler.close()
    tell_stats(handler)
"""


def told(child):
    """Return what ``tell_stats`` said in ``child``; every record is accounted for."""
    line = child.line()
    assert line, f"it ended with {child.wait()}"
    stats = json.loads(line)
    assert stats["given"] == stats["written"] + stats["repeats"] + stats["dropped"], stats
    return stats


def taken(directory):
    """Return the bytes that the files in ``directory`` take on the disk."""
    total = 0
    try:
        names = os.listdir(directory)
    except OSError:
        return 0
    for name in names:
        try:
            total += os.stat(os.path.join(directory, name)).st_blocks * 512
        except OSError:
            continue  # gone since it was listed
    return total


class Host:
    """A program that logs 500 lines when asked to, more than its segment has reserved."""

    def __init__(self, start, directory, *, user=0):
        self.directory = directory
        self.child = start(HOST, directory, CAP, user, directory.parent / "scratch")
        self.ready()

    def ready(self):
        assert self.child.line() == "ready"

    def does(self, what):
        self.child.tell(what)
        return told(self.child)
