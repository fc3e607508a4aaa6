"""What a log line costs the thread that logs it: the disk fine, the disk standing still, many threads.

    PYTHONPATH=src python bench/emit.py [DIRECTORY] [--n 50000]

"stalled" is a writer that blocks in ``write(2)`` to a pipe that is full and that
nobody reads: the thread is in the kernel and does not come back, as with a disk
that does not answer. Then the queue is full, and each line drops another.

"pace" is one line a millisecond; "storm" is one after the other, and then the
writer's thread wants the GIL too: the slowest lines waited for it (5 ms, the switch interval).
"start" is making the handler, and "first" its first record, in places that are fine and that are not.
"""

from __future__ import annotations

import argparse
import fcntl
import gc
import logging
import logging.handlers
import os
import subprocess
import sys
import tempfile
import threading
import time
from queue import SimpleQueue

import msgspec

from holdfast import logs
from holdfast.logs import redact

LINE = "GET https://api.example.com/v1/threads/%s took %d ms, status 200, cache hit"
EXTRA = {"user": "ann", "attempt": 2, "path": "/v1/threads"}


class Pipe:
    """A writer into a full pipe."""

    def __init__(self) -> None:
        self.out, self.into = os.pipe()
        fcntl.fcntl(self.into, fcntl.F_SETFL, os.O_NONBLOCK)
        try:
            while True:
                os.write(self.into, bytes(65_536))
        except BlockingIOError:
            fcntl.fcntl(self.into, fcntl.F_SETFL, 0)

    def append(self, records):
        os.write(self.into, b"".join(map(msgspec.json.encode, records)))
        raise AssertionError("somebody read the pipe")

    def close(self) -> None: ...
    def abandon_in_child(self) -> None: ...


def timed(handler: logging.Handler, n: int, *, pace_s: float = 0.0, extra=None) -> list[int]:
    """Return the sorted ns of ``n`` lines."""
    logger = logging.Logger("bench")
    logger.addHandler(handler)
    took = []
    for number in range(n):
        if pace_s:
            time.sleep(pace_s)
        began = time.perf_counter_ns()
        logger.info(LINE, number, number % 100, extra=extra)
        took.append(time.perf_counter_ns() - began)
    return sorted(took)


def together(handler: logging.Handler, n: int, threads: int = 8) -> list[int]:
    """Return the sorted ns of ``n`` lines of so many threads."""
    took: list[int] = []
    begun = [threading.Thread(target=lambda: took.extend(timed(handler, n // threads))) for _ in range(threads)]
    for thread in begun:
        thread.start()
    for thread in begun:
        thread.join()
    return sorted(took)


def show(name: str, took: list[int]) -> None:
    p50, p99, p999, top = (took[int(len(took) * share)] / 1e3 for share in (0.5, 0.99, 0.999, 1 - 1e-9))
    print(f"{name:28} p50 {p50:7.1f}  p99 {p99:7.1f}  p99.9 {p999:8.1f}  max {top:9.1f} us")


START = """
import logging, sys, time
from holdfast import logs
began = time.perf_counter()
import holdfast.logs.opening
imported = time.perf_counter()
handler = logs.handler(sys.argv[1])
made = time.perf_counter()
handler.handle(logging.makeLogRecord({"msg": "one", "levelno": 20}))
first = time.perf_counter()
for name, ms in ("import", imported - began), ("make", made - imported), ("first", first - made):
    print(f"{name} {ms * 1e3:6.2f} ms", end="  ")
"""


def starts(folder: str) -> None:
    fine, as_file, read_only, crowded, locked = (
        f"{folder}/{name}" for name in ("fine", "file", "ro", "crowded", "locked")
    )
    with open(as_file, "wb"):
        pass
    for path in (read_only, crowded, locked):
        os.mkdir(path)
    os.chmod(read_only, 0o500)
    for number in range(20_000):
        os.close(os.open(f"{crowded}/foreign-{number}", os.O_CREAT | os.O_WRONLY))
    with open(f"{crowded}/large", "wb") as file:
        file.truncate(30 * 2**30)
    holder = os.open(locked, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    for path in (fine, as_file, read_only, crowded, locked, "/proc/self/no"):
        done = subprocess.run([sys.executable, "-c", START, path], capture_output=True, text=True, check=True)
        print(f"start {os.path.basename(path):22} {done.stdout.strip()}")
    os.close(holder)


def errors(folder: str, n: int = 200) -> None:
    """How long after an ERROR is logged its segment is longer: it was handed to the system."""
    handler = logs.handler(folder)
    logger = logging.Logger("bench")
    logger.addHandler(handler)
    logger.error("first")
    handler.flush()
    (path,) = [each.path for each in os.scandir(folder) if ".jsonl" in each.name]
    took = []
    for number in range(n):
        size, began = os.stat(path).st_size, time.perf_counter_ns()
        logger.error("error %d", number)
        while os.stat(path).st_size == size:
            time.sleep(0.0002)
        took.append(time.perf_counter_ns() - began)
    handler.close()
    show(f"ERROR on its way, load {os.getloadavg()[0]:.1f}", sorted(took))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?")
    parser.add_argument("--n", type=int, default=50_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.directory) as folder:
        null = logging.Logger("null")
        null.addHandler(logging.NullHandler())
        began = time.perf_counter()
        for number in range(given.n):
            null.info(LINE, number, number)
        print(f"{'logging alone, NullHandler':28} {(time.perf_counter() - began) / given.n * 1e6:11.1f} us each")
        show("file handler, pace", timed(logging.FileHandler(f"{folder}/paced.log"), given.n // 10, pace_s=0.001))
        show("file handler, storm", timed(logging.FileHandler(f"{folder}/plain.log"), given.n))
        for name, pace_s, extra, n in (
            ("fine, pace", 0.001, None, given.n // 10),
            ("fine, storm", 0.0, None, given.n),
            ("fine, storm, extra", 0.0, EXTRA, given.n),
        ):
            handler = logs.handler(f"{folder}/{name}")
            show(name, timed(handler, n, pace_s=pace_s, extra=extra))
            handler.close()
        for name, pace_s, n in (("stalled, pace", 0.001, given.n // 10), ("stalled, storm", 0.0, given.n)):
            handler = logs.LogHandler(Pipe)
            show(name, timed(handler, n, pace_s=pace_s))
            stats = handler.stats()
            dropped = sum(sum(levels.values()) for levels in stats.dropped.values())
            print(f"{'':28} given {stats.given}, dropped {dropped}, waiting {stats.waiting_slots} slots")
        # The same loop around what does nothing, or only queues, says what the machine itself adds.
        show("null handler, storm", timed(logging.NullHandler(), given.n))
        show("null handler, 8 threads", together(logging.NullHandler(), given.n))
        show("QueueHandler, storm", timed(logging.handlers.QueueHandler(SimpleQueue()), given.n))
        show("QueueHandler, 8 threads", together(logging.handlers.QueueHandler(SimpleQueue()), given.n))
        show("stalled, 8 threads", together(logs.LogHandler(Pipe), given.n))
        gc.disable()
        show("stalled, storm, gc off", timed(logs.LogHandler(Pipe), given.n))
        show("stalled, 8 threads, gc off", together(logs.LogHandler(Pipe), given.n))
        gc.enable()
        for name, line in (
            ("redact, nothing in it", LINE % (7, 7)),
            ("redact, a token", LINE % (7, 7) + " token=abcdef12"),
        ):
            began = time.perf_counter()
            for _ in range(10_000):
                redact.text(line)
            print(f"{name:28} {(time.perf_counter() - began) / 10_000 * 1e6:11.1f} us each (in the writer's thread)")
        errors(f"{folder}/errors")
        starts(folder)
    os._exit(0)  # the stalled threads never end


if __name__ == "__main__":
    main()
