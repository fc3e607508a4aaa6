"""What a watcher costs: per event, to register, idle; and how soon a followed home's change is in the index.

    PYTHONPATH=src python bench/watching.py [--dirs 200000] [--events 40000] [--idle-s 5] [--polled-s 60] [--home 2000]

``--dirs`` directories are made under a temporary directory, nine of ten below names
that are ignored. Times are of this process's CPU where they say CPU, else of the wall.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import holdfast
from holdfast import ids
from holdfast.watch import Watcher

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def cpu_s() -> float:
    times = os.times()
    return times.user + times.system


def rss_mib() -> float:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def make_dirs(root: str, count: int) -> None:
    """Make ``count`` directories: packages with one directory of their own and nine in ``node_modules``."""
    for package in range(count // 12):
        base = f"{root}/g{package % 100}/p{package}"
        os.makedirs(f"{base}/src")
        for number in range(9):
            os.makedirs(f"{base}/node_modules/m{number}")


def registering(root: str, dirs: int, polled_s: float) -> None:
    for name, watches_max in (("1,024 watches (the default)", 1_024), ("25,000 watches", 25_000)):
        code = (
            "import time, sys, os; sys.path.insert(0, 'bench')\n"
            "from bench.watching import rss_mib; from holdfast.watch import Watcher\n"
            "before = rss_mib(); began = time.perf_counter()\n"
            f"watcher = Watcher('/nowhere/state', watches_max={watches_max})\n"
            f"subscription = watcher.subscribe({root!r}, recursive=True)\n"
            "took = time.perf_counter() - began; status = watcher.status()\n"
            f"cpu = sum(os.times()[:2]); time.sleep({polled_s}); cpu = sum(os.times()[:2]) - cpu\n"
            "print(f'{took:.2f} s, {rss_mib() - before:.1f} MiB more, {rss_mib():.0f} MiB in all,',"
            f" f'{{status.watches}} watches, {{status.polled}} polled; then idle {{cpu / {polled_s} * 100:.2f}} % CPU',"
            f" 'over {polled_s:g} s, load', os.getloadavg()[0])\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        print(f"{dirs:,} directories, {name}: {done.stdout.strip()}", flush=True)


WRITE = """
import os, sys, time
began = time.perf_counter()
fds = [os.open(f"{sys.argv[1]}/{sys.argv[2]}{n}", os.O_CREAT | os.O_WRONLY) for n in range(20)]
for number in range(int(sys.argv[3])):
    os.pwrite(fds[number % 20], b"x", 0)
    if number % 100 == 0:  # 10,000 in a second
        time.sleep(max(began + number / 10_000 - time.perf_counter(), 0))
"""


def events(folder: str, count: int) -> None:
    """Another process writes to twenty files in turn; the kernel merges only what is the same in a row."""
    with Watcher("/nowhere/state") as watcher:
        os.mkdir(folder)
        subscription = watcher.subscribe(folder, recursive=True)
        for name, prefix in (("told", "x"), ("of a database, told to nobody", "x.sqlite-wal")):
            seen, began = watcher.status().events, cpu_s()
            wall = time.perf_counter()
            child = subprocess.Popen([sys.executable, "-c", WRITE, folder, prefix, str(count)])
            while child.poll() is None:
                subscription.next(0.05)
            while subscription.next(0.5) is not None:
                pass
            took, counted = cpu_s() - began, watcher.status().events - seen
            wall = time.perf_counter() - wall - 0.5
            lost = f", queue full {watcher.status().overflows} times" if watcher.status().overflows else ""
            each, share = took / counted * 1e6, took / wall * 100
            print(f"events {name}: {each:.2f} µs CPU each, {share:.0f} % of a core ({counted:,} in {wall:.1f} s{lost})")


def idle(folder: str, seconds: float) -> None:
    os.makedirs(folder)
    with Watcher("/nowhere/state") as watcher:
        subscriptions = [watcher.subscribe(folder, f"{folder}/file{n}") for n in range(10)]
        time.sleep(1)
        began = cpu_s()
        time.sleep(seconds)
        print(f"idle, 20 roots: {(cpu_s() - began) / seconds * 100:.2f} % CPU", flush=True)
        del subscriptions


def teardown(folder: str, rounds: int = 20) -> None:
    """Close watchers of 1,024 directories while the kernel's queue and a subscriber's are full."""
    for number in range(1_023):
        os.makedirs(f"{folder}/d{number}")
    took = []
    for _ in range(rounds):
        watcher = Watcher("/nowhere/state")
        subscriptions = [watcher.subscribe(folder, recursive=True, debounce_ms=60_000) for _ in range(4)]
        assert watcher.status().watches == 1_024
        with watcher.core.lock:  # its thread reads nothing meanwhile, and the kernel's queue fills
            for number in range(20_000):
                name = f"{folder}/d{number % 1_023}/x{number % 5_000}"
                os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
                os.unlink(name)
        began = time.perf_counter()
        watcher.close()
        took.append((time.perf_counter() - began) * 1000)
        del subscriptions
    took.sort()
    print(f"closing, 1,024 watches and full queues: p50 {statistics.median(took):.0f} ms, max {took[-1]:.0f} ms")


def rollout(home: str, number: int, words: str) -> tuple[str, str]:
    thread = ids.text(ids.new(time.time_ns() // 1_000_000))
    folder = f"{home}/sessions/2026/11/{number % 28 + 1:02}"
    os.makedirs(folder, exist_ok=True)
    meta = {"id": thread, "timestamp": "2026-11-21T12:00:00Z", "cwd": "/w", "originator": "bench", "cli_version": "1"}
    lines = [
        {"timestamp": "2026-11-21T12:00:00.000Z", "type": "session_meta", "payload": meta},
        {
            "timestamp": "2026-11-21T12:00:01.000Z",
            "type": "event_msg",
            "payload": {"type": "user_message", "message": words},
        },
    ]
    path = f"{folder}/rollout-2026-11-21T12-00-00-{thread}.jsonl"
    with open(path, "w", encoding="utf-8") as file:
        file.write("".join(json.dumps(line) + "\n" for line in lines))
    return thread, path


def change(home: str, name: str, path: str, number: int) -> str:
    """Do one thing to a home; return the path, in the plain spelling, by which it is told."""
    if name == "new":
        return rollout(home, number, "new")[1]
    if name == "grown":
        with open(path, "a", encoding="utf-8") as file:
            file.write('{"timestamp": "2026-11-21T13:00:00.000Z", "type": "event_msg", "payload": {}}\n')
    elif name == "replaced":
        with open(path, "rb") as old, open(f"{path}.new", "wb") as new:
            new.write(old.read())
        os.rename(f"{path}.new", path)
    elif name == "compressed":
        with open(path, "rb") as old, open(f"{path}.zst", "wb") as new:
            new.write(zstd.compress(old.read()))
        os.unlink(path)
    elif name == "archived":
        archived = f"{home}/archived_sessions/{os.path.basename(path)}"
        os.rename(path, archived)
        return archived
    else:
        os.unlink(path)
    return path


@contextmanager
def followed(state: holdfast.State) -> Iterator[dict[str, float]]:
    stop, began, told = threading.Event(), threading.Event(), {}

    def run() -> None:
        for change in state.follow(stop=stop):
            began.set()
            if change.path is not None:
                told[change.path] = time.perf_counter()

    thread = threading.Thread(target=run)
    thread.start()
    began.wait()
    try:
        yield told
    finally:
        stop.set()
        thread.join()


def following(folder: str, files: int, seconds: float) -> None:
    home = f"{folder}/home"
    os.makedirs(f"{home}/archived_sessions")
    paths = [rollout(home, number, f"thread {number}")[1] for number in range(files)]
    with holdfast.open(home, state_dir=f"{folder}/state", search=False) as state, followed(state) as told:
        time.sleep(1)
        began = cpu_s()
        time.sleep(seconds)
        print(f"following {files:,} files, idle: {(cpu_s() - began) / seconds * 100:.2f} % CPU", flush=True)
        for index, name in enumerate(("new", "grown", "replaced", "compressed", "archived", "deleted")):
            took = []
            for number in range(30):
                path = paths[(number * 7 + index) % files]
                told.pop(os.path.relpath(path, home), None)
                wrote = time.perf_counter()
                relative = os.path.relpath(change(home, name, path, number), home)
                while relative not in told and time.perf_counter() - wrote < 10:
                    time.sleep(0.001)
                took.append((told.get(relative, wrote + 10) - wrote) * 1000)
                time.sleep(0.05 * (number % 5))
            took.sort()
            print(f"following, a {name} file is in: p50 {statistics.median(took):.0f} ms, max {took[-1]:.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dirs", type=int, default=200_000)
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--idle-s", type=float, default=5.0)
    parser.add_argument("--polled-s", type=float, default=60.0)
    parser.add_argument("--home", type=int, default=2_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        events(f"{folder}/events", given.events)
        idle(f"{folder}/idle", given.idle_s)
        teardown(f"{folder}/teardown")
        following(f"{folder}/follow", given.home, given.idle_s)
        os.mkdir(f"{folder}/dirs")
        make_dirs(f"{folder}/dirs", given.dirs)
        registering(f"{folder}/dirs", given.dirs, given.polled_s)


if __name__ == "__main__":
    main()
