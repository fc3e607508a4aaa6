"""Act three: two programs watch the folder they log to, with everything at TRACE. One log is rows in SQLite."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from demo.stage import Stage

FOR_S = 1.0
ROWS_MAX = 20_000
"""The rows stop by themselves here: nobody's disk is to be filled."""
OURS_RECORDS_MAX, OURS_BYTES_MAX = 10, 64 * 1024

HOST = """
import json, logging, os, sqlite3, sys, threading
from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer
from holdfast import logs
folder, keeper, for_s, rows_max = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
over = threading.Event()

class Rows(logging.Handler):
    "A row for each record, committed at once: what the program of the report did."
    stored = 0
    def __init__(self):
        super().__init__(1)
        self.db = sqlite3.connect(folder + "/rows/logs_2.sqlite", isolation_level=None, check_same_thread=False)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("CREATE TABLE logs (id INTEGER PRIMARY KEY, level TEXT, target TEXT, body TEXT)")
    def emit(self, record):
        row = record.levelname, record.name, record.getMessage()
        self.db.execute("INSERT INTO logs (level, target, body) VALUES (?, ?, ?)", row)
        self.stored += 1
        if self.stored >= rows_max:
            over.set()

def on_disk(place):
    return sum(os.stat(os.path.join(place, name)).st_size for name in os.listdir(place))

handler = Rows() if keeper == "rows" else logs.handler(folder + "/ours", "TRACE")
log = logging.getLogger()
log.setLevel(1)
log.addHandler(handler)
observer = Observer()
observer.schedule(FileSystemEventHandler(), folder, recursive=True)
observer.start()
log.info("watching %s", keeper)
print("watching", flush=True)
over.wait(for_s)
log.removeHandler(handler)
if keeper == "rows":
    told = {"records": handler.stored, "bytes": on_disk(folder + "/rows")}
else:
    handler.close()
    stats = handler.stats()
    dropped = sum(sum(levels.values()) for levels in stats.dropped.values())
    told = {"records": stats.written, "bytes": on_disk(folder + "/ours"), "dropped": dropped,
            "exact": stats.given == stats.written + stats.repeats + dropped}
print(json.dumps(told), flush=True)
os._exit(0)
"""


def play(stage: Stage) -> None:
    stage.act("Two programs watch the folder they log to, at TRACE, for a second; nobody does anything else")
    folder = stage.folder / "storm"
    for name in ("ours", "rows"):
        (folder / name).mkdir(parents=True)
    hosts = begin(folder, "ours"), begin(folder, "rows")
    ours, rows = map(end, hosts)
    stage.say(f"{'':<16}{'records':>9}{'on the disk':>14}")
    stage.say(f"{'rows in SQLite':<16}{rows['records']:>9,}{size(rows['bytes']):>14}")
    stage.say(f"{'holdfast.logs':<16}{ours['records']:>9,}{size(ours['bytes']):>14}")
    stage.claim("the rows feed themselves: to log an event is to write, and to write is an event",
                rows["records"] >= 100, rows)  # fmt: skip
    stage.claim(
        f"ours saw the same storm, and kept at most {OURS_RECORDS_MAX} records and 64 KiB",
        ours["records"] <= OURS_RECORDS_MAX and ours["bytes"] <= OURS_BYTES_MAX and ours["dropped"] >= 100,
        ours,
    )
    stage.claim(f"it counted what it left out, to the last of {ours['dropped']:,}", ours["exact"], ours)


def begin(folder: Path, keeper: str) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", HOST, str(folder), keeper, str(FOR_S), str(ROWS_MAX)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    child.stdout.readline()  # it watches
    return child


def end(child: subprocess.Popen[str]) -> dict[str, Any]:
    assert child.stdout is not None
    told: dict[str, Any] = json.loads(child.stdout.readline() or "{}")
    child.wait()
    child.stdout.close()
    return told


def size(count: float) -> str:
    return f"{count / (1 << 20):,.1f} MiB" if count >= 1 << 20 else f"{count / 1024:,.1f} KiB"
