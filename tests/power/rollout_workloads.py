"""A rollout written, gone on with, made small and made plain again, while the power may fail."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Callable
from dataclasses import dataclass

from backports import zstd
from faults import Fault
from recorder import recorded
from replay import Promises
from workloads import Workload

from holdfast.errors import HoldfastError
from holdfast.rollouts import RolloutWriter, compress
from written import META, a_turn, says


@dataclass(frozen=True, slots=True)
class Found:
    """A thread in an image: its text, whether it could be gone on with, and with which number."""

    text: bytes | None
    refused: str = ""
    ordinal: int = -1


def write_rollout(root: str, *, deaf: Callable[[str], bool] = lambda _path: False, failing: int = 0) -> Workload:
    """A thread begun, grown by lines and turns, gone on with behind a torn line, and twice from its ``.zst``.

    ``failing``: the sync with this number, from the first line on, says no.
    """
    home = f"{root}/home"
    os.mkdir(home)
    with recorded(root, deaf=deaf) as log:

        def add(writer: RolloutWriter, items: list[object]) -> None:
            answer = writer.append(items)  # type: ignore[arg-type]
            if not answer.durable:
                assert log.faults.hits
                log.faults.lift()
                writer.flush()
            log.mark("safe", (writer.size, answer.last_ordinal))

        with RolloutWriter.create(home, META) as writer:
            if failing:
                log.faults.arm(Fault("sync"), failing)
            for n in range(4):
                add(writer, [says(f"{n} " + "x" * 700 * n)])
                add(writer, a_turn(writer))
            log.faults.lift()
        path = os.path.relpath(writer.path, home)
        with open(writer.path, "ab") as file:
            file.write(b'{"timestamp":"2026-')  # another one died here, in the middle of a line
        with RolloutWriter.resume(home, path, keep=lambda *_: None) as writer:
            add(writer, [says("after half a line")])
        for turn in range(2):
            assert compress(home, path, cold_ms=0).outcome == "compressed"
            with RolloutWriter.resume(home, path) as writer:
                add(writer, [says(f"again {turn} " + "y" * 1_500), says("and more")])
    with open(f"{home}/{path}", "rb") as file:
        whole = file.read()

    def judge(seen: Found, promises: Promises) -> str:
        if not promises["safe"]:
            return ""
        size, ordinal = promises["safe"][-1]
        if seen.text is None:
            return f"{size} bytes were safe, and there is no file"
        if seen.text[:size] != whole[:size]:
            return f"{size} bytes were safe, and they are not what the file of {len(seen.text)} bytes begins with"
        if seen.refused:
            return f"it cannot be gone on with: {seen.refused}"
        return "" if seen.ordinal > ordinal else f"line {ordinal} was written, and the next has number {seen.ordinal}"

    return Workload(log, lambda folder: _find(f"{folder}/home"), judge)


def _find(home: str) -> Found:
    plain = glob.glob(f"{home}/sessions/*/*/*/*.jsonl")
    packed = glob.glob(f"{home}/sessions/*/*/*/*.jsonl.zst")
    if not plain and not packed:
        return Found(None)
    (path,) = plain or packed
    with open(path, "rb") as file:
        text = file.read()
    if not plain:
        text = zstd.decompress(text)
    try:
        with RolloutWriter.resume(home, path, keep=lambda *_: None) as writer:
            ordinal = writer.append([says("after the cut")]).first_ordinal
    except HoldfastError as error:
        return Found(text, refused=f"{type(error).__name__}: {error}")
    assert ordinal is not None
    _check_numbers(writer.path)
    return Found(text, ordinal=ordinal)


def _check_numbers(path: str) -> None:
    """Fail when two lines have one number. Lines that the cut took may be missing, half lines may stay."""
    numbers = []
    with open(path, "rb") as file:
        for line in file:
            try:
                numbers.append(json.loads(line.lstrip(b"\0"))["ordinal"])
            except (ValueError, TypeError, KeyError):
                continue
    assert numbers == sorted(set(numbers)), f"lines are numbered {numbers}"
