"""The homes that are measured: generated once from the recorded ones, then kept in a cache.

    python -m bench.homes --n 10000 [--tiny]

Kept under ``$HOLDFAST_BENCH_DIR`` (``.cache/bench`` in the repository when it is
not set). A home in the cache is never written to again: whoever needs to write
takes ``copy_of``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tarfile
from pathlib import Path

from bench import synth_rollouts

REPOSITORY = Path(__file__).resolve().parent.parent
RECORDED = ("codex-home-0.169", "codex-home-0.141")
SEEDS = {10_000: 1, 50_000: 2}  # the seeds of the recorded numbers of the peer; any other size: 3
PARTS = ("sessions", "archived_sessions", "session_index.jsonl")


def cache_dir() -> Path:
    path = Path(os.environ.get("HOLDFAST_BENCH_DIR") or REPOSITORY / ".cache" / "bench").absolute()
    path.mkdir(parents=True, exist_ok=True)
    return path


def recorded() -> list[Path]:
    """Return the recorded homes, unpacked into the cache."""
    into = cache_dir() / "recorded"
    for name in RECORDED:
        if (into / name).exists():
            continue
        into.mkdir(exist_ok=True)
        partial = into / f"{name}.{os.getpid()}.partial"
        with tarfile.open(REPOSITORY / "tests" / "fixtures" / f"{name}.tar.gz") as archive:
            archive.extractall(partial, filter="data")
        os.rename(partial / name, into / name)
        partial.rmdir()
    return [into / name for name in RECORDED]


def home(n: int, *, tiny: bool = False, seed: int | None = None) -> Path:
    """Return the home of ``n`` rollouts, made now if it is not in the cache.

    Full size: 10,000 are 0.6 GB and take 5 to 30 s to make, 50,000 are 2.8 GB.
    Tiny: 100,000 are 0.2 GB.
    """
    seed = SEEDS.get(n, 3) if seed is None else seed
    path = cache_dir() / f"home-{'tiny' if tiny else 'full'}-{n}-seed{seed}"
    if path.exists():
        return path
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    templates = synth_rollouts.load_templates(recorded())
    made = synth_rollouts.make(synth_rollouts.Recipe(n, seed, tiny=tiny), templates, partial)
    shutil.copyfile(recorded()[0] / "config.toml", partial / "config.toml")
    facts_of(path).write_text(json.dumps(made) + "\n")
    os.rename(partial, path)
    os.sync()
    return path


def facts_of(path: Path) -> Path:
    """Return where the generator's summary of the home at ``path`` is kept: beside it, not in it."""
    return path.with_name(path.name + ".json")


def facts(path: Path) -> dict[str, int]:
    return json.loads(facts_of(path).read_text())


def copy_of(path: Path, into: Path) -> Path:
    """Copy the rollouts of ``path`` to ``into``, modification times kept, and flush them.

    A real copy: a program under test that appends through a hard link would
    change the original. Flushed, so that the write-back of the copy does not
    run into the measurement.
    """
    into.mkdir(parents=True)
    for part in PARTS:
        if (path / part).is_dir():
            shutil.copytree(path / part, into / part)
        elif (path / part).exists():
            shutil.copy2(path / part, into / part)
    os.sync()
    return into


def rollouts(path: Path) -> list[Path]:
    return [found for part in PARTS[:2] for found in sorted((path / part).glob("**/*.jsonl"))]


def warm(path: Path) -> int:
    """Read every rollout once, so that both sides start with a warm page cache; return the bytes."""
    total = 0
    for rollout in rollouts(path):
        with open(rollout, "rb", buffering=0) as file:
            while chunk := file.read(1 << 20):
                total += len(chunk)
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--tiny", action="store_true")
    given = parser.parse_args()
    path = home(given.n, tiny=given.tiny, seed=given.seed)
    print(path, json.dumps(facts(path)))


if __name__ == "__main__":
    main()
