"""State directories of our own with one thing wrong, made past holdfast."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import apsw

import holdfast
from holdfast import holds, receipts
from holdfast.changes import Append, Plan, Seen
from homes import NOON_MS, MadeHome
from processes import children

Damage = Callable[[Path], None]
_OLD_NS = (NOON_MS - 86_400_000) * 1_000_000


def state(folder: Path) -> Path:
    """Make a home of 30 threads and its state directory, with something in every table; return the folder of both."""
    home = MadeHome(folder / "home")
    ids = [home.thread(f"words {n}", created_ms=NOON_MS + n, parent=None) for n in range(30)]
    with holdfast.open(home, state_dir=folder / "state") as made:
        made.threads.spawned(ids[0], ids[1])
        made.wait_for_search()
        parent = made.board.create("parent", request="once").task.task_id
        made.board.create("child", parents=[parent])
        made.board.claim(parent)
        made.jobs.enqueue("sum", "1", idempotency_key="once")
        made.jobs.claim("sum", "1")
        with made.write() as tx:
            holds.take(tx, "thing", holds.me("somebody"), lease_ms=60_000)
        made.memory.put(ids[0], "a note", "in short")
        made.cache("web").put("key", "value")
    return folder


def sql(folder: Path, *statements: str, file: str = "state.db") -> None:
    connection = apsw.Connection(str(folder / "state" / file))
    connection.execute("PRAGMA foreign_keys = OFF")
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def _sql(*statements: str, file: str = "state.db") -> Damage:
    def damage(folder: Path) -> None:
        sql(folder, *statements, file=file)

    return damage


def another_words(folder: Path) -> None:
    """The index of words is that of another database, as after a restore past us."""
    sql(folder, "UPDATE identity SET epoch = epoch + 1", file="search.db")


def words_behind(folder: Path) -> None:
    """Nobody has fed the index of words for a day."""
    sql(folder, "UPDATE progress SET revision = 0, n = 0", file="search.db")
    for name in ("search.db", "search.db-wal"):
        if (path := folder / "state" / name).exists():
            day_ago = time.time() - 86_400
            os.utime(path, (day_ago, day_ago))


def rows_lost(folder: Path) -> None:
    """The ledger and the threads of some files are gone, and the home was indexed long after they were written."""
    sql(
        folder,
        "DELETE FROM threads WHERE file_id IN (SELECT file_id FROM files ORDER BY file_id LIMIT 5)",
        "DELETE FROM files WHERE file_id IN (SELECT file_id FROM files ORDER BY file_id LIMIT 5)",
        "DELETE FROM thread_memories", "DELETE FROM thread_edges",
        f"UPDATE homes SET indexed_ms = {time.time_ns() // 1_000_000 + 3_600_000}",
    )  # fmt: skip


def home_gone(folder: Path) -> None:
    shutil.move(folder / "home", folder / "moved")


def stopped_receipt(folder: Path) -> None:
    """Who changed the home was killed between two steps."""
    target = str(folder / "home" / "notes.txt")
    plan = Plan("write two lines", str(folder / "home"), (), (Append(target, b"one\n"), Append(target, b"two\n")),
                (Seen.of(target, None),))  # fmt: skip
    receipt = receipts.write(str(folder / "state" / "receipts"), plan)
    path = Path(receipt.at) / "receipt.json"
    kept = json.loads(path.read_bytes())
    kept["written_ms"] -= 3_600_000
    kept["steps"][0]["done"] = True
    path.write_text(json.dumps(kept))


def unreadable_receipt(folder: Path) -> None:
    at = folder / "state" / "receipts" / "20261125-214921-65d58e"
    at.mkdir(parents=True)
    (at / "receipt.json").write_bytes(b'{"id": ')


def _log(folder: Path) -> Path:
    with children("import logging\nfrom holdfast import logs\n") as start:
        child = start(
            "handler = logs.handler(sys.argv[1], 'DEBUG')\nlogger = logging.Logger('x')\nlogger.addHandler(handler)\n"
            "for n in range(6000): logger.info('said %d %s', n, os.urandom(60).hex())\nhandler.close()\nsay('closed')",
            folder / "state" / "logs",
        )
        assert child.line() == "closed"
    return folder / "state" / "logs"


def torn_segment(folder: Path) -> None:
    """The disk lost a page in the middle of a closed segment."""
    segment = max(_log(folder).glob("*.zst"), key=lambda path: path.stat().st_size)
    with segment.open("r+b") as file:
        file.seek(segment.stat().st_size // 2)
        file.write(bytes(4096))


def above_cap(folder: Path) -> None:
    """Old segments were copied back."""
    (folder / "state" / "logs").mkdir()
    for n in range(3):
        (folder / "state" / "logs" / f"{'0' * 8}-{n + 1}-1.jsonl").write_bytes(b"{}\n" * (8 << 20))


def strangers(folder: Path) -> None:
    (folder / "state" / "logs").mkdir()
    (folder / "state" / "logs" / "mine.log.gz").write_bytes(b"x" * 5000)


def begun_copy(folder: Path) -> None:
    """Who made a copy was killed."""
    (folder / "state" / "backups").mkdir(exist_ok=True)
    path = folder / "state" / "backups" / ".state-20261125T120000.000Z.db.aabbccddeeff.partial"
    path.write_bytes(bytes(100_000))
    day_ago = time.time() - 86_400
    os.utime(path, (day_ago, day_ago))


def huge_log(folder: Path) -> None:
    """A reader did not end until the log was at its limit. (Sparse: only its size tells.)"""
    sql(folder, "UPDATE counters SET value = value")
    with (folder / "state" / "state.db-wal").open("ab") as file:
        file.truncate(300 << 20)


FOUND: dict[str, tuple[Damage, set[str]]] = {
    "a fence of an epoch to come": (_sql("UPDATE holds SET fence = fence << 8"), {"own-hold-epoch"}),
    "a fence of none": (_sql("UPDATE holds SET fence = 5"), {"own-hold-fence"}),
    "an owner that is none": (_sql("UPDATE holds SET owner = '{'"), {"own-hold-owner"}),
    "the epoch is gone": (_sql("DELETE FROM counters WHERE name = 'epoch'"), {"own-hold-epoch", "own-search-behind"}),
    "a job that runs for nobody": (_sql("UPDATE jobs SET owner = ''"), {"own-job-hold", "own-job-owner"}),
    "a request of no job": (_sql("UPDATE job_requests SET key = 'lost'"), {"own-job-request"}),
    "a task that counts wrong": (_sql("UPDATE tasks SET gates_open = 7 WHERE status = 'todo'"), {"own-task-counts"}),
    "a task in the wrong column": (_sql("UPDATE tasks SET status = 'ready' WHERE status = 'todo'"), {"own-task-place"}),
    "a label without a text": (_sql("UPDATE threads SET cwd_id = 9999 WHERE n = 3"), {"own-thread-label-missing"}),
    "two threads with one file": (
        _sql("UPDATE threads SET file_id = (SELECT file_id FROM threads WHERE n = 2) WHERE n = 3"),
        {"own-thread-file-shared", "own-thread-file-of-another", "own-file-thread-missing"},
    ),
    "a file folded beyond its end": (_sql("UPDATE files SET offset = size + 1 WHERE file_id = 4"), {"own-file-offset"}),
    "a thread spawned by itself": (
        _sql("INSERT INTO thread_edges SELECT home_id, parent_id, child_id, status FROM thread_edges LIMIT 1"),
        {"own-thread-spawn-circle"},
    ),
    "a memory of nobody": (_sql("UPDATE thread_memories SET thread_id = x'00112233445566778899aabbccddeeff'"),
                           {"own-memory-without-thread"}),
    "a cache that counts wrong": (_sql("UPDATE totals SET entries = 77", file="cache.db"), {"own-cache-totals"}),
    "a shape of other words": (_sql("UPDATE migrations SET checksum = 'x' WHERE name = '0003_threads'"), {"own-shape"}),
    "a newer shape": (_sql("PRAGMA user_version = 99"), {"own-shape"}),
    "words of another database": (another_words, {"own-search-behind"}),
    "words left behind": (words_behind, {"own-search-behind"}),
    "rows lost": (rows_lost, {"own-index-behind"}),
    "a home that is gone": (home_gone, {"own-home-gone"}),
    "a change stopped in the middle": (stopped_receipt, {"own-receipt-unfinished"}),
    "a receipt that is none": (unreadable_receipt, {"own-receipt-unreadable"}),
    "a torn segment": (torn_segment, {"own-log-damaged"}),
    "a log above its cap": (above_cap, {"own-log-over-cap"}),
    "files that are not the log's": (strangers, {"own-log-strangers"}),
    "a copy without an end": (begun_copy, {"own-backups"}),
    "a log at its limit": (huge_log, {"own-wal", "database-slow"}),
}  # fmt: skip
"""What each of them must be found as."""

DEEP = {"a torn segment"}
"""Those that only a deep look finds."""

OF_HOMES = {"rows lost", "a home that is gone", "a change stopped in the middle"}
"""Those that are made with a home of their own."""
