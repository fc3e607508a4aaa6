"""Act one: a real recorded home is indexed, listed, searched and read; a wrong row is seen through and mended."""

from __future__ import annotations

import json
from pathlib import Path

import holdfast
from demo.stage import FIXTURES, Stage, fingerprint
from holdfast import sql
from holdfast.sql import Statement

RECORDED = "0.169"


def play(stage: Stage) -> None:
    home = stage.unpack(f"codex-home-{RECORDED}")
    before = fingerprint(home)
    oracle = {row["id"]: row for row in json.loads((FIXTURES / f"oracle-{RECORDED}.json").read_text())}
    index(stage, home, oracle)
    look(stage, home, oracle)
    misdirect(stage, home)
    stage.act("And the home?")
    stage.claim("not a byte, name or time in it has changed", fingerprint(home) == before)


def index(stage: Stage, home: Path, oracle: dict[str, dict[str, object]]) -> None:
    stage.act(f"Index a home that Codex {RECORDED} wrote")
    first = stage.ask(home, "index")
    stage.claim(
        f"all {len(oracle)} threads that Codex's own database knows are indexed",
        first.get("threads") == len(oracle) and first.get("failed") == 0,
        first,
    )
    again = stage.ask(home, "index")
    stage.claim(
        "a second run finds nothing to do", again.get("unchanged") == again.get("scanned") == len(oracle), again
    )


def look(stage: Stage, home: Path, oracle: dict[str, dict[str, object]]) -> None:
    stage.act("List, search, read")
    stage.holdfast(home, "threads", "list", "--limit", "5", shown=5)
    listed = {
        thread["id"]: thread for thread in stage.ask(home, "threads", "list", "--all", "--limit", "100")["threads"]
    }
    same = [
        key
        for key, row in oracle.items()
        if all(
            listed.get(key, {}).get(column) == row[column] for column in ("preview", "tokens_used", "model", "source")
        )
    ]
    stage.claim(
        "preview, tokens, model and source of every thread are those Codex says", len(same) == len(oracle), len(same)
    )
    hits = stage.ask(home, "threads", "search", "sub-agents")
    stage.claim("a search for what was said finds a thread and shows where", bool(hits.get("hits")), hits)
    if hits.get("hits"):
        one = hits["hits"][0]
        stage.say(f"found in {one['thread']['title']!r}: {one['snippet']!r}")
        shown = stage.holdfast(home, "threads", "show", one["thread"]["id"][:18], shown=8)
        stage.claim("it can be read, turn by turn", bool(shown.strip()))


def misdirect(stage: Stage, home: Path) -> None:
    stage.act("Point a row at another thread's file")
    with holdfast.open(home, state_dir=stage.state, search=False) as state:
        right, wrong = state.threads.list(limit=2).threads
        with state.write() as tx:
            tx.run(_MISDIRECT, wrong=_raw(wrong.id), thread_id=_raw(right.id))
        stage.say(f"{right.id} now points at {wrong.rollout_path.rpartition('/')[2]}")
        found = state.threads.find(right.id)
        stage.claim(
            "the lookup is not fooled: it reads the file, sees another id, and searches",
            found is not None and found.path == right.rollout_path and found.source == "files",
            found,
        )
    with holdfast.open(home, state_dir=stage.state, refresh=False, search=False) as state:
        found = state.threads.find(right.id)
        stage.claim(
            "and a moment later the row is right again",
            found is not None and found.path == right.rollout_path and found.source == "index",
            found,
        )


def _raw(thread_id: str) -> bytes:
    return bytes.fromhex(thread_id.replace("-", ""))


_TEXT = sql.parse(
    """
-- name: misdirect
UPDATE threads SET file_id = (SELECT file_id FROM threads WHERE thread_id = :wrong) WHERE thread_id = :thread_id
"""
)["misdirect"]
_MISDIRECT = Statement("misdirect", _TEXT, _TEXT, frozenset({"wrong", "thread_id"}), frozenset())
