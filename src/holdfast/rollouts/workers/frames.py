"""What processes say to each other over a pipe: a body behind its length, of four bytes. Pure."""

from __future__ import annotations

_LENGTH_BYTES = 4


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
