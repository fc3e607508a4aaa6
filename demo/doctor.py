"""Act seven: a home with four things wrong. The doctor finds them, plans, mends, and takes all of it back."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import apsw

from demo.stage import Stage

NOISE = bytes(range(256)) * 16
PAGES = range(120, 132)
WAL_BYTES_MIN = 70_000_000
FOUND = {"malformed", "wal-high-water", "names-lost", "torn-rollout"}

# Rows are changed again and again while somebody reads, and both are killed: the log stays as large as it was.
WRITER = """
import os, sys, apsw
path, least = sys.argv[1], int(sys.argv[2])
reader = apsw.Connection(path)
db = apsw.Connection(path)
db.execute("PRAGMA journal_mode = WAL").fetchall()
db.execute("PRAGMA wal_autocheckpoint = 0")
db.execute("UPDATE threads SET tokens_used = tokens_used")
reader.execute("BEGIN; SELECT count(*) FROM sqlite_master").fetchall()
turns = 0
while os.path.getsize(path + "-wal") < least:
    for step in (1, -1):
        db.execute("UPDATE threads SET tokens_used = tokens_used + ?", (step,))
    turns += 1
reader.execute("COMMIT")
db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
for step in (1, -1):
    db.execute("UPDATE threads SET tokens_used = tokens_used + ?", (step,))
os._exit(0)
"""


def play(stage: Stage) -> None:
    stage.act("A home with four things wrong: found, planned, mended, taken back")
    home = damaged(stage)
    before, rows, index = hashes(home), named(home), home / "session_index.jsonl"
    run(stage, home, shown=30)
    plan = stage.folder / "plan.json"
    found = json.loads(run(stage, home, "--plan", str(plan), "--json"))
    stage.claim(
        "the log of a killed program, lost names, a torn rollout and damaged pages are found",
        {finding["id"] for finding in found["findings"]} == FOUND, found["findings"],
    )  # fmt: skip
    stage.claim("and to look and to plan changed nothing", hashes(home) == before)
    for step in found["plan"]["steps"]:
        stage.say(
            f"{step['number']}. {step['action']['repair']}: {step['action']['what'].replace(str(home), '~')[:90]}"
        )
    applied = json.loads(stage.holdfast(home, "doctor", "--apply", str(plan), "--yes", "--json") or "{}")
    stage.claim(
        "each step is done, and what it was for is gone, measured again",
        bool(applied) and all(step["done"] and step["gone"] for step in applied["applied"]), applied,
    )  # fmt: skip
    told = {entry["id"]: entry["thread_name"] for entry in map(json.loads, index.read_text().splitlines())}
    stage.claim("the names are back", {id: name for id, name in named(home) if name} == told, named(home))
    clean = json.loads(run(stage, home, "--json"))
    stage.claim("the doctor finds nothing any more", clean["overall"] == "ok", clean["findings"])

    for receipt in applied.get("receipts", []):
        stage.holdfast(home, "undo", receipt)
    changed = sorted({path for path, _ in before.items() - hashes(home).items()})
    stage.claim(
        "undone, every file that was there has the bytes it had, and every row the name it had",
        not changed and named(home) == rows, changed,
    )  # fmt: skip


def damaged(stage: Stage) -> Path:
    folder = stage.folder / "sick"
    folder.mkdir()
    home = stage.unpack("codex-home-0.169", folder)
    state, logs = home / "state_5.sqlite", home / "logs_2.sqlite"
    with apsw.Connection(str(state)) as db:  # the home is at another place than it was recorded at
        db.execute("UPDATE threads SET rollout_path = replace(rollout_path, '/home/dev/.codex', ?)", (str(home),))
        db.execute("UPDATE threads SET name = NULL")
    db.close()
    subprocess.run([sys.executable, "-c", WRITER, str(state), str(WAL_BYTES_MIN)], check=True)
    rollout = min(home.glob("sessions/**/*.jsonl"))
    os.truncate(rollout, rollout.stat().st_size - 20)
    os.utime(rollout, (1, 1))
    with logs.open("r+b") as file:
        for page in PAGES:
            file.seek(page * 4096)
            file.write(NOISE)
    return home


def run(stage: Stage, home: Path, *arguments: str, shown: int = 0) -> str:
    patience = ["--limit", "20"] if "--json" in arguments else []
    return stage.holdfast(home, "doctor", str(home), *arguments, *patience, shown=shown, codes=(0, 1, 2)) or "{}"


def hashes(home: Path) -> dict[str, str]:
    """Return what is in every file, but for the database whose rows were named again, and for logs of databases."""
    return {
        str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(home.rglob("*"))
        if path.is_file() and not path.name.startswith("state_5") and not path.name.endswith(("-wal", "-shm"))
    }


def named(home: Path) -> list[tuple[Any, ...]]:
    """Return the rows of all threads, from a copy: to open the database itself would put its log away."""
    copy = home.parent / "copy.sqlite"
    for ending in ("", "-wal"):
        there = Path(f"{home / 'state_5.sqlite'}{ending}")
        Path(f"{copy}{ending}").write_bytes(there.read_bytes() if there.exists() else b"")
    with apsw.Connection(str(copy)) as db:
        rows = db.execute("SELECT id, name FROM threads ORDER BY id").fetchall()
    db.close()
    return rows
