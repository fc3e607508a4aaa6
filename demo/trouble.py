"""Act four: a program writes on three paths while a reader is stopped and the disk takes no more. It hears of none."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Any

from demo.stage import Stage
from holdfast.logs import LogQuery
from holdfast.logs.query import iterate

TIMES = 200
PATHS = ("cache 'catalogue'", "cache 'previews'", "log")

HOST = """
import json, logging, os, resource, sys, threading
import holdfast
from holdfast import logs
own, state_dir, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
state = holdfast.open(own=own, state_dir=state_dir, search=False)
handler = state.logs.handler("TRACE", caps=logs.Caps(free_bytes=0))
log = logging.getLogger("host")
log.setLevel(1)
log.addHandler(handler)
caches = [state.cache("catalogue"), state.cache("previews")]
kept = []
turn = 0

def work():
    global turn
    before = handler.stats().written
    told = []
    for cache in caches:
        keys = [f"{turn} {n}" for n in range(times)]
        put = [key for key in keys if cache.put(key, [key, "x" * 1_000])]
        kept.extend((cache, key) for key in put)
        told.append(len(put))
    for n in range(times):
        log.info("turn %d, line %d: %s", turn, n, os.urandom(500).hex())
    handler.flush()
    turn += 1
    print(json.dumps([*told, handler.stats().written - before]), flush=True)

caches[0].put("first", 1)
log.info("open")
handler.flush()
print("open", flush=True)
sys.stdin.readline()
work()
limit = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, limit[1]))
work()
resource.setrlimit(resource.RLIMIT_FSIZE, limit)
print("lifted", flush=True)
sys.stdin.readline()
before, pause = handler.stats().written, threading.Event()
for _ in range(200):
    log.info("is the disk there again?")
    handler.flush()
    if handler.stats().written > before:
        break
    pause.wait(0.02)
work()
handler.close()
stats = handler.stats()
dropped = sum(sum(levels.values()) for levels in stats.dropped.values())
print(json.dumps({
    "lost": [key for cache, key in kept if cache.get(key) != [key, "x" * 1_000]],
    "given": stats.given, "written": stats.written, "repeats": stats.repeats, "dropped": dropped,
    "why": [cache.stats().last_failure for cache in caches] + list(stats.errors),
}), flush=True)
state.close()
"""

READER = """
import sqlite3, sys
opened = [sqlite3.connect(path, isolation_level=None) for path in sys.argv[1:]]
for db in opened:
    db.execute("BEGIN")
    db.execute("SELECT count(*) FROM sqlite_master").fetchall()
print("reading", flush=True)
sys.stdin.readline()
"""


def play(stage: Stage) -> None:
    stage.act("A program writes on three paths; a reader is stopped, then no file may grow any more")
    state_dir = stage.folder / "trouble"
    host = begin(HOST, str(stage.folder / "trouble-own"), str(state_dir), str(TIMES))
    assert hear(host) == "open"
    reader = begin(READER, str(state_dir / "cache.db"), str(state_dir / "state.db"))
    assert hear(reader) == "reading"
    reader.send_signal(signal.SIGSTOP)
    try:
        tell(host)
        stage.say(f"{f'of {TIMES} each, kept':<26}" + "".join(f"{path:>20}" for path in PATHS))
        stopped = show(stage, "the reader is stopped", host)
        full = show(stage, "and the disk takes no more", host)
        assert hear(host) == "lifted"
    finally:
        reader.kill()
        reader.communicate()
    tell(host)
    over = show(stage, "both are over", host)
    end: dict[str, Any] = json.loads(hear(host) or "{}")
    _, said = host.communicate()

    stage.claim("what could not be kept was a False or a count, never an error: stderr is empty",
                bool(end) and said == "" and host.returncode == 0, said)  # fmt: skip
    if not end:
        return
    stage.claim("a stopped reader keeps nobody from writing", min(stopped) > TIMES / 2, stopped)
    stage.claim("where nothing can be written, nothing is said to be", max(full) < TIMES, full)
    stage.claim("everything that was said to be kept is there", end["lost"] == [], end["lost"])
    told = sum(sum((record.dropped or {}).values()) for record in iterate(state_dir / "logs", LogQuery()))
    stage.claim(
        f"the log counted each line it lost, and says so in the log: {end['dropped']}",
        end["given"] == end["written"] + end["repeats"] + end["dropped"] and told == end["dropped"],
        end,
    )
    stage.claim("and when it is over, all three go on", min(over) > TIMES / 2, (over, end["why"]))


def begin(code: str, *arguments: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdin=pipe, stdout=pipe, stderr=pipe, text=True, bufsize=1
    )


def hear(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def tell(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("go\n")


def show(stage: Stage, what: str, host: subprocess.Popen[str]) -> list[int]:
    kept: list[int] = json.loads(hear(host) or "[]")
    stage.say(f"{what:<26}" + "".join(f"{count:>20,}" for count in kept))
    return kept
