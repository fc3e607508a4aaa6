"""A process that scans files into facts. Started as ``python -m holdfast.rollouts.scan_worker`` for ``pool``."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from holdfast.rollouts.facts import ThreadFacts
from holdfast.rollouts.reading import Scan, scan
from holdfast.rollouts.workers.serving import serve

_ANSWERS_AT_ONCE = 16  # a system call for each would cost more than some scans


class ScanRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One file to scan; ``path`` is relative to ``home`` and plain. ``size`` in bytes spares a stat."""

    home: str
    path: str
    zst: bool = False
    offset: int = 0
    facts: ThreadFacts | None = None
    size: int | None = None


encode = msgspec.msgpack.Encoder().encode
decode_scans = msgspec.msgpack.Decoder(list[Scan]).decode
_decode_requests = msgspec.msgpack.Decoder(list[ScanRequest]).decode


def answer(request: ScanRequest) -> Scan:
    """Return the scan that ``request`` asks for. Never raises."""
    return scan(
        request.path,
        home=request.home,
        zst=request.zst,
        facts=request.facts,
        offset=request.offset,
    )


def _answers(body: bytes) -> Iterator[bytes]:
    requests = _decode_requests(body)
    for n in range(0, len(requests), _ANSWERS_AT_ONCE):
        yield encode([answer(request) for request in requests[n : n + _ANSWERS_AT_ONCE]])


if __name__ == "__main__":
    serve(_answers)
