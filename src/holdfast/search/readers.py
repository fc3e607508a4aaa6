"""Reading many rollouts for the index of words: here when it is little, else in processes of our own.

In processes, because the texts are cut and folded in Python: a host program that
is at work must not wait for its own interpreter while we feed.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator

from holdfast.rollouts.workers.crew import work_through
from holdfast.rollouts.workers.work import Work
from holdfast.search.parts import Part, ReadRequest, read, unread
from holdfast.search.read_worker import decode_parts, encode

ALONE_BYTES_MAX = 16 * 1024 * 1024
"""Up to this much is read here: a worker takes 60 ms to start."""


def read_many(
    requests: Iterable[ReadRequest], *, workers: int | None = None, stop: threading.Event | None = None
) -> Generator[Part, None, None]:
    """Yield the parts of every request, those of one rollout in order; stop early when ``stop`` is set.

    ``workers``: processes at most (default: one per core; 0 for none). At most
    three batches per worker are taken ahead. Closing the iterator ends them.
    """
    return work_through(_Reading(), requests, workers=workers, alone_bytes_max=ALONE_BYTES_MAX, stop=stop)


class _Reading(Work[ReadRequest, Part]):
    module = "holdfast.search.read_worker"
    who = "readers"
    batch_bytes = 2 * 1024 * 1024
    batches_ahead = 3

    def size(self, request: ReadRequest) -> int:
        return max(request.size - request.offset, 0)

    def encode(self, batch: list[ReadRequest]) -> bytes:
        return encode(batch)

    def decode(self, body: bytes) -> list[Part]:
        return decode_parts(body)

    def answered(self, request: ReadRequest, answer: Part) -> bool:
        request.offset, request.inode, request.zst, request.mark = answer.end, answer.inode, answer.zst, answer.mark
        return answer.last

    def here(self, request: ReadRequest) -> Iterator[Part]:
        return read(request)

    def given_up(self, request: ReadRequest, why: str) -> Part:
        return unread(request, why)
