"""What every bench shares: a command's cost over its whole process tree, latencies, and the table.

How the numbers are taken, on Linux:

* wall: the monotonic clock around spawn and exit;
* CPU: ``wait4``, user + system of the command and of every child it waited for;
* bytes written: ``/proc/PID/io`` of the dead but not yet reaped command. The
  kernel adds a child's counters to its parent's when the parent reaps it, so this
  is the tree. ``write_bytes`` is what reached the page cache on its way to disk,
  ``wchar`` what was passed to write calls (pipes too);
* memory: every 20 ms the resident sizes of all processes of the tree, summed, and
  as often as it costs under a twentieth of the time their proportional sizes
  (shared pages counted once), which are the number that is told. A peak between
  two samples is missed. ``ru_maxrss`` is no help: it starts at the size of the
  process that forked.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SAMPLE_MS = 20
PSS_REST = 20  # times as long as the asking took
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


# --- one command -------------------------------------------------------------


@dataclass(frozen=True)
class Io:
    """Counters of ``/proc/PID/io``, in bytes."""

    write_bytes: int = 0
    wchar: int = 0
    read_bytes: int = 0
    rchar: int = 0

    @classmethod
    def of(cls, pid: int) -> Io:
        """Return the counters of ``pid`` and of the children it has reaped; works on a zombie."""
        text = Path(f"/proc/{pid}/io").read_text()
        found = {key: int(value) for key, _, value in (line.partition(":") for line in text.splitlines())}
        return cls(found["write_bytes"], found["wchar"], found["read_bytes"], found["rchar"])


@dataclass(frozen=True)
class Cost:
    """What a command took, all its processes together."""

    wall_s: float
    cpu_s: float
    io: Io
    rss_bytes: int  # peak of the sum
    pss_bytes: int
    processes: int
    exit_code: int
    stdout: str
    stderr: str
    started: float  # time.monotonic() at the spawn


def tree(pid: int) -> list[int]:
    """Return ``pid`` and its living descendants."""
    found, queue = [], [pid]
    while queue:
        found.append(one := queue.pop())
        try:
            for task in os.listdir(f"/proc/{one}/task"):
                with open(f"/proc/{one}/task/{task}/children") as children:
                    queue += map(int, children.read().split())
        except OSError:
            continue
    return found


def resident_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm") as statm:
            return int(statm.read().split()[1]) * PAGE_BYTES
    except (OSError, IndexError):
        return 0


def proportional_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup") as rollup:
            return next((int(line.split()[1]) * 1024 for line in rollup if line.startswith("Pss:")), 0)
    except OSError:
        return 0


class MemoryWatch(threading.Thread):
    """Samples the memory of a process tree until told to stop."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid = pid
        self.rss_bytes = self.pss_bytes = self.processes = 0
        self._done = threading.Event()

    def run(self) -> None:
        rested = 0.0
        while not self._done.wait(SAMPLE_MS / 1000):
            pids = tree(self.pid)
            self.processes = max(self.processes, len(pids))
            self.rss_bytes = max(self.rss_bytes, sum(map(resident_bytes, pids)))
            began = time.perf_counter()
            if began >= rested:
                self.pss_bytes = max(self.pss_bytes, sum(map(proportional_bytes, pids)))
                rested = began + PSS_REST * (time.perf_counter() - began)

    def stop(self) -> None:
        self._done.set()
        self.join()


def run(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    timeout_s: float = 900,
    on_start: Callable[[int], None] | None = None,
) -> Cost:
    """Run ``command`` to its end and return its cost; after ``timeout_s`` it is killed with its session.

    ``on_start`` is called with its pid as soon as there is one.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        started = time.monotonic()
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env, start_new_session=True
        )
        if on_start:
            on_start(child.pid)
        watch = MemoryWatch(child.pid)
        watch.start()
        alarm = threading.Timer(timeout_s, os.killpg, (child.pid, signal.SIGKILL))
        alarm.start()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, not reaped: /proc still answers
        wall_s = time.monotonic() - started
        alarm.cancel()
        watch.stop()
        io = Io.of(child.pid)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        return Cost(
            wall_s=wall_s,
            cpu_s=usage.ru_utime + usage.ru_stime,
            io=io,
            rss_bytes=watch.rss_bytes,
            pss_bytes=watch.pss_bytes,
            processes=watch.processes,
            exit_code=child.returncode,
            stdout=out.read(),
            stderr=err.read(),
            started=started,
        )


# --- latencies ---------------------------------------------------------------


@dataclass(frozen=True)
class Latency:
    """Sorted times of the same call, in ms."""

    ms: tuple[float, ...]

    def at(self, share: float) -> float:
        return self.ms[min(len(self.ms) - 1, int(share * len(self.ms)))]

    @property
    def p50(self) -> float:
        return self.at(0.50)

    @property
    def p99(self) -> float:
        return self.at(0.99)

    def __str__(self) -> str:
        # Under a hundred calls the 99th percentile is only the slowest one.
        top = "p99" if len(self.ms) >= 100 else "max"
        return f"p50 {number(self.p50)} {top} {number(self.p99)} ms (n={len(self.ms)})"


def latency(
    call: Callable[[int], object], *, most: int = 200, least: int = 5, budget_s: float = 2.0, warmup: int = 2
) -> Latency:
    """Time ``call(i)`` up to ``most`` times, fewer (but ``least``) when the budget runs out first."""
    for i in range(warmup):
        call(i)
    times: list[float] = []
    deadline = time.perf_counter() + budget_s
    while len(times) < most and (len(times) < least or time.perf_counter() < deadline):
        began = time.perf_counter()
        call(len(times))
        times.append((time.perf_counter() - began) * 1000)
    return Latency(tuple(sorted(times)))


# --- the table ---------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One line of a result: ours, what we aim at, and the peer beside it.

    ``peer`` is measured in this run unless ``peer_is`` says where else it comes
    from. ``at_most``, ``at_least`` and ``ratio_least`` are the targets; without one
    the line is only told.
    """

    what: str
    ours: float | None
    unit: str
    at_most: float | None = None
    peer: float | None = None
    ratio_least: float | None = None
    peer_is: str = ""
    note: str = ""
    at_least: float | None = None

    @property
    def ratio(self) -> float | None:
        return self.peer / self.ours if self.peer is not None and self.ours else None

    @property
    def verdict(self) -> str:
        if self.ours is None or (self.at_most is None and self.at_least is None and self.ratio_least is None):
            return ""
        if self.at_least is not None and self.ours < self.at_least:
            return "MISSED"
        if self.at_most is not None and self.ours > self.at_most:
            return "MISSED"
        if self.ratio_least is not None:
            if self.ratio is None or self.peer_is:
                return "no peer"  # a ratio to another day's number is told, not judged
            if self.ratio < self.ratio_least:
                return "MISSED"
        return "met"

    @property
    def target(self) -> str:
        parts = [f"<= {number(self.at_most)} {self.unit}"] if self.at_most is not None else []
        parts += [f">= {number(self.at_least)} {self.unit}".rstrip()] if self.at_least is not None else []
        parts += [f">= {number(self.ratio_least)}x"] if self.ratio_least is not None else []
        return ", ".join(parts)

    def cells(self) -> list[str]:
        ours = "-" if self.ours is None else f"{number(self.ours)} {self.unit}"
        peer = "-" if self.peer is None else f"{number(self.peer)} {self.unit}"
        peer += f" ({self.peer_is})" if self.peer_is and self.peer is not None else ""
        ratio = "-" if self.ratio is None else f"{number(self.ratio)}x"
        return [self.what, ours, self.target, self.verdict, peer, ratio, self.note]


@dataclass
class Result:
    """What one bench found: its lines, and what it could not measure."""

    title: str
    rows: list[Row] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, *row: object, **named: object) -> None:
        self.rows.append(Row(*row, **named))  # type: ignore[arg-type]


HEADINGS = ["what", "ours", "target", "", "peer", "peer / ours", "note"]


def number(value: float) -> str:
    """Return ``value`` with about three digits that mean something."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3f}"


def show(result: Result) -> str:
    """Return ``result`` as aligned text for a terminal."""
    lines = [f"== {result.title}"]
    cells = [HEADINGS, *(row.cells() for row in result.rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEADINGS))]
    if result.rows:
        lines += [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
        ]
    lines += [f"missing: {one}" for one in result.missing]
    lines += [f"note: {one}" for one in result.notes]
    return "\n".join(lines)


def markdown(results: Iterable[Result]) -> str:
    """Return ``results`` as a Markdown document, machine line first."""
    parts = [f"{machine()}\n"]
    for result in results:
        parts.append(f"## {result.title}\n")
        if result.rows:
            parts.append("| " + " | ".join(HEADINGS) + " |")
            parts.append("| " + " | ".join("---" for _ in HEADINGS) + " |")
            parts += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row.cells()) + " |" for row in result.rows]
            parts.append("")
        parts += [f"* missing: {one}" for one in result.missing]
        parts += [f"* {one}" for one in result.notes]
        parts.append("")
    return "\n".join(parts)


def machine() -> str:
    """Return one line that says where the numbers come from, with the load other people make."""
    try:
        import apsw

        ours = f"SQLite {apsw.sqlite_lib_version()} (apsw)"
    except ImportError:
        ours = "no apsw"
    load = ", ".join(f"{one:.2f}" for one in os.getloadavg())
    cores = len(os.sched_getaffinity(0))
    return (
        f"{cores} cores, {platform.system()} {platform.release()} {platform.machine()}, "
        f"Python {platform.python_version()}, {ours}, SQLite {sqlite3.sqlite_version} (stdlib), load {load}, "
        f"{time.strftime('%Y-%m-%d %H:%M')}"
    )


def finish(results: Iterable[Result]) -> int:
    """Print ``results``; return 1 when a target was missed or something could not be measured, else 0."""
    results = list(results)
    print(machine())
    for result in results:
        print(show(result))
    sys.stdout.flush()
    return int(any(result.missing or any(row.verdict == "MISSED" for row in result.rows) for result in results))


def main(measured: Callable[[int, bool], Iterable[Result]], about: str | None) -> int:
    """Run a bench that takes the size of its home, and whether to measure the peer; return as ``finish`` does."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--no-peer", action="store_true")
    given = parser.parse_args()
    return finish(measured(given.n, not given.no_peer))
