"""The crash report: a store of 229 MB in 92,060 records, nine threads on three write paths, checkpoints forced by
a neighbour, and readers that are stopped. The host is to hear of none of it, and every count is to be exact."""

from __future__ import annotations

import base64
import random

import pytest
from incident_helpers import taken, told

from holdfast.logs import Caps, LogQuery, Record, SegmentWriter
from holdfast.logs.pump import TARGET
from holdfast.logs.query import query
from holdfast.logs.stats import stats as stats_of

MIB = 1 << 20
RECORDS = 92_060
TEXT = 3_300  # characters of base64, which pack to three quarters: together 229 MB

HOST = """
import holdfast
home, state_dir, cap, times = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
state = holdfast.open(home, state_dir=state_dir, search=False)
handler = state.logs.handler("TRACE", caps=logs.Caps(bytes=cap, free_bytes=0))
log = logging.getLogger("host")
log.propagate = False
log.setLevel(1)
log.addHandler(handler)
caches = [state.cache("catalogue"), state.cache("previews")]
caches[0].put("first", 1)
say("open")
hear()
kept, refused, raised = [], [], []
def put(cache, number):
    for n in range(times):
        key = f"{number} {n}"
        (kept if cache.put(key, [number, n, "x" * 500]) else refused).append((cache, key))
        cache.get(f"{number} {n // 2}")
def say_it(number):
    for n in range(times):
        log.log((5, 10, 20, 40)[n % 4], "thread %d says %d %s", number, n, "y" * 300)
def guarded(work, *args):
    try:
        work(*args)
    except BaseException as error:
        raised.append(repr(error))
work = [(put, caches[0]), (put, caches[1]), (say_it,)] * 3
threads = [threading.Thread(target=guarded, args=(*some, number)) for number, some in enumerate(work)]
for thread in threads: thread.start()
for thread in threads: thread.join()
say("worked")
hear()
def numbers(key):
    return [int(part) for part in key.split()]
lost = [key for cache, key in kept if cache.get(key) is None]
wrong = [key for cache, key in refused + kept if cache.get(key, numbers(key))[:2] != numbers(key)]
stats = [cache.stats() for cache in caches]
handler.close()
tell_stats(handler, raised=raised, kept=len(kept), refused=len(refused), lost=lost, wrong=wrong,
           puts=sum(each.puts for each in stats) - 1, said=sum(each.refused for each in stats),
           why=[each.last_failure for each in stats])
state.close()
"""

NEIGHBOUR = """
import sqlite3
over = threading.Event()
def force():
    opened = [sqlite3.connect(path, isolation_level=None, timeout=0.05) for path in sys.argv[1:]]
    while not over.is_set():
        for db in opened:
            for how in ("TRUNCATE", "RESTART", "FULL", "PASSIVE"):
                try:
                    db.execute(f"PRAGMA wal_checkpoint({how})").fetchall()
                except sqlite3.OperationalError:
                    pass
thread = threading.Thread(target=force)
thread.start()
say("forcing")
hear()
over.set()
thread.join()
"""

READER = """
import sqlite3
from holdfast.logs.query import iterate
opened = [sqlite3.connect(path, isolation_level=None) for path in sys.argv[2:]]
for db in opened:
    db.execute("BEGIN")
    db.execute("SELECT count(*) FROM sqlite_master").fetchall()
records = iterate(sys.argv[1])
next(records, None)
say("reading")
hear()
"""


def fill(directory, records, caps):
    """Write the store of the report, as far as the caps let it exist."""
    draw = random.Random(1)
    writer = SegmentWriter(directory, caps)
    written = 0
    for batch in (range(first, min(first + 128, records)) for first in range(0, records, 128)):
        lines = [
            Record(
                id=0,
                ts=1_760_000_000_000_000 + n,
                level="TRACE",
                target="log",
                message=base64.b64encode(draw.randbytes(TEXT * 3 // 4)).decode(),
            )
            for n in batch
        ]
        written += writer.append(lines).written
    writer.close()
    assert written == records


@pytest.mark.parametrize("caps", ["raised", "ours"])
@pytest.mark.parametrize("share", [10, pytest.param(1, marks=pytest.mark.torture)], ids=["tenth", "whole"])
def test_no_error_of_three_write_paths_reaches_the_host(start, tmp_path, caps, share):
    (tmp_path / "home").mkdir()
    state_dir = tmp_path / "state"
    directory = state_dir / "logs"
    cap = 1024 * MIB if caps == "raised" else 64 * MIB // share
    records = RECORDS // share
    fill(directory, records, Caps(bytes=cap, free_bytes=0))
    if caps == "raised":
        assert taken(directory) > 225_000_000 // share
    times = 1_000 // share
    databases = [state_dir / name for name in ("cache.db", "state.db")]

    host = start(HOST, tmp_path / "home", state_dir, cap, times)
    assert host.line() == "open"
    reader = start(READER, directory, *databases)
    assert reader.line() == "reading"
    reader.stop()
    neighbour = start(NEIGHBOUR, *databases)
    assert neighbour.line() == "forcing"
    host.tell()
    assert host.line() == "worked"
    neighbour.tell()
    assert neighbour.wait() == 0
    reader.kill()
    host.tell()
    end = told(host)
    assert host.wait() == 0
    print({**end, "reasons": 0})

    assert end["raised"] == end["lost"] == end["wrong"] == []
    assert (end["puts"], end["said"]) == (end["kept"], end["refused"])
    assert end["kept"] + end["refused"] == 6 * times and end["kept"] > 0
    assert end["given"] == 3 * times
    assert taken(directory) <= cap
    found = query(directory, LogQuery(from_us=1_761_000_000_000_000))
    kept = [record for record in found if record.target != TARGET]
    assert len(kept) == end["written"]
    assert sum(sum((record.dropped or {}).values()) for record in found) == end["dropped"]
    if caps == "raised":
        assert stats_of(directory).records == records + len(found)
