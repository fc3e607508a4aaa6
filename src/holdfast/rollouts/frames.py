"""What the pool and its workers say to each other: msgpack behind a length of four bytes. Pure."""

from __future__ import annotations

import msgspec

from holdfast.rollouts.facts import ThreadFacts
from holdfast.rollouts.reading import Scan

_LENGTH_BYTES = 4


class ScanRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One file to scan; ``path`` is relative to ``home`` and plain. ``size`` in bytes spares a stat."""

    home: str
    path: str
    zst: bool = False
    offset: int = 0
    facts: ThreadFacts | None = None
    size: int | None = None


class Batch(msgspec.Struct, array_like=True):
    """Files to scan, one answer (``Scan``) each, in this order."""

    requests: list[ScanRequest]


encode = msgspec.msgpack.Encoder().encode
decode_batch = msgspec.msgpack.Decoder(Batch).decode
decode_scans = msgspec.msgpack.Decoder(list[Scan]).decode


def framed(body: bytes) -> bytes:
    """Return ``body`` with its length in front."""
    return len(body).to_bytes(_LENGTH_BYTES, "little") + body


class Unframer:
    """Takes a stream in pieces and gives back whole bodies."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the bodies that ``piece`` completes."""
        self._waiting += piece
        bodies = []
        begin = 0
        while len(self._waiting) - begin >= _LENGTH_BYTES:
            end = begin + _LENGTH_BYTES + int.from_bytes(self._waiting[begin : begin + _LENGTH_BYTES], "little")
            if len(self._waiting) < end:
                break
            bodies.append(bytes(self._waiting[begin + _LENGTH_BYTES : end]))
            begin = end
        del self._waiting[:begin]
        return bodies
