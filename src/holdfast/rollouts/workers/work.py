"""What there is to do, as far as the processes that do it must know."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar, Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


class Work(ABC, Generic[Q, A]):
    """One kind of work: what is asked (``Q``, of one file each), what is answered, and how both are written down."""

    module: ClassVar[str]
    """What a process runs, as ``python -m`` does; it calls ``serving.serve``."""
    who: ClassVar[str]
    """What such processes are called when they die of a file."""
    batch_bytes: ClassVar[int]
    """How much there is to read in a batch: 10 to 20 ms of work, so that the last batches end together."""
    batches_ahead: ClassVar[int]
    """Batches a process has at the most: enough that it works on while the caller writes rows."""

    @abstractmethod
    def size(self, request: Q) -> int:
        """Return how many bytes there are to read."""

    @abstractmethod
    def encode(self, batch: list[Q]) -> bytes:
        """Return requests as the process reads them. It answers them in this order."""

    @abstractmethod
    def decode(self, body: bytes) -> list[A]:
        """Return answers as the process wrote them."""

    @abstractmethod
    def answered(self, request: Q, answer: A) -> bool:
        """Return True when ``answer`` was the last one to ``request``; note in it where another process goes on."""

    @abstractmethod
    def here(self, request: Q) -> Iterable[A]:
        """Answer in this process."""

    @abstractmethod
    def given_up(self, request: Q, why: str) -> A:
        """Return the answer to a request that no process survives."""
