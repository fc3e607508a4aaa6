"""Homes damaged on purpose: of Codex as its versions left them, and a board of Hermes; rows by another process."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from pathlib import Path

from homes import FIXTURES, NOON_MS, MadeHome, line
from processes import Child

_SQL = """
import json, sqlite3
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=5)
db.row_factory = sqlite3.Row
db.create_function("like_home", 2, lambda path, home: path.replace("/home/dev/.codex", home, 1))
for statement in json.loads(sys.argv[2]):
    found = [dict(row) for row in db.execute(*statement)]
say(json.dumps(found))
"""


def sql(path: Path, *statements: tuple[str, list[object]]) -> list[dict[str, object]]:
    """Run statements on a database with the standard library's SQLite; return the rows of the last."""
    child = Child(_SQL, path, json.dumps(statements))
    try:
        return json.loads(child.line())
    finally:
        child.end()


def threads(home: Path) -> dict[str, dict[str, object]]:
    """The rows of Codex's threads, by id."""
    return {str(row["id"]): row for row in sql(home / "state_5.sqlite", ("SELECT * FROM threads ORDER BY id", []))}


def codex(version: str, folder: Path) -> Path:
    """A home as this version of Codex left it, whose rows know where it is by now."""
    home = codex_moved(version, folder)
    sql(home / "state_5.sqlite", ("UPDATE threads SET rollout_path = like_home(rollout_path, ?)", [str(home)]))
    return home


def codex_moved(version: str, folder: Path) -> Path:
    """A home that was moved: its rows name rollouts below ``/home/dev/.codex``, where nothing is."""
    return MadeHome.recorded(version, folder).path


def rollout(home: Path, thread_id: str) -> Path:
    """The file of a thread."""
    (found,) = home.rglob(f"rollout-*{thread_id}.jsonl*")
    return found


# --- rows of threads -----------------------------------------------------------------


def rows_lost(home: Path) -> None:
    """Codex called its reading of the rollouts complete when it was not."""
    sql(home / "state_5.sqlite", ("DELETE FROM threads WHERE rowid % 3 = 0", []))


def all_rows_lost(home: Path) -> None:
    """The database was made anew and nothing was read into it."""
    sql(home / "state_5.sqlite", ("DELETE FROM threads", []), ("DELETE FROM thread_spawn_edges", []))


def rows_wrong(home: Path) -> None:
    """Previews are empty, so no list shows the threads; other columns are of another time."""
    sql(
        home / "state_5.sqlite",
        ("UPDATE threads SET preview = '', model = 'other', tokens_used = 7, updated_at = 5, updated_at_ms = 5000", []),
        ("UPDATE threads SET archived = 1 - archived WHERE rowid % 4 = 0", []),
    )


def archived_by_hand(home: Path) -> None:
    """Somebody moved a rollout to the archived ones, and its row does not say so."""
    file = min((home / "sessions").rglob("rollout-*.jsonl"))
    (home / "archived_sessions").mkdir(exist_ok=True)
    file.rename(home / "archived_sessions" / file.name)


def names_lost(home: Path) -> None:
    """The rows have no name that a person gave; the file of names has."""
    columns = {
        row["name"] for row in sql(home / "state_5.sqlite", ("SELECT name FROM pragma_table_info('threads')", []))
    }
    name = "name = NULL, " if "name" in columns else ""
    sql(home / "state_5.sqlite", (f"UPDATE threads SET {name}title = first_user_message", []))


def leases_of_the_dead(home: Path) -> None:
    """Jobs run under leases that ended long ago, or end in a time that no clock meant; one is somebody's."""
    add = "INSERT INTO jobs (kind, job_key, status, worker_id, ownership_token, lease_until, retry_remaining) VALUES "
    sql(
        home / "memories_1.sqlite",
        (add + "('memory_stage1', 'a', 'running', 'w', 't', 1000, 3)", []),
        (add + "('memory_stage1', 'b', 'running', 'w', 't', 99999999999, 2)", []),
        (add + "('memory_stage1', 'c', 'running', 'w', 't', unixepoch() + 3000, 3)", []),
        (add + "('memory_stage1', 'd', 'done', NULL, NULL, NULL, 3)", []),
    )


# --- rollouts ------------------------------------------------------------------------


def last_line_cut(file: Path) -> None:
    """The process was killed in the middle of a write."""
    os.truncate(file, file.stat().st_size - 9)


def nul_tail(file: Path) -> None:
    """The power went: the file has its length, and not its bytes."""
    with file.open("ab") as out:
        out.write(b"\0" * 5_000)


def nul_hole(file: Path) -> None:
    """The same, and the next writer went on behind the hole."""
    with file.open("ab") as out:
        out.write(b"\0" * 700 + line(NOON_MS, "behind the hole").encode())


def lines_between(file: Path) -> None:
    """Lines in the middle are none: garbage, bytes that are no UTF-8, and half a line with the next glued to it."""
    first, *rest = file.read_bytes().splitlines(keepends=True)
    odd = line(NOON_MS, "odd").encode().replace(b"odd", b"\xff\xfe")
    file.write_bytes(first + b"<<<<<<< HEAD\n" + rest[0][: len(rest[0]) // 2] + b"".join(rest) + odd)


def lines_glued(file: Path) -> None:
    """Two writers at once: a newline is missing between two whole lines."""
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-2]) + lines[-2].rstrip(b"\n") + lines[-1])


def newline_missing(file: Path) -> None:
    """Only the newline of the last line was not written."""
    os.truncate(file, file.stat().st_size - 1)


def compressed_cut(file: Path) -> None:
    """The file was compressed, and its frame broken off."""
    from backports import zstd

    # Each line a block of its own, so that a cut costs the last ones only.
    packer = zstd.ZstdCompressor()
    blocks = [packer.compress(line, packer.FLUSH_BLOCK) for line in file.read_bytes().splitlines(keepends=True)]
    Path(f"{file}.zst").write_bytes(b"".join(blocks)[:-3])
    file.unlink()


TORN = (last_line_cut, nul_tail, nul_hole, lines_between, lines_glued, newline_missing, compressed_cut)


# --- Hermes --------------------------------------------------------------------------


def board_left_by_the_killed(folder: Path) -> Path:
    """A root of Hermes whose worker was killed: its claim ended, and no dispatcher looked since."""
    with tarfile.open(FIXTURES / "hermes" / "0.19.0.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    root = folder / "hermes"
    root.mkdir()
    for path in [each for each in folder.iterdir() if each != root]:
        shutil.move(path, root)
    return root
