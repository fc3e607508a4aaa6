"""A million threads beside a thousand: lists, look-ups, opening and status, and what a thread weighs.

    python -m bench.million [--sizes 1000,100000,1000000] [--rounds 5]

The states are those of ``big_state.py``: rows without rollouts, which no question here
reads. All sizes are open at once and asked in turn, round by round, so that the ratio
of the largest to the smallest is of one machine in one mood. Ours only: the peer has
no way to take rows without files.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench import big_state, measure, ours

FLAT = 2.0
FAST_MS = 1.0
ASKED = 60  # times a round
PARENT = "the busiest"
FILTERS: dict[str, dict[str, Any]] = {
    "all": {},
    "archived": {"archived": True},
    "archived or not": {"archived": None},
    "source common": {"sources": ["vscode"]},
    "source rare": {"sources": ["custom"]},
    "provider common": {"providers": ["openai"]},
    "provider rare": {"providers": ["lmstudio"]},
    "cwd common": {"cwds": [big_state.COMMON_CWD]},
    "cwd rare": {"cwds": [big_state.RARE_CWD]},
    "parent": {"parent": PARENT},
}
ORDERS = list(itertools.product(("updated", "created", "recency"), ("desc", "asc")))
TOLD: dict[str, dict[str, Any]] = {
    "cwd + source": {"cwds": [big_state.COMMON_CWD], "sources": ["exec"]},
    "cwd + rare source": {"cwds": [big_state.COMMON_CWD], "sources": ["custom"]},
    "search common": {"search": "parser"},
    "search one": {"search": " 0000500"},
    "search none": {"search": "xyzzy-nowhere"},
}
OPEN = """
import sys, time, holdfast
with holdfast.open(sys.argv[1], state_dir=sys.argv[2], refresh=False) as state:
    state.threads.list()
began = time.perf_counter()
with holdfast.open(sys.argv[1], state_dir=sys.argv[2], refresh=False) as state:
    state.threads.list()
    took = (time.perf_counter() - began) * 1000
    page = state.threads.list(limit=1000)
    for _ in range(20):
        page = state.threads.list(limit=1000, cursor=page.next_cursor) if page.next_cursor else page
    with open("/proc/self/status") as status:
        kib = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    print(took, kib)
"""
_BUSIEST = """
SELECT parent_thread_id FROM threads WHERE parent_thread_id IS NOT NULL AND archived = 0
GROUP BY parent_thread_id ORDER BY count(*) DESC LIMIT 1
"""
_AT = "SELECT n, thread_id, {sort}_ms AS ms FROM threads WHERE {where} ORDER BY {sort}_ms {direction}, n {direction}"

Ask = Callable[[], Any]


class Size:
    """A state of one size, open, and what can be asked of it."""

    def __init__(self, n: int, state: Any) -> None:
        self.n = n
        self.state = state
        self.parent = self._parent()

    def questions(self) -> Iterator[tuple[str, Ask, float | None, int]]:
        """Yield a name, the question, how many times slower than the smallest it may be, and the threads it gives."""
        for name, params in FILTERS.items():
            for sort, direction in ORDERS:
                asked = params | {"sort": sort, "direction": direction}
                yield self._list(f"{name}, {sort} {direction}", asked, None, FLAT)
        for name in ("all", "archived", "source common", "provider common", "cwd common"):
            for share in (50, 95):
                cursor = self.cursor_at(FILTERS[name], share)
                yield self._list(f"{name}, deep {share} %", FILTERS[name], cursor, FLAT)
        for name, params in TOLD.items():
            yield self._list(name, params, None, None)
        threads = self.state.threads
        middle = threads.list(limit=1, cursor=self.cursor_at({}, 50)).threads[0]
        named = self._named()
        for name, text in (("id", middle.id), ("prefix", middle.id.replace("-", "")[:20]), ("name", named)):
            yield f"resolve, {name}", lambda text=text: threads.resolve(text), FLAT, 1
        # Past 10,000 threads the trigrams are asked which titles it may be.
        yield "resolve, nothing", lambda: threads.resolve("no such thread"), None, 0
        yield "get", lambda: threads.get(middle.id), FLAT, 1

    def cursor_at(self, params: dict[str, Any], share: int) -> str:
        """Return the cursor behind ``share`` % of the threads of a list in the default order."""
        page = self.state.threads.list(limit=1, **params)
        if page.next_cursor is None:
            return ""
        low, high = self._ends(params)
        return self._cursor(params, high - (high - low) * share // 100)

    def _cursor(self, params: dict[str, Any], ms: int) -> str:
        from holdfast.threads import rules
        from holdfast.threads.model import Query

        query = Query(**{name: tuple(value) if isinstance(value, list) else value for name, value in params.items()})
        return rules.encode_cursor(query, ms, 1, "")

    def _ends(self, params: dict[str, Any]) -> tuple[int, int]:
        first = self.state.threads.list(limit=1, direction="asc", **params).threads[0]
        last = self.state.threads.list(limit=1, **params).threads[0]
        return first.updated_at_ms, last.updated_at_ms

    def _list(
        self, name: str, params: dict[str, Any], cursor: str | None, most: float | None
    ) -> tuple[str, Ask, float | None, int]:
        asked = {key: self.parent if value is PARENT else value for key, value in params.items()}
        threads = self.state.threads
        return (
            name,
            lambda: threads.list(limit=25, cursor=cursor, **asked),
            most,
            len(threads.list(limit=25, cursor=cursor, **asked).threads),
        )

    def _parent(self) -> str:
        from holdfast import ids

        return ids.text(self.row(_BUSIEST)["parent_thread_id"])

    def _named(self) -> str:
        row = self.row("SELECT name_file FROM threads WHERE name_file IS NOT NULL ORDER BY n LIMIT 1")
        return str(row["name_file"])

    def row(self, text: str) -> Any:
        from holdfast.sql import Statement

        with self.state.read() as tx:
            return tx.row(Statement("bench", text, text, frozenset(), frozenset()))


def measured(sizes: list[int], rounds: int) -> list[measure.Result]:
    """Return the lists and look-ups, and what each size costs to open, to count and to keep."""
    small, large = min(sizes), max(sizes)
    lists = measure.Result(f"Lists and look-ups of {large:,} threads, p50 as a multiple of {small:,}")
    whole = measure.Result(f"Opening, counting and keeping {large:,} threads")
    where = {n: big_state.state(n) for n in sizes}
    holdfast = ours.library()
    with contextlib.ExitStack() as stack:
        open_ = {}
        for n, (home, path) in where.items():
            handle = holdfast.open(home, state_dir=path, refresh=False, search=False)
            open_[n] = Size(n, stack.enter_context(handle))
        with ours.part(lists, "lists"):
            add_lists(lists, open_, rounds)
        for n in sizes:
            with ours.part(whole, f"{n:,} threads"):
                add_whole(whole, open_[n], *where[n])
    return [lists, whole]


def add_lists(result: measure.Result, open_: dict[int, Size], rounds: int) -> None:
    large = max(open_)
    asked = {n: {name: rest for name, *rest in size.questions()} for n, size in open_.items()}
    times: dict[tuple[str, int], list[float]] = {}
    for _ in range(rounds):
        for name in asked[large]:
            for n in open_:
                ask = asked[n][name][0]
                once = measure.latency(lambda _, ask=ask: ask(), most=ASKED, budget_s=0.3, warmup=2)
                times.setdefault((name, n), []).extend(once.ms)
    for name, (_, most, found) in asked[large].items():
        at = {n: measure.Latency(tuple(sorted(times[name, n]))) for n in open_}
        # A page that is not full is no measure: the smallest size that has as many threads to show.
        base = min(n for n in open_ if asked[n][name][2] == found)
        note = ", ".join(f"{n:,}: {at[n]}" for n in open_)
        note += "" if base == min(open_) else f"; a multiple of {base:,}"
        result.add(name, at[large].p50 / at[base].p50, "x", most if base < large else None, note=note)


def add_whole(result: measure.Result, size: Size, home: Path, path: Path) -> None:
    """Add what does not ask for a page."""
    from holdfast.ingest import ledger

    name = f"{size.n:,}"
    command = [sys.executable, "-c", OPEN, str(home), str(path)]
    told = sorted(
        [float(word) for word in subprocess.run(command, env=ours.environment(), stdout=subprocess.PIPE).stdout.split()]
        for _ in range(5)
    )
    took_ms, kib = told[2]
    result.add(f"{name}: open(refresh=False) and a first page", took_ms, "ms", note="imports not counted")
    result.add(f"{name}: memory of a process that lists 20,000", kib / 1024, "MiB", note="at its highest")
    status = measure.latency(lambda _: size.state.status(), most=10, budget_s=3, least=3)
    result.add(f"{name}: status()", status.p50, "ms", note=str(status))
    home_id = size.state.homes[0].home_id

    def load(_: int) -> int:
        with size.state.read() as tx:
            return len(ledger.load(tx, home_id))

    loaded = measure.latency(load, most=5, budget_s=3, least=2)
    result.add(f"{name}: the ledger read whole", loaded.p50, "ms", note="what every index of a home begins with")
    for file in ("state.db", "search.db"):
        result.add(f"{name}: {file}", os.path.getsize(path / file) / size.n, "bytes a thread")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1000,100000,1000000")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    return measure.finish(measured([int(size) for size in given.sizes.split(",")], given.rounds))


if __name__ == "__main__":
    sys.exit(main())
