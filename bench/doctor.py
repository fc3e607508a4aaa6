"""What the doctor reads without a database open, beside 200 processes of 10,000 descriptors and a file of 30 GB.

    PYTHONPATH=src python bench/doctor.py [--processes 200] [--fds 10000] [--holders 10] [--rounds 3] [--whole]

The processes are forks of one small one, whose descriptors are copies of a few; the
holders among them open the database afterwards, so theirs come last. The peer walks
over every descriptor of every process and reads its link, as lsof does. ``--whole``
runs ``holdfast doctor`` on the same file. Everything is made below a temporary folder.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import apsw

GIB = 1 << 30
TARGET_S = 5.0  # for all of the doctor; D02
SCAN_TARGET_S = 2.0  # for the look at processes; R2

LOOK = """
import json, sys, time
from holdfast.doctor.facts.look import look
from holdfast.doctor.model import Database, Target
from holdfast.doctor.probes.raw import RAW
path = sys.argv[1]
began = time.monotonic()
(seen,) = look([Target(kind="sqlite", path=path, databases=(Database(role="other", path=path),))])
looked = time.monotonic() - began
found = [each.id for probe in RAW for each in probe.run(seen)]
print(json.dumps({"look": looked, "all": time.monotonic() - began, "left": seen.processes.left, "found": found,
                  "holders": len(seen.processes.holders(seen.families[0])), "processes": len(seen.processes.all)}))
"""

WALK = """
import json, os, sys, time
path = sys.argv[1]
began, fds, holders = time.monotonic(), 0, set()
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            fds += 1
            if os.readlink(f"/proc/{pid}/fd/{fd}") == path:
                holders.add(pid)
    except OSError:
        continue
print(json.dumps({"all": time.monotonic() - began, "fds": fds, "holders": len(holders)}))
"""


@contextmanager
def crowd(path: str, processes: int, fds: int, holders: int) -> Iterator[None]:
    """Have so many processes of so many descriptors, some of which have the database open."""
    reader, writer = os.pipe()
    parent = os.fork()
    if not parent:
        try:
            _crowd(path, processes, fds, holders, writer)
        finally:  # an error in one of its children, too
            os._exit(1)
    os.close(writer)
    try:
        if os.read(reader, 1) != b"x":
            raise SystemExit("the processes could not be started: is the limit on open files high enough?")
        yield
    finally:
        os.killpg(parent, signal.SIGKILL)
        os.waitpid(parent, 0)
        os.close(reader)


def _crowd(path: str, processes: int, fds: int, holders: int, writer: int) -> None:
    os.setpgid(0, 0)
    sources = [os.open(path, os.O_RDONLY) for path in ("/dev/null", "/proc/self/stat", sys.executable)]
    for number in range(fds):
        os.dup(sources[number % len(sources)])
    ready, said = os.pipe()
    for number in range(processes):
        if os.fork() == 0:
            if number < holders:
                connection = apsw.Connection(path)
                connection.execute("SELECT count(*) FROM t").fetchall()
            os.write(said, b"r")
            while True:
                signal.pause()
    os.close(said)
    if all(os.read(ready, 1) for _ in range(processes)):  # it ends early when one of them died
        os.write(writer, b"x")
    while True:
        signal.pause()


def run(code: str, path: str) -> dict[str, object]:
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def whole(path: str) -> float:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "holdfast", "doctor", path, "--json"], capture_output=True, check=False
    )
    if done.returncode not in (0, 1, 2, 3):
        raise SystemExit(done.stderr.decode())
    return time.monotonic() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=200)
    parser.add_argument("--fds", type=int, default=10_000)
    parser.add_argument("--holders", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--whole", action="store_true")
    given = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, given.fds + 100)), hard))
    missed = False
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.realpath(f"{folder}/large.db")
        connection = apsw.Connection(path)
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute("CREATE TABLE t (x); INSERT INTO t VALUES (1)")
        connection.close()
        os.truncate(path, 30 * GIB)
        with crowd(path, given.processes, given.fds, given.holders):
            ours, theirs, total = [], [], []
            for _ in range(given.rounds):
                ours.append(run(LOOK, path))
                theirs.append(run(WALK, path))
                if given.whole:
                    total.append(whole(path))
        last = ours[-1]
        look_s = statistics.median(float(str(each["look"])) for each in ours)
        all_s = statistics.median(float(str(each["all"])) for each in ours)
        walk_s = statistics.median(float(str(each["all"])) for each in theirs)
        print(
            f"{given.processes} processes of {given.fds:,} descriptors, a database of 30 GiB, load {os.getloadavg()[0]}"
        )
        print(
            f"looks and probes: {all_s:.2f} s, of it the two looks {look_s:.2f} s; {last['processes']} processes seen"
        )
        print(f"  {last['holders']} of {given.holders} holders found; findings {last['found']}; left: {last['left']}")
        print(
            f"a walk over every descriptor: {walk_s:.2f} s for {theirs[-1]['fds']:,}; {theirs[-1]['holders']} holders"
        )
        missed = all_s > SCAN_TARGET_S or any(each["holders"] != given.holders for each in ours)
        if total:
            print(f"holdfast doctor, all of it: {statistics.median(total):.2f} s")
            missed = missed or statistics.median(total) > TARGET_S
    print("missed" if missed else "met")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
