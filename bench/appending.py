"""Items per second through ``RolloutWriter.append``, beside a bare ``write`` loop on the same disk in the same run.

    python -m bench.appending [DIRECTORY] [--rounds 5] [--seconds 0.5]

Rounds are interleaved and the median is told: a shared disk varies two- to
fourfold between runs, so only the ratio of one run means anything. The bare
loop writes the very lines that ours made: no clock, no JSON, no check of the
file, no lock. ``amplification`` is bytes the file grew by (and bytes this
process asked to write, /proc/self/io) over the bytes of the lines.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from holdfast.rollouts import RolloutWriter

ITEM = {
    "type": "event_msg",
    "payload": {"type": "agent_message", "message": "some words of the usual length " * 8, "phase": "commentary"},
}
TARGET_PER_S = 50_000


def per_second(one: Callable[[], None], seconds: float) -> float:
    count = 0
    begun = time.perf_counter()
    deadline = begun + seconds
    while time.perf_counter() < deadline:
        one()
        count += 1
    return count / (time.perf_counter() - begun)


def bare(path: str, line: bytes, sync: str) -> tuple[Callable[[], None], Callable[[], None]]:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def one() -> None:
        os.write(fd, line)
        if sync == "append":
            os.fdatasync(fd)

    return one, lambda: os.close(fd)


def asked_bytes() -> int:
    for line in Path("/proc/self/io").read_text().splitlines():
        if line.startswith("wchar:"):
            return int(line.split()[1])
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?", help="where to write; the file system matters")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5)
    options = parser.parse_args()
    print(f"{'sync':<8}{'batch':>6}{'bare/s':>10}{'ours/s':>10}{'ratio':>8}{'items/s':>10}{'amplification':>15}")
    for sync in ("never", "turn", "append"):
        for batch in (1, 10):
            with tempfile.TemporaryDirectory(dir=options.directory) as folder:
                writer = RolloutWriter.create(folder, {"cwd": "/"}, sync=sync)  # type: ignore[arg-type]
                items = [ITEM] * batch
                line = writer.append(items).block
                theirs, close_theirs = bare(os.path.join(folder, "bare"), line, sync)
                before, asked, lines_bytes = writer.size, 0, 0

                def one(writer: RolloutWriter = writer, items: list[dict[str, object]] = items) -> None:
                    writer.append(items)

                pairs = []
                for _ in range(options.rounds):
                    one_bare = per_second(theirs, options.seconds)
                    began = asked_bytes()
                    pairs.append((one_bare, per_second(one, options.seconds)))
                    asked += asked_bytes() - began
                lines_bytes = writer.size - before
                grown = os.stat(writer.path).st_size - before
                writer.close()
                close_theirs()
            ours = statistics.median(b for _, b in pairs)
            print(
                f"{sync:<8}{batch:>6}{statistics.median(a for a, _ in pairs):>10.0f}{ours:>10.0f}"
                f"{statistics.median(b / a for a, b in pairs):>8.2f}{ours * batch:>10.0f}"
                f"{grown / lines_bytes:>8.2f}{asked / lines_bytes:>7.2f}"
            )
    print(f'target: {TARGET_PER_S:,} single items a second with sync="never"')


if __name__ == "__main__":
    main()
