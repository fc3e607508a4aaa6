"""A program that watches the directory it logs to, with everything at TRACE, while databases are written around it.

The host is idle: whatever it stores, its own log made it say. The same loop around a log as most
programs have it, rows in SQLite, must run away, or these tests prove nothing.
"""

from __future__ import annotations

import json

import pytest
from incident_helpers import told

NAMES = ("logs_2.sqlite", "state_5.sqlite", "goals_1.sqlite", "memories_1.sqlite")

HOST = """
import ctypes, sqlite3, struct
import holdfast, holdfast.watch
keeper, kind, root, home, state_dir, most = sys.argv[1:]

class Rows(logging.Handler):
    "What the report had: a row for each record, committed at once."
    def __init__(self, path):
        super().__init__(1)
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("CREATE TABLE logs (id INTEGER PRIMARY KEY, level TEXT, target TEXT, body TEXT)")
    def emit(self, record):
        row = record.levelname, record.name, record.getMessage()
        self.db.execute("INSERT INTO logs (level, target, body) VALUES (?, ?, ?)", row)
        if self.stored() >= int(most):
            over.set()
    def stored(self):
        return self.db.execute("SELECT count(*) FROM logs").fetchone()[0]

class Counting(logging.Filter):
    seen = 0
    def filter(self, record):
        Counting.seen += 1
        return True

def raw():
    "As a backend does that logs what the kernel says, before any filter: by name."
    libc = ctypes.CDLL(None)
    fd = libc.inotify_init1(os.O_CLOEXEC)
    for folder, _, _ in os.walk(root):
        libc.inotify_add_watch(fd, os.fsencode(folder), 0xFFF)
    def read():
        while not over.is_set():
            data, at = os.read(fd, 65_536), 0
            while at < len(data):
                wd, mask, _, length = struct.unpack_from("iIII", data, at)
                name = data[at + 16 : at + 16 + length].rstrip(b"\\0").decode()
                at += 16 + length
                if name == "over":
                    over.set()
                log.log(5, "inotify event: Event { wd: %d, mask: %x, name: Some(%r) }", wd, mask, name)
    threading.Thread(target=read, daemon=True).start()

def watchdog():
    from watchdog.events import FileSystemEventHandler
    from watchdog.observers import Observer
    class Seen(FileSystemEventHandler):
        def on_any_event(self, event):
            if event.src_path.endswith("/over"):
                over.set()
    observer = Observer()
    observer.schedule(Seen(), root, recursive=True)
    observer.start()

def outside():
    "Our own, of someone whose state lies elsewhere: nothing here is refused."
    subscription = holdfast.watch.Watcher(home + "/elsewhere").subscribe(root, recursive=True, ignore=())
    def read():
        for event in subscription:
            logging.getLogger("app").log(5, "reload? %s", event)
            if root + "/over" in getattr(event, "paths", ()):
                over.set()
    threading.Thread(target=read, daemon=True).start()

def written():
    with open("/proc/self/io") as file:
        return int(file.read().split("wchar: ")[1].split()[0])

over = threading.Event()
state = holdfast.open(home + "/.codex", state_dir=state_dir)
if keeper == "ours":
    handler = state.logs.handler("TRACE")
else:
    handler = Rows(state_dir + "/logs_2.sqlite")
handler.addFilter(Counting())
log = logging.getLogger()
log.setLevel(1)
log.addHandler(handler)
log.info("begun")  # so that there is a log to watch
handler.flush()
state.wait_for_search()
before = written()
{"raw": raw, "watchdog": watchdog, "outside": outside}[kind]()
log.info("watching")
say("watching")
over.wait()
if keeper == "ours":
    handler.close()
    bytes_written = written() - before
    messages = [record.message for record in state.logs.query()]
    tell_stats(handler, seen=Counting.seen, stored=len(messages), bytes=bytes_written, messages=messages)
else:
    say(json.dumps({"stored": handler.stored(), "bytes": written() - before}))
os._exit(0)
"""

# Rounds or seconds, whichever are more.
NEIGHBOUR = """
import sqlite3
marker, rounds, seconds, *paths = sys.argv[1:]
opened = [sqlite3.connect(path, isolation_level=None) for path in paths]
for db in opened:
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = OFF")
    db.execute("CREATE TABLE logs (id INTEGER PRIMARY KEY, line TEXT)")
end_s = time.monotonic() + float(seconds)
done = 0
while done < int(rounds) or time.monotonic() < end_s:
    for db in opened:
        db.execute("INSERT INTO logs (line) VALUES (?)", ("inotify event: " + "x" * 300,))
        db.execute("SELECT max(id) FROM logs").fetchall()
    done += 1
    if float(seconds):
        threading.Event().wait(0.01)
open(marker, "w").close()
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A person's home: an agent's home in it, and our state where it lies by default."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home" / ".codex").mkdir(parents=True)
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("rounds", "seconds"), [(600, 0), pytest.param(0, 60, marks=pytest.mark.torture)], ids=["short", "60s"]
)
@pytest.mark.parametrize("where", ["state", "home"])
@pytest.mark.parametrize("kind", ["raw", "watchdog", "outside"])
def test_an_idle_host_that_watches_its_own_log_at_trace_stores_next_to_nothing(
    start, home, kind, where, rounds, seconds
):
    state_dir = home / ".local" / "state" / "holdfast"
    root = state_dir if where == "state" else home
    host = start(HOST, "ours", kind, root, home, state_dir, 0)
    assert host.line() == "watching"
    places = [state_dir / name for name in NAMES] + [home / ".codex" / name for name in NAMES]
    neighbour = start(NEIGHBOUR, root / "over", rounds, seconds, *places)
    stats = told(host)
    assert neighbour.wait() == 0

    if kind != "outside":  # which is told of no database at all
        assert stats["seen"] >= 2_000, "the storm did not reach the handler"
    assert stats["stored"] <= 10, stats
    assert stats["bytes"] <= 65_536, stats


@pytest.mark.parametrize("kind", ["raw", "watchdog"])
def test_the_same_loop_around_rows_in_sqlite_runs_away(start, home, kind):
    state_dir = home / ".local" / "state" / "holdfast"
    host = start(HOST, "rows", kind, state_dir, home, state_dir, 1_000)
    assert host.line() == "watching"
    # Nobody writes but the log itself. It ends only because this host stops after 1,000 rows.
    stats = json.loads(host.line())

    assert stats["stored"] >= 1_000 and stats["bytes"] > 1_000 * 4_096
