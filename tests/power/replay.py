"""Cut the power after every operation of a log, in every way, and look at what is left.

Each distinct image is opened once (``examine``), and what was seen there is
compared with what had been promised by each moment that may leave it (``judge``).
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from disk import Disk, Image, Mark, Op
from recorder import Recorder

VARIANTS = ("all", "none", "names", "bytes", "sectors", "torn", "junk")
_BY_CHANCE = ("sectors", "torn", "junk")

Promises = dict[str, list[Any]]
"""What was marked before the cut, by kind, in order."""


@dataclass(frozen=True, slots=True)
class Broken:
    """An image that could not be opened, or did not hold together."""

    why: str


@dataclass(frozen=True, slots=True)
class Violation:
    step: int
    variant: str
    seed: int
    why: str


@dataclass(slots=True)
class Report:
    """How many moments and ways to cut there were, how many images differed, and what was wrong."""

    points: int = 0
    distinct: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    violations: list[Violation] = field(default_factory=list)


def replay(
    log: Recorder,
    examine: Callable[[str], object],
    judge: Callable[[Any, Promises], str],
    *,
    folder: str,
    variants: Sequence[str] = VARIANTS,
    seeds: int = 1,
    seed: int = 0,
    every: int = 1,
    stop_after: int = 1,
) -> Report:
    """Cut at each step (``every``: at some, by ``seed``), and return what that showed.

    ``examine`` gets a folder that holds the image; an exception of it is a
    violation by itself. ``judge`` returns what is wrong, or "".
    """
    began, cpu_began = time.perf_counter(), time.process_time()
    report = Report()
    known: dict[bytes, object] = {}
    draws = [(variant, number) for variant in variants for number in range(seeds if variant in _BY_CHANCE else 1)]

    def found() -> Iterator[Violation]:
        for step, disk, promises, is_io in _moments(log, every, seed):
            for variant, number in draws:
                chosen = (seed * 1_000 + number) * 1_000_003 + step
                image = disk.image(variant, chosen)
                key = _key(image)
                report.points += is_io
                if key not in known:
                    restore(image, folder, junk=chosen if variant == "junk" else None)
                    known[key] = _seen(examine, folder)
                seen = known[key]
                why = seen.why if isinstance(seen, Broken) else judge(seen, promises)
                if why:
                    yield Violation(step, variant, number, why)

    report.violations = list(itertools.islice(found(), stop_after))
    report.distinct = len(known)
    report.seconds, report.cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    return report


def _moments(log: Recorder, every: int, seed: int) -> Iterator[tuple[int, Disk, Promises, bool]]:
    """Yield the disk and the promises after one step in ``every``, and whether that step changed the disk."""
    disk = Disk()
    promises: Promises = defaultdict(list)
    for step, op in enumerate(log.ops):
        disk.step(op)
        if isinstance(op, Mark):
            promises[op.what].append(op.value)
        if step >= log.begin and (step + seed) % every == 0:
            yield step, disk, promises, not isinstance(op, Mark)


def restore(image: Image, folder: str, *, junk: int | None = None) -> None:
    """Make ``folder`` hold the image. ``junk``: beside each log lie shared-memory pages full of garbage."""
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)
    for path, content in image.items():  # a folder comes before what is in it
        full = f"{folder}/{path}"
        if content is None:
            os.mkdir(full)
            continue
        with open(full, "wb") as file:
            file.write(content.data)
        if junk is not None and path.endswith("-wal"):
            with open(f"{full.removesuffix('-wal')}-shm", "wb") as file:
                file.write(random.Random(junk).randbytes(32_768))


@contextmanager
def memory_folder() -> Iterator[str]:
    """Give a folder in memory where there is one: nothing here needs a disk, and syncs would cost milliseconds."""
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="holdfast-power-", dir=base) as folder:
        yield os.path.realpath(folder)


def io_steps(ops: Sequence[Op]) -> int:
    """Return how many operations change a disk."""
    return sum(not isinstance(op, Mark) for op in ops)


def _seen(examine: Callable[[str], object], folder: str) -> object:
    try:
        return examine(folder)
    except Exception as error:  # whatever it is, it is what the owner of the disk would have met
        return Broken(f"{type(error).__name__}: {error}")


def _key(image: Image) -> bytes:
    digest = blake2b(digest_size=16)
    for path, content in sorted(image.items()):
        digest.update(path.encode() + b"\0" + (content.digest if content is not None else b"folder"))
    return digest.digest()
