"""Hosts are killed wherever they are: each frame that can be read is right, and what is lost is what came last."""

from __future__ import annotations

import collections
import os
import random
import signal
import time

import pytest
from incident_helpers import taken

from holdfast.logs import Caps, LogQuery, Record, SegmentWriter, reading
from holdfast.logs.pump import TARGET
from holdfast.logs.query import query
from holdfast.logs.reading import SegmentFile

LOST_MAX = 256
LOST_S = 2.0
CAPS = Caps(free_bytes=0)

# It imports once and forks each host, which says what it logged and when, and what it flushed.
NURSERY = """
def host(directory, seed):
    draw = random.Random(seed)
    handler = logs.handler(directory, "TRACE", caps=logs.Caps(free_bytes=0))
    log = logging.getLogger("host")
    log.propagate = False
    log.setLevel(1)
    log.addHandler(handler)
    pid, pause, number = os.getpid(), threading.Event(), 0
    while True:
        for _ in range(draw.choice((1, 1, 5, 80))):
            level = draw.choice((5, 10, 20, 30, 40))
            log.log(level, "%d %s", number, draw.randbytes(draw.choice((10, 10, 200, 1_500))).hex())
            say("error" if level == 40 else "said", pid, number, time.time_ns() // 1_000)
            number += 1
        match draw.randrange(12):
            case 0:
                handler.flush()
                if handler.stats().written == number:
                    say("flushed", pid, number, 0)
            case 1:
                pause.wait(draw.random() / 10)

warm(sys.argv[1])
while True:
    directory, seed, count = hear().split()
    pids = []
    for n in range(int(count)):
        pid = os.fork()
        if pid == 0:
            try:
                host(directory, int(seed) + n)
            finally:
                os._exit(1)
        pids.append(pid)
    for pid in pids:
        say("dead", pid, os.waitpid(pid, 0)[1], 0)
"""


class Life:
    """One host, as it told."""

    def __init__(self, kill_after):
        self.kill_after = kill_after
        self.said_us = []
        self.errors = set()
        self.flushed = 0
        self.killed_us = 0


def kill_some(nursery, directory, draw, count):
    """Have ``count`` hosts log, kill each after it said some lines, and return their lives by pid."""
    nursery.tell(f"{directory} {draw.randrange(1 << 30)} {count}")
    lives = collections.defaultdict(lambda: Life(draw.choice((1, 20, 100, 500)) + draw.randrange(100)))
    dead = 0
    while dead < count:
        word, pid, number, us = nursery.line().split()
        life = lives[int(pid)]
        match word:
            case "said" | "error":
                if word == "error":
                    life.errors.add(int(number))
                life.said_us.append(int(us))
                if len(life.said_us) == life.kill_after:
                    life.killed_us = time.time_ns() // 1_000
                    os.kill(int(pid), signal.SIGKILL)
            case "flushed":
                life.flushed = int(number)
            case "dead":
                assert int(number) == signal.SIGKILL
                dead += 1
    return lives


def check_frames(directory):
    """Fail unless every frame with a summary is whole and what it says; return how many there are."""
    frames = 0
    for segment in reading.listing(str(directory)):
        file = SegmentFile(segment)
        for stretch in file.stretches():
            text = file.text(stretch)
            lines = text.split(b"\n")
            torn = lines.pop()
            records = [reading.record_of(line) for line in lines]
            if stretch.summary is None:
                assert stretch.end == segment.size, "only the end may be torn"
                records = [record for line, record in zip(lines, records, strict=True) if line]
            else:
                assert (torn, len(records)) == (b"", stretch.summary.count)
                frames += 1
            assert None not in records
    return frames


def survive(start, tmp_path, kills, seed):
    draw = random.Random(seed)
    nursery = start(NURSERY, tmp_path / "scratch")
    frames = most_lost = longest_us = error_us = open_us = 0
    for turn in range(0, kills, 25):
        directory = tmp_path / f"logs-{turn}"
        lives = kill_some(nursery, directory, draw, 25)
        frames += check_frames(directory)
        found = collections.defaultdict(list)
        for record in query(directory, LogQuery()):
            if record.target != TARGET:
                found[record.pid].append(int(record.message.split()[0]))
        assert len(lives) == 25
        for pid, life in lives.items():
            kept = set(found[pid])
            assert len(kept) == len(found[pid]), "none twice"
            assert kept >= set(range(life.flushed)), "what was flushed is there"
            # How long before it was killed it said what is lost.
            lost_us = {n: life.killed_us - us for n, us in enumerate(life.said_us) if n not in kept}
            if lost_us:
                most_lost = max(most_lost, len(lost_us))
                longest_us = max(longest_us, *lost_us.values())
                error_us = max(error_us, *(us for number, us in lost_us.items() if number in life.errors), 0)
                assert len(lost_us) <= LOST_MAX or max(lost_us.values()) <= LOST_S * 1e6
        begun_ns = time.monotonic_ns()
        again = SegmentWriter(directory, CAPS)
        assert again.append([Record(id=0, ts=1, level="INFO", target="next", message="goes on")]).written == 1
        open_us = max(open_us, (time.monotonic_ns() - begun_ns) // 1_000)
        again.close()
        assert taken(directory) <= CAPS.bytes
    print(f"seed {seed}: {kills} kills, {frames} frames whole; lost at most {most_lost} records of {longest_us} us,")
    print(f"errors of {error_us} us; the next open took at most {open_us} us")


def test_a_hundred_kills_cost_what_came_last_and_nothing_else(start, tmp_path):
    survive(start, tmp_path, 100, seed=11)


@pytest.mark.torture
def test_a_thousand_kills_cost_what_came_last_and_nothing_else(start, tmp_path):
    survive(start, tmp_path, 1_000, seed=random.randrange(1 << 30))
