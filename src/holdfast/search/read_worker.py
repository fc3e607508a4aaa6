"""A process that reads the rollouts it is told to, for the index of words, until nobody tells it any more.

Started as ``python -m holdfast.search.read_worker`` by ``readers``. Reads lists
of requests from stdin, answers part by part on stdout, and ends with its stdin.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress

import msgspec

from holdfast.rollouts.frames import Unframer, framed
from holdfast.search.parts import Part, ReadRequest, read

_SEND_BYTES = 256 * 1024
_NICE = 10  # somebody is working on this machine; the index can wait

encode = msgspec.msgpack.Encoder().encode
decode_requests = msgspec.msgpack.Decoder(list[ReadRequest]).decode
decode_parts = msgspec.msgpack.Decoder(list[Part]).decode


def main() -> None:
    """Serve until stdin ends, or nobody reads the answers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends us
    with suppress(OSError):
        os.nice(_NICE)
    unframer = Unframer()
    with suppress(BrokenPipeError):
        _send(framed(encode([])))  # "started"
        while piece := os.read(0, 1 << 16):
            for body in unframer.feed(piece):
                _answer(decode_requests(body))


def _answer(requests: list[ReadRequest]) -> None:
    waiting: list[Part] = []
    chars = 0
    for request in requests:
        for part in read(request):
            waiting.append(part)
            chars += part.chars
            if chars >= _SEND_BYTES:
                _send(framed(encode(waiting)))
                waiting, chars = [], 0
    if waiting:
        _send(framed(encode(waiting)))


def _send(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


if __name__ == "__main__":
    main()
