"""A process that reads one Hermes board. Started as ``python -m holdfast.board.hermes.read_worker``."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from holdfast.board.hermes.model import Answer, Failed, ReadRequest
from holdfast.board.hermes.reading import read
from holdfast.errors import HoldfastError
from holdfast.rollouts.workers.serving import serve
from holdfast.sqlite.taking import leave_owners

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ReadRequest).decode


def _answers(body: bytes) -> Iterator[bytes]:
    last: Answer
    try:
        for answer in read(_decode(body)):
            yield _encode(answer)
        return
    except HoldfastError as error:
        last = Failed(kind=type(error).__name__, message=str(error), remedy=error.remedy)
    yield _encode(last)


if __name__ == "__main__":
    leave_owners()
    serve(_answers)
