"""What a probe is: a function from one look to findings, and what it is for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from holdfast.doctor.model import Finding, Kind

EVERY_KIND: tuple[Kind, ...] = ("holdfast", "codex", "hermes", "sqlite")

Look = TypeVar("Look", contravariant=True)


@dataclass(frozen=True, slots=True)
class Probe(Generic[Look]):
    """``run(look)`` yields what is not as it must be; nothing, when all is well.

    ``rows``: the rows of the catalogue it covers. ``kinds``: the targets it is for.
    ``limit_ms``: then the next one has its turn, and this one is told as cut.
    """

    name: str
    run: Callable[[Look], Iterator[Finding]]
    rows: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = EVERY_KIND
    limit_ms: int = 500
