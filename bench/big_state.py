"""States of many threads without their rollouts: rows as the indexer writes them, for benches of lists.

    python -m bench.big_state [--n 1000000]

A million rollouts would be 4 GB of small files, and a list reads none of them.
So the rows go straight through ``ledger.put`` and ``threads.store.put``, in
slices as the indexer's, and the titles into the index of words. 1,000,000 take
about five minutes and 0.9 GB, once: kept under the cache, by their size and ``RECIPE``.

The same ``n`` gives the same rows. What they are made of: one home, two years,
2,000 directories of which a few have most (Zipf), 8 % archived, 12 % sub-agents
of earlier threads, 3 % named, 0.5 % whose file is gone.
"""

from __future__ import annotations

import argparse
import bisect
import itertools
import os
import random
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from bench import homes, ours

RECIPE = 1
"""Grows when the rows below change: a state of another recipe is made again."""
FIRST_MS = 1_700_000_000_000
SPAN_MS = 730 * 86_400_000
CWDS = 2_000
COMMON_CWD, RARE_CWD = "/srv/team/repo0000", f"/srv/team/repo{CWDS - 1:04d}"
_SLICE = 2_000
_SOURCES = ("vscode", "cli", "exec", "mcp", "custom"), (50, 33, 14, 2, 1)
_PROVIDERS = ("openai", "azure", "ollama", "lmstudio"), (80, 13, 6, 1)
_WORDS = [
    "add",
    "fix",
    "move",
    "the",
    "a",
    "parser",
    "test",
    "cache",
    "index",
    "config",
    "error",
    "window",
    "thread",
    "lock",
    "write",
    "read",
    "slow",
    "build",
    "deploy",
    "retry",
    "schema",
    "table",
    "column",
    "page",
    "cursor",
    "token",
    "model",
    "prompt",
    "review",
    "rename",
    "split",
    "merge",
    "port",
    "login",
    "queue",
    "worker",
    "signal",
    "socket",
    "stream",
    "buffer",
    "header",
    "footer",
    "button",
    "list",
    "tree",
    "graph",
    "plan",
]


def state(n: int) -> tuple[Path, Path]:
    """Return ``(home, state directory)`` of ``n`` threads, made now if they are not in the cache."""
    path = homes.cache_dir() / f"big-{n}-r{RECIPE}"
    if not path.exists():
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        # The home's path is in the rows, so it has to be its last one from the start.
        home = homes.cache_dir() / "big-home"
        (home / "sessions").mkdir(parents=True, exist_ok=True)
        make(home, partial, n)
        os.rename(partial, path)
        os.sync()
    return homes.cache_dir() / "big-home", path


def make(home: Path, into: Path, n: int) -> None:
    """Write the state of ``n`` threads of ``home`` into the new directory ``into``."""
    holdfast = ours.library()
    from holdfast import sql
    from holdfast.threads import homes as home_rows
    from holdfast.threads import store

    with holdfast.open(home, state_dir=into, search=False) as state:
        made = Made(n)
        with state.write() as tx:
            home_id = home_rows.ensure(tx, str(home.resolve())).home_id
            for name in _index_names():
                tx.script(f"DROP INDEX IF EXISTS {name}")  # as in a first index: filled once, at the end
        for begin in range(0, n, _SLICE):
            with state.write() as tx:
                put(tx, home_id, made, begin, min(begin + _SLICE, n))
        with state.write(wait_ms=60_000) as tx:
            tx.script(sql.load_script("holdfast.threads", "indexes.sql"))
            store.inherit(tx, home_id, store.next_revision(tx))
        put_titles(state, into, home_id)


def put(tx: Any, home_id: int, made: Made, begin: int, end: int) -> None:
    """Write the threads ``begin`` to ``end``, and their lines in the ledger, as one slice of a first index."""
    from holdfast.ingest import ledger
    from holdfast.ingest.model import FileRow
    from holdfast.threads import store

    first = ledger.next_file_id(tx)
    files, rows, gone = [], [], []
    for at in range(begin, end):
        facts, archived, name = made.thread(at)
        row = store.derive(facts, archived=archived, archived_ms=facts.updated_ms if archived else None, name=name)
        row["file_id"] = file_id = first + at - begin
        missing = made.random.random() < 0.005
        if missing:
            gone.append(file_id)
        folder = time.strftime("%Y/%m/%d", time.gmtime(facts.created_ms // 1000))
        path = f"{'archived_sessions' if archived else 'sessions/' + folder}/rollout-{at:07d}.jsonl"
        rows.append(row)
        files.append(
            FileRow(
                file_id, path, 0, at, 40_000, facts.updated_ms * 1_000_000, 40_000, "gone" if missing else "ok", 0,
                facts.thread_id, home_id, None, None,
            )
        )  # fmt: skip
    ledger.put(tx, files)
    store.put(tx, home_id, rows, store.next_revision(tx))
    if gone:
        store.mark_missing(tx, gone)


class Made:
    """The facts of each thread, in the order they were begun."""

    def __init__(self, n: int) -> None:
        self.random = random.Random(n)
        self._step = SPAN_MS // n
        self._zipf = list(itertools.accumulate(1 / (rank + 1) for rank in range(CWDS - 1)))
        self._parents: list[bytes] = []

    def thread(self, at: int) -> tuple[Any, bool, str | None]:
        """Return the facts of thread ``at``, whether it is archived, and its name in the home's names file."""
        from holdfast.rollouts import ThreadFacts

        chance = self.random
        created = FIRST_MS + at * self._step + chance.randrange(max(1, self._step))
        thread_id = (created << 80 | 7 << 76 | chance.getrandbits(76)).to_bytes(16, "big")
        child = bool(self._parents) and chance.random() < 0.12
        parent = None
        if child:
            recent = self._parents[-200:]
            parent = recent[chance.randrange(len(recent)) ** 2 // len(recent)]
        elif chance.random() < 0.1:
            self._parents.append(thread_id)
        source = "subagent" if child else chance.choices(*_SOURCES)[0]
        message = " ".join(chance.choices(_WORDS, k=chance.randrange(4, 24))) + f" {at:07d}"
        # The rare directory is made of the same few threads at every size.
        rank = CWDS - 1 if at % 31 == 7 and at < 1000 else bisect.bisect(self._zipf, chance.random() * self._zipf[-1])
        updated = created + int(chance.expovariate(1 / 7_200_000))
        facts = ThreadFacts(
            thread_id=thread_id,
            parent_thread_id=parent,
            created_ms=created,
            updated_ms=updated,
            recency_ms=created + (updated - created) // 2,
            source=source,
            source_kind=source,
            thread_source="user" if not child else "subagent",
            agent_nickname=chance.choice(_WORDS) if child else None,
            agent_role="explorer" if child else None,
            originator="codex_cli_rs",
            model_provider=chance.choices(*_PROVIDERS)[0],
            model=f"gpt-5.{chance.randrange(4)}-codex",
            reasoning_effort=chance.choice(("low", "medium", "high")),
            cwd=f"/srv/team/repo{rank:04d}",
            cli_version=f"0.{100 + at * 69 // 1_000_000}.0",
            git_sha=f"{chance.getrandbits(160):040x}",
            git_branch=f"feature/{chance.choice(_WORDS)}",
            git_origin_url=f"git@example.com:team/repo{rank:04d}.git",
            title=message,
            preview=message,
            first_user_message=message,
            first_user_ordinal=2,
            tokens_used=chance.randrange(2_000_000),
        )
        return facts, chance.random() < 0.08, f"named {at}" if chance.random() < 0.03 else None


def put_titles(state: Any, into: Path, home_id: int) -> None:
    """Put the titles into the index of words, as feeding does; there are no messages."""
    from holdfast import search
    from holdfast.search import store
    from holdfast.threads import store as threads

    with state.write() as tx:
        identity = store.name_state(tx, 1)
        upto = threads.revision(tx)
    index = search.open_index(os.path.join(into, "search.db"), state.engine.clock)
    with index.write() as tx:
        store.begin_anew(tx, identity)
    place = (-1, 0)
    while True:
        with state.read() as tx:
            page = store.behind(tx, home_id, place, upto, 50_000)
        if not page:
            break
        place = (page[-1].revision, page[-1].n)
        with index.write() as tx:
            store.put_titles(tx, [(row.n, row.haystack) for row in page], upto, between=lambda: None)
            store.put_fed(tx, [store.Fed(row.n, home_id, row.thread_id) for row in page])
    with index.write() as tx:
        store.set_place(tx, home_id, (upto, (1 << 63) - 1))
    index.close()


def _index_names() -> list[str]:
    from holdfast import sql

    text = sql.load_script("holdfast.threads", "indexes.sql")
    return [line.split()[5] for line in text.splitlines() if line.startswith("CREATE INDEX")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=1_000_000)
    given = parser.parse_args()
    began = time.monotonic()
    _, path = state(given.n)
    print(f"{path}: {ours.size_bytes(path):,} bytes, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
