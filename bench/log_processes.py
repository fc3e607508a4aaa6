"""Records a second from one process and from eight on one log; what the cap costs.

    python -m bench.log_processes [DIRECTORY] [--seconds 5]

Every process writes as fast as it can, in batches of 64, records of a real Codex
(as in log_writing) or 200 random bytes as hex, which hardly pack: then room is asked for
all the time. "full" is the same on a log that is at its cap, where every step lets a segment go.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time

import msgspec

from bench.log_writing import recorded
from holdfast.logs import Caps, Record, SegmentWriter

BATCH = 64
CAP = 64 << 20

WRITER = """
import sys
from bench.log_processes import flood
flood(sys.argv[1], sys.argv[2], float(sys.argv[3]))
"""


def noise(seed: int) -> list[Record]:
    draw = random.Random(seed)
    said = {"id": 0, "ts": time.time_ns() // 1_000, "level": "INFO", "target": "bench.noise"}
    return [Record(**said, message=draw.randbytes(100).hex()) for _ in range(20_000)]


def known() -> list[Record]:
    with tempfile.TemporaryDirectory() as folder:
        once = recorded(folder)
    return [msgspec.structs.replace(once[n % len(once)]) for n in range(20_000)]


def flood(directory: str, kind: str, seconds: float) -> None:
    """Write for so long once told to; print what was written, what not, the slowest batch in ms, and why not."""
    records = noise(7) if kind == "random" else known()
    writer = SegmentWriter(directory, Caps(bytes=CAP, free_bytes=0))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    written = dropped = at = 0
    slowest = 0.0
    until = time.perf_counter() + seconds
    why = ""
    while (begun := time.perf_counter()) < until:
        kept = writer.append(records[at : at + BATCH])
        slowest = max(slowest, time.perf_counter() - begun)
        written += kept.written
        dropped += kept.dropped
        why = why or kept.why
        at = (at + BATCH) % (len(records) - BATCH)
    writer.close()
    print(written, dropped, slowest * 1_000, why, sep="\t")


def run(directory: str, kind: str, processes: int, seconds: float) -> str:
    """Return a row of the table."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, directory, kind, str(seconds)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(processes)
    ]  # fmt: skip
    for each in started:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    for each in started:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    told = [each.communicate()[0].rstrip("\n").split("\t") for each in started]
    written, dropped = (sum(int(row[n]) for row in told) for n in (0, 1))
    slowest = max(float(row[2]) for row in told)
    why = next((row[3] for row in told if row[3]), "")
    return f"{written / seconds:12,.0f}/s {dropped:10,} {slowest:10.1f} ms  {why}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?")
    parser.add_argument("--seconds", type=float, default=5)
    given = parser.parse_args()
    print(f"{'records':8} {'processes':>9} {'log':>6} {'written':>14} {'dropped':>10} {'slowest':>13}")
    for kind in ("codex", "random"):
        for processes in (1, 8):
            with tempfile.TemporaryDirectory(dir=given.directory) as folder:
                for turn in ("empty", "full"):
                    if turn == "full" and kind == "codex":
                        fill(folder)
                    told = run(folder, kind, processes, given.seconds)
                    print(f"{kind:8} {processes:>9} {turn:>6} {told}", flush=True)


def fill(directory: str) -> None:
    """Fill the log to its cap."""
    writer, records = SegmentWriter(directory, Caps(bytes=CAP, free_bytes=0)), noise(1)
    for at in range(0, 50 * len(records), 256):
        start = at % (len(records) - 256)
        writer.append(records[start : start + 256])
    writer.close()


if __name__ == "__main__":
    main()
