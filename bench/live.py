"""What a turn costs through ``LiveThread``: items per second, commits, and bytes written to rollout and state.db.

    python -m bench.live [DIRECTORY] [--turns 200]

A turn is a realistic one: what it runs with, a question, reasoning, three tool calls with 4 KB of output each, token
counts, an answer. Bytes written are what this process passed to write calls (/proc/self/io, ``wchar``) less what the
rollout grew by: the write-ahead log, its copy into the database, and lock files. The words for the search are fed in
another run of the same turns, ``words``. The peer's numbers are recorded (Codex 0.169, strace, ten turns of three tool
calls each): its rollout, and its four databases.

Rounds of a bare ``write`` (and ``fdatasync``) loop over the very same lines are interleaved: only ratios of one run
mean anything on a shared disk.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import holdfast
from bench.appending import asked_bytes, bare
from holdfast import LiveThread
from holdfast.rollouts import Turn, tokens

PEER_ROLLOUT_BYTES = 24_000
PEER_SQLITE_BYTES = 1_120_000
PEER_STATE_BYTES = 410_000
ROUNDS = 5

Batch = list[dict[str, Any]]


def batches(turn: Turn, number: int) -> Iterator[Batch]:
    """Yield what a harness appends in one turn, as it happens."""
    yield [*turn.started(), *turn.context(cwd="/work", model="gpt-5", effort="high")]
    yield turn.user_message(f"question {number}: why does the test of the parser fail on an empty line?")
    for call in range(3):
        yield turn.reasoning("**Looking at the parser** " * 4)
        yield turn.function_call("shell", '{"command":["sed","-n","1,80p","src/parser.py"]}', call_id=f"c{call}")
        yield turn.function_call_output(f"{call} def parse(line): return line.split()\n" * 100, call_id=f"c{call}")
        yield turn.token_count(tokens(input=12_000 + 400 * number + call, output=300))
    yield turn.assistant_message("The empty line is split into nothing. It is skipped now, and the test passes. " * 8)
    yield turn.completed()


def one_turn(live: LiveThread, number: int) -> tuple[int, list[bytes]]:
    """Append one turn; return how many items, and its lines."""
    items, blocks = 0, []
    for batch in batches(Turn(live.id), number):
        items += len(batch)
        blocks.append(live.append(batch).block)
    return items, blocks


def measure(folder: str, sync: str, turns: int, *, search: bool) -> None:
    """Print one line of the table."""
    with holdfast.open(own=f"{folder}/own", state_dir=f"{folder}/state", search=search) as state:
        live = state.threads.create(cwd="/work", sync=sync)  # type: ignore[arg-type]
        _, blocks = one_turn(live, 0)
        again, close_bare = bare(f"{folder}/bare", blocks[1], sync)
        size, commits, asked, items, ratios, per_s = os.stat(live.path).st_size, 0, 0, 0, [], []
        assert state.engine is not None
        for part in range(ROUNDS):
            began, asked_began, groups = time.perf_counter(), asked_bytes(), state.engine.status().groups
            count = 0
            for number in range(turns // ROUNDS):
                count += one_turn(live, part * turns + number)[0]
            live.flush()
            if search:
                state.wait_for_search()
            spent = time.perf_counter() - began
            asked += asked_bytes() - asked_began
            commits += state.engine.status().groups - groups
            items += count
            per_s.append(count / spent)
            calls = turns // ROUNDS * len(blocks)
            began = time.perf_counter()
            for _ in range(calls):
                again()
            ratios.append((calls / (time.perf_counter() - began)) / (calls / spent))
        close_bare()
        done = turns // ROUNDS * ROUNDS
        rollout = (os.stat(live.path).st_size - size) / done
        other = asked / done - rollout
        live.close()
    print(
        f"{sync:<8}{'words' if search else '':<7}{statistics.median(per_s):>9.0f}{1 / statistics.median(ratios):>8.3f}"
        f"{commits / done:>14.1f}{items / done:>12.1f}{rollout:>14.0f}{other:>14.0f}{other / (items / done):>12.0f}"
        f"{rollout / PEER_ROLLOUT_BYTES:>10.2f}{other / PEER_SQLITE_BYTES:>9.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?", help="where to write; the file system matters")
    parser.add_argument("--turns", type=int, default=200)
    options = parser.parse_args()
    print(
        f"{'sync':<8}{'':<7}{'items/s':>9}{'/bare':>8}{'commits/turn':>14}{'items/turn':>12}{'rollout B':>14}"
        f"{'databases B':>14}{'B/item':>12}{'/codex':>10}{'/codex':>9}"
    )
    for sync in ("never", "turn", "append"):
        with tempfile.TemporaryDirectory(dir=options.directory) as folder:
            measure(folder, sync, options.turns, search=False)
    with tempfile.TemporaryDirectory(dir=options.directory) as folder:
        measure(folder, "append", options.turns, search=True)
    print(
        f"codex 0.169, recorded: {PEER_ROLLOUT_BYTES:,} B of rollout a turn, {PEER_SQLITE_BYTES:,} B into its databases"
        f" ({PEER_STATE_BYTES:,} of them state_5.sqlite)"
    )


if __name__ == "__main__":
    main()
