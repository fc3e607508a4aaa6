"""What a log line costs the thread that logs it: the disk fine, the disk standing still, many threads.

    PYTHONPATH=src python bench/emit.py [DIRECTORY] [--n 20000] [--rounds 3]

Ours, a ``NullHandler``, a ``QueueHandler`` and a ``FileHandler`` take the same lines in turn, in each round anew.
"wall" is what the host sees. "cpu" is what its thread ran (CLOCK_THREAD_CPUTIME_ID): what other programs on the
machine take is not in it, so that is the figure to compare between machines.

"stalled" is a writer that blocks in ``write(2)`` to a pipe that is full and that
nobody reads: the thread is in the kernel and does not come back, as with a disk
that does not answer. Its first 4,096 lines fill the queue ("filling"), then each line is a count ("full").
"full, raised" is full of INFO and gets WARN: each line is made, and an older one goes.

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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue

import msgspec

from holdfast import logs
from holdfast.logs import redact
from holdfast.logs.queue import SLOTS_MAX

LINE = "GET https://api.example.com/v1/threads/%s took %d ms, status 200, cache hit"
EXTRA = {"user": "ann", "attempt": 2, "path": "/v1/threads"}
TARGET_P99_US, TARGET_MAX_US = 50, 2_000
Taken = list[tuple[int, int]]
"""Wall and cpu time of each line, in ns."""


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


def timed(handler: logging.Handler, n: int, *, pace_s: float = 0.0, level: int = logging.INFO, extra=None) -> Taken:
    """Return what each of ``n`` lines took."""
    logger = logging.Logger("bench")
    logger.addHandler(handler)
    taken = []
    for number in range(n):
        if pace_s:
            time.sleep(pace_s)
        began, ran = time.perf_counter_ns(), time.thread_time_ns()
        logger.log(level, LINE, number, number % 100, extra=extra)
        ran = time.thread_time_ns() - ran
        taken.append((time.perf_counter_ns() - began, ran))
    return taken


def together(handler: logging.Handler, n: int, threads: int = 8) -> Taken:
    """Return what ``n`` lines of so many threads took."""
    taken: Taken = []
    begun = [threading.Thread(target=lambda: taken.extend(timed(handler, n // threads))) for _ in range(threads)]
    for thread in begun:
        thread.start()
    for thread in begun:
        thread.join()
    return taken


def stalled() -> logging.Handler:
    """Return a handler whose disk stands still, the queue full."""
    handler = logs.LogHandler(Pipe)
    timed(handler, SLOTS_MAX + 1_000)
    return handler


def filling(n: int) -> Taken:
    """Return what lines take that still find room while the disk stands still."""
    taken: Taken = []
    while len(taken) < n:
        taken += timed(logs.LogHandler(Pipe), SLOTS_MAX - 600)
    return taken


def cases(folder: str, n: int) -> dict[str, Callable[[], Taken]]:
    """Return what is measured in each round, in this order."""

    def with_ours(name: str, **how) -> Taken:
        handler = logs.handler(f"{folder}/{name}-{time.monotonic_ns()}")
        taken = timed(handler, **how)
        handler.close()
        return taken

    def file() -> logging.Handler:
        return logging.FileHandler(f"{folder}/{time.monotonic_ns()}.log")

    few = n // 10
    return {
        "null, storm": lambda: timed(logging.NullHandler(), n),
        "QueueHandler, storm": lambda: timed(logging.handlers.QueueHandler(SimpleQueue()), n),
        "file, storm": lambda: timed(file(), n),
        "ours stalled, filling": lambda: filling(n),
        "ours stalled, full": lambda: timed(stalled(), n),
        "ours stalled, full, raised": lambda: timed(stalled(), SLOTS_MAX - 600, level=logging.WARNING),
        "ours fine, storm": lambda: with_ours("storm", n=n),
        "ours fine, storm, extra": lambda: with_ours("extra", n=n, extra=EXTRA),
        "null, pace": lambda: timed(logging.NullHandler(), few, pace_s=0.001),
        "file, pace": lambda: timed(file(), few, pace_s=0.001),
        "ours fine, pace": lambda: with_ours("pace", n=few, pace_s=0.001),
        "ours stalled, pace": lambda: timed(stalled(), few, pace_s=0.001),
        "null, 8 threads": lambda: together(logging.NullHandler(), n),
        "QueueHandler, 8 threads": lambda: together(logging.handlers.QueueHandler(SimpleQueue()), n),
        "ours stalled, 8 threads": lambda: together(stalled(), n),
    }


def quantiles(taken: list[int]) -> str:
    taken.sort()
    p50, p99, p999, top = (taken[int(len(taken) * share)] / 1e3 for share in (0.5, 0.99, 0.999, 1 - 1e-9))
    return f"p50 {p50:6.1f}  p99 {p99:7.1f}  p99.9 {p999:8.1f}  max {top:9.1f}"


def emits(folder: str, n: int, rounds: int) -> None:
    all_of: dict[str, Taken] = {}
    for _ in range(rounds):
        for name, measure in cases(folder, n).items():
            gc.collect()  # what another handler left behind is not this one's to trace
            all_of.setdefault(name, []).extend(measure())
    print(f"us a line; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for name, taken in all_of.items():
        print(f"{name:28} wall {quantiles([wall for wall, _ in taken])} | cpu {quantiles([cpu for _, cpu in taken])}")
    for name in ("ours stalled, filling", "ours stalled, full"):
        for kind, of in (("wall", 0), ("cpu", 1)):
            took = sorted(one[of] for one in all_of[name])
            p99, top = took[int(len(took) * 0.99)] / 1e3, took[-1] / 1e3
            verdict = "met" if p99 <= TARGET_P99_US and top <= TARGET_MAX_US else "missed"
            wanted = f"p99 {TARGET_P99_US}, max {TARGET_MAX_US} us"
            print(f"target {wanted}, {name}, {kind}: {p99:.1f}, {top:.1f}: {verdict}")


START = """
import logging, sys, time
began = time.perf_counter()
import msgspec
beside = time.perf_counter()
from holdfast import logs
import holdfast.logs.opening
imported = time.perf_counter()
handler = logs.handler(sys.argv[1])
made = time.perf_counter()
handler.handle(logging.makeLogRecord({"msg": "one", "levelno": 20}))
first = time.perf_counter()
for name, ms in (
    ("msgspec", beside - began), ("import", imported - beside), ("make", made - imported), ("first", first - made)
):
    print(f"{name} {ms * 1e3:6.2f} ms", end="  ")
"""


@contextmanager
def full_disk(folder: str) -> Iterator[str | None]:
    """Mount a disk of 64 KiB and fill it; None where none may be mounted."""
    path = f"{folder}/full"
    os.mkdir(path)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", path], capture_output=True).returncode:
        yield None
        return
    try:
        with open(f"{path}/all", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4_096))
            except OSError:
                pass
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def starts(folder: str, foreign: int) -> None:
    fine, as_file, read_only, crowded, locked = (
        f"{folder}/{name}" for name in ("fine", "file", "ro", "crowded", "locked")
    )
    with open(as_file, "wb"):
        pass
    for path in (read_only, crowded, locked):
        os.mkdir(path)
    os.chmod(read_only, 0o500)
    for number in range(foreign):
        os.close(os.open(f"{crowded}/foreign-{number}", os.O_CREAT | os.O_WRONLY))
    with open(f"{crowded}/large", "wb") as file:
        file.truncate(30 * 2**30)
    holder = os.open(locked, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    with full_disk(folder) as full, tempfile.TemporaryDirectory() as bytecode:
        # With bytecode, as an installed package has it; the first start only makes it.
        env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        env["PYTHONPYCACHEPREFIX"] = bytecode
        places = [fine, fine, as_file, read_only, crowded, locked, "/proc/self/no", *([full] if full else [])]
        for number, path in enumerate(places):
            command = [sys.executable, "-c", START, path]
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
            if number:
                print(f"start {os.path.basename(path):22} {done.stdout.strip()}", flush=True)
        if full is None:
            print("start full: not measured, no disk may be mounted here")
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
    print(f"{'ERROR on its way':28} wall {quantiles(took)}, load {os.getloadavg()[0]:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?")
    parser.add_argument("--n", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--foreign", type=int, default=100_000, help="files of others in the crowded directory")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.directory) as folder:
        emits(folder, given.n, given.rounds)
        for name, line in (
            ("redact, nothing in it", LINE % (7, 7)),
            ("redact, a token", LINE % (7, 7) + " token=abcdef12"),
            ("redact, 16 KiB to vex it", "a." * 8_000 + " token@"),
        ):
            n = 1_000 if len(line) < 1_000 else 20
            redact.text(line)
            began = time.thread_time()
            for _ in range(n):
                redact.text(line)
            print(f"{name:28} {(time.thread_time() - began) / n * 1e6:11.1f} us each (in the writer's thread)")
        errors(f"{folder}/errors")
        starts(folder, given.foreign)
    os._exit(0)  # the stalled threads never end


if __name__ == "__main__":
    main()
