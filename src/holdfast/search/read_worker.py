"""A process that reads rollouts for the index of words. Started as ``python -m holdfast.search.read_worker``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

import msgspec

from holdfast.rollouts.workers.serving import serve
from holdfast.search.parts import Part, ReadRequest, read

_SEND_CHARS = 256 * 1024
_NICE = 10  # somebody is working on this machine; the index can wait

encode = msgspec.msgpack.Encoder().encode
decode_parts = msgspec.msgpack.Decoder(list[Part]).decode
_decode_requests = msgspec.msgpack.Decoder(list[ReadRequest]).decode


def _answers(body: bytes) -> Iterator[bytes]:
    waiting: list[Part] = []
    chars = 0
    for request in _decode_requests(body):
        for part in read(request):
            waiting.append(part)
            chars += part.chars
            if chars >= _SEND_CHARS:
                yield encode(waiting)
                waiting, chars = [], 0
    if waiting:
        yield encode(waiting)


if __name__ == "__main__":
    with suppress(OSError):
        os.nice(_NICE)
    serve(_answers)
