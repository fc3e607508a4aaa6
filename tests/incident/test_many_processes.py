"""Twenty processes log to one directory while whoever reads it is stopped in the middle."""

from __future__ import annotations

import json
import select
from collections import Counter

import pytest
from incident_helpers import taken, told

from holdfast.logs import counts
from holdfast.logs.pump import TARGET
from holdfast.logs.query import iterate
from processes import Child

MIB = 1 << 20
PROCESSES = 20

# One process forks the others: each has a handler of its own, a queue, a thread and a segment.
HOSTS = """
directory, cap, per_s, ticks = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
def host(number):
    noise = random.Random(number)
    handler = logs.handler(directory, "TRACE", caps=logs.Caps(bytes=cap, free_bytes=0))
    log = logging.getLogger("host")
    log.propagate = False
    log.setLevel(1)
    log.addHandler(handler)
    emitted = 0
    due_s = time.monotonic()
    pause = threading.Event()
    for tick in range(ticks):
        for n in range(per_s // 20 - 5):
            log.log((5, 10, 20, 40)[n % 4], "host %d says %d: %s", number, emitted + n, noise.randbytes(150).hex())
        for _ in range(5):
            log.info("the same again")
        emitted += per_s // 20
        due_s += 0.05
        pause.wait(max(due_s - time.monotonic(), 0))
    handler.close()
    tell_stats(handler, emitted=emitted)
warm(directory + "-scratch")
say("forking")
pids = []
for number in range(PROCESSES):
    pid = os.fork()
    if pid == 0:
        host(number)
        os._exit(0)
    pids.append(pid)
say(json.dumps([os.waitpid(pid, 0)[1] for pid in pids]))
""".replace("PROCESSES", str(PROCESSES))

READER = """
from holdfast.logs.query import iterate
from holdfast.logs.tail import tail
say("reading")
def again_and_again():
    while True:
        yield from iterate(sys.argv[1])
found = tail(sys.argv[1]) if sys.argv[2] == "tail" else again_and_again()
for number, record in enumerate(found):
    if number == 10:
        say("in the middle")
"""


def run(start, directory, cap, ticks):
    """Let the hosts log with two readers stopped; return what each said, and the most the directory took."""
    hosts = start(HOSTS, directory, cap, 500, ticks)
    assert hosts.line() == "forking"
    readers: list[Child] = [start(READER, directory, how) for how in ("tail", "query")]
    for reader in readers:
        assert (reader.line(), reader.line()) == ("reading", "in the middle")
        reader.stop()
    stats = []
    highest = 0
    while len(stats) < PROCESSES:
        ready = hosts.process.stdout in select.select([hosts.process.stdout], [], [], 0.05)[0]
        highest = max(highest, taken(directory))
        if ready:
            stats.append(told(hosts))
    assert json.loads(hosts.line()) == [0] * PROCESSES
    highest = max(highest, taken(directory))
    for reader in readers:
        reader.go_on()
    assert highest <= cap
    for each in stats:
        assert each["given"] == each["emitted"]
    return stats


@pytest.mark.parametrize("ticks", [20, pytest.param(20 * 300, marks=pytest.mark.torture)], ids=["short", "5min"])
def test_twenty_hosts_and_two_stopped_readers_lose_no_record_without_counting_it(start, tmp_path, ticks):
    directory = tmp_path / "logs"
    stats = run(start, directory, 64 * MIB if ticks < 100 else 1024 * MIB, ticks)

    emitted = sum(each["emitted"] for each in stats)
    kept: Counter[int] = Counter()
    repeats = dropped = last_id = 0
    for record in iterate(directory):
        assert record.id > last_id
        last_id = record.id
        if record.target == TARGET:
            dropped += sum((record.dropped or {}).values())
        else:
            kept[record.pid] += 1
            repeats += record.repeats or 0
    assert kept.total() + repeats + dropped == emitted
    assert sum(each["repeats"] for each in stats) == repeats > 0
    assert len(kept) == PROCESSES


@pytest.mark.parametrize("ticks", [20, pytest.param(20 * 300, marks=pytest.mark.torture)], ids=["short", "5min"])
def test_twenty_hosts_that_have_not_the_room_stay_below_the_cap_and_count(start, tmp_path, ticks):
    """A cap that not even the first step of each fits below."""
    stats = run(start, tmp_path / "logs", 2 * MIB, ticks)

    assert sum(each["written"] for each in stats) > 0
    assert sum(each["dropped"] for each in stats) > 0
    assert {reason for each in stats for reason in each["reasons"]} == {counts.DISK}
