"""What the tests of indexing share: homes made by the page, processes that index them, and how both are compared."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apsw
import pytest

import holdfast
from holdfast.clock import wall_ms
from holdfast.holds.probes import probes as hold_probes
from holdfast.ingest.probes import probes as ingest_probes
from holdfast.sqlite import Store
from holdfast.threads.probes import probes as thread_probes
from holdfast.tools.probes import probes as tool_probes
from processes import Child, children

FIRST_MS = 1_760_000_000_000
MINUTE_MS = 60_000
PROBES = (hold_probes, ingest_probes, thread_probes, tool_probes)

PRELUDE = """
import signal
import holdfast
from holdfast import holds
from holdfast.ingest import gate, indexing, reading
from holdfast.sql import Statement
HOME, STATE = sys.argv[1], sys.argv[2]
def sql(statement):
    return Statement("test", statement, statement, frozenset(), frozenset())
def open_home(**options):
    return holdfast.open(HOME, state_dir=STATE, search=False, **options)
def become_nobody():
    # Python's own files may lie where nobody may look: what is imported late comes first.
    import shutil, tempfile
    folder = tempfile.mkdtemp()
    os.mkdir(folder + "/home")
    for _ in range(2):
        with holdfast.open(folder + "/home", state_dir=folder + "/state", search=False) as state:
            state.threads.list()
    holdfast.peek(folder + "/home", state_dir=folder + "/none").threads.list()
    holdfast.peek(folder + "/home", state_dir=folder + "/state").close()
    shutil.rmtree(folder)
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
"""


def start(code: str, home: Path | str, state: Path | str, *args: str) -> Child:
    """Start a process that has a home and a state directory."""
    return Child(PRELUDE + code, home, state, *args)


# --- homes -------------------------------------------------------------------


def thread_id(n: int) -> str:
    """Return the id of thread ``n``: a UUIDv7 made one minute after that of ``n - 1``."""
    ms = FIRST_MS + n * MINUTE_MS
    return f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-7{n & 0xFFF:03x}-8000-{n:012x}"


def iso(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"


def meta(n: int, **more: Any) -> dict[str, Any]:
    """Return the session_meta of thread ``n``."""
    at = iso(FIRST_MS + n * MINUTE_MS)
    payload = {
        "id": thread_id(n),
        "timestamp": at,
        "cwd": f"/srv/repo{n % 7}",
        "source": ("cli", "vscode", "exec")[n % 3],
        "model_provider": ("openai", "mock")[n % 2],
        "originator": "codex_cli_rs",
        "cli_version": "0.169.0",
        **more,
    }
    return {"timestamp": at, "type": "session_meta", "payload": payload}


def event(n: int, seconds: int, **payload: Any) -> dict[str, Any]:
    return {"timestamp": iso(FIRST_MS + n * MINUTE_MS + seconds * 1000), "type": "event_msg", "payload": payload}


def conversation(n: int) -> list[dict[str, Any]]:
    """Return the items of thread ``n``: who it is, a question, an answer, what it cost."""
    return [
        meta(n),
        event(n, 1, type="task_started", turn_id=f"turn-{n}"),
        event(n, 2, type="user_message", message=f"fix the parser of module {n}"),
        event(n, 3, type="agent_message", message=f"module {n} is mended"),
        event(n, 4, type="token_count", info={"total_token_usage": {"total_tokens": 100 + n}}),
    ]


def text(items: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(item, ensure_ascii=False).encode() + b"\n" for item in items)


def path_of(n: int, *, archived: bool | None = None) -> str:
    """Return where the rollout of thread ``n`` lies in its home; every tenth is archived."""
    at = datetime.fromtimestamp((FIRST_MS + n * MINUTE_MS) / 1000, UTC)
    name = f"rollout-{at:%Y-%m-%dT%H-%M-%S}-{thread_id(n)}.jsonl"
    if n % 10 == 9 if archived is None else archived:
        return f"archived_sessions/{name}"
    return f"sessions/{at:%Y/%m/%d}/{name}"


def put(home: Path, path: str, data: bytes) -> Path:
    file = home / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return file


def make_home(home: Path, count: int) -> Path:
    """Make a home of ``count`` small threads; every twentieth has a name."""
    (home / "sessions").mkdir(parents=True)
    for n in range(count):
        put(home, path_of(n), text(conversation(n)))
    names = [{"id": thread_id(n), "thread_name": f"name {n}", "updated_at": iso(FIRST_MS)} for n in range(0, count, 20)]
    put(home, "session_index.jsonl", text(names))
    return home


def fingerprint(home: Path) -> dict[str, tuple[object, ...]]:
    """Return what a home holds, entry by entry: kind, inode, owner, size, modification time, and the bytes' hash."""
    found: dict[str, tuple[object, ...]] = {}
    if not home.is_dir():
        return found
    for folder, folders, files in os.walk(os.fsencode(home)):
        for name in [b".", *folders, *files]:
            path = os.path.join(folder, name)
            info = os.lstat(path)
            digest = ""
            if stat.S_ISREG(info.st_mode):
                with open(path, "rb") as file:
                    digest = hashlib.file_digest(file, "blake2b").hexdigest()
            kept = (info.st_mode, info.st_ino, info.st_uid, info.st_size, info.st_mtime_ns)
            found[repr(path)] = (*kept, digest)
    return found


# --- what an index holds --------------------------------------------------------


def index_of(state: Path | str) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Return the threads and the ledger of a closed state, column by column, with no number that is ours alone.

    Row ids differ from one index to the next; what they lead to must not.
    """
    connection = apsw.Connection(f"{state}/state.db", flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        labels = dict(connection.execute("SELECT label_id, label FROM labels"))
        homes = dict(connection.execute("SELECT home_id, path FROM homes"))
        paths = dict(connection.execute("SELECT file_id, path FROM files"))
        threads = {}
        for row in _rows(connection, "threads"):
            del row["n"], row["revision"]
            row["home_id"] = homes[row["home_id"]]
            row["file_id"] = paths[row["file_id"]]
            for column in [column for column in row if column.endswith("_id") and isinstance(row[column], int)]:
                row[column] = labels[row[column]]
            threads[f"{row['home_id']}#{row['thread_id'].hex()}"] = row
        files = {}
        for row in _rows(connection, "files"):
            del row["file_id"]
            row["home_id"] = homes[row["home_id"]]
            files[f"{row['home_id']}/{row['path']}"] = row
    finally:
        connection.close()
    return threads, files


def _rows(connection: apsw.Connection, table: str) -> list[dict[str, Any]]:
    cursor = connection.execute(f"SELECT * FROM {table}")
    return [dict(zip([column[0] for column in cursor.get_description()], row, strict=True)) for row in cursor]


def indexed_alone(home: Path, state: Path) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Return what an index of ``home`` holds that nobody disturbs."""
    shutil.rmtree(state, ignore_errors=True)
    holdfast.open(home, state_dir=state, search=False).close()
    return index_of(state)


def labels(state: holdfast.State, **query: Any) -> list[str]:
    """Return the label of every thread of a list, page after page."""
    found, cursor = [], None
    while True:
        page = state.threads.list(limit=500, cursor=cursor, archived=None, **query)
        found += [thread.label for thread in page.threads]
        cursor = page.next_cursor
        if cursor is None:
            return found


def expected_labels(count: int) -> list[str]:
    return [f"fix the parser of module {n}" if n % 20 else f"name {n}" for n in reversed(range(count))]


# --- fixtures (see the conftest.py of each folder) --------------------------------


class Homes:
    """Homes that nobody but the test may change: each is looked at again when the test is over."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[Path, dict[str, tuple[object, ...]]] = {}

    def make(self, count: int, name: str = "home") -> Path:
        return self.watch(make_home(self._folder / name, count))

    def empty(self, name: str = "home") -> Path:
        (self._folder / name).mkdir()
        return self.watch(self._folder / name)

    def watch(self, home: Path) -> Path:
        """Begin to watch ``home``, or take what the test itself just did to it as given."""
        self._seen[home] = fingerprint(home)
        return home

    def check(self) -> None:
        for home, before in self._seen.items():
            assert fingerprint(home) == before


@pytest.fixture
def homes(tmp_path: Path) -> Iterator[Homes]:
    found = Homes(tmp_path)
    yield found
    found.check()


@pytest.fixture
def state_dir(tmp_path: Path) -> Iterator[Path]:
    """Where a state may be kept; what it holds in the end must be sound."""
    path = tmp_path / "state"
    yield path
    if (path / "state.db").exists():
        index_of(path)
        with Store.peek(path / "state.db", clock=wall_ms) as store, store.read() as tx:
            assert [finding for probe in PROBES for finding in probe(tx)] == []


@pytest.fixture
def child() -> Iterator[Callable[..., Child]]:
    with children(PRELUDE) as start:
        yield start


@pytest.fixture
def plain_dir() -> Iterator[Path]:
    """A folder that other users may enter, too: pytest's own are for its user alone."""
    path = Path(tempfile.mkdtemp(prefix="holdfast-test-"))
    path.chmod(0o755)
    yield path
    for folder, folders, _ in os.walk(path):
        for name in folders:
            os.chmod(os.path.join(folder, name), 0o700)
    shutil.rmtree(path)
