"""The process that reads a board of Hermes, as we see it: started, listened to, ended."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import suppress

import msgspec

from holdfast import errors
from holdfast.board.hermes.model import Answer, Ended, Failed, ReadRequest
from holdfast.errors import HoldfastError, Unsupported
from holdfast.rollouts.workers.frames import Unframer, framed
from holdfast.rollouts.workers.process import environment

_PIPE_BYTES = 1 << 20
_TOLD_CHARS = 2_000

_decode = msgspec.msgpack.Decoder(Answer).decode
_encode = msgspec.msgpack.Encoder().encode


def ask(request: ReadRequest) -> Generator[Answer, None, None]:
    """Yield what the process says, up to ``Ended``. Closing the iterator ends the process.

    Raises what it raised, and ``Unsupported`` when it could not be started or died.
    """
    try:
        process = subprocess.Popen(
            # -P: the working directory is somebody's project, and may hold a `msgspec.py`.
            [sys.executable, "-P", "-m", "holdfast.board.hermes.read_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            bufsize=0,
        )
    except OSError as error:
        raise Unsupported(f"no process could be started to read {request.place.db}: {error.strerror}") from error
    try:
        yield from _answers(process, request)
    finally:
        process.kill()  # it only reads: nothing is lost
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        process.wait()


def _answers(process: subprocess.Popen[bytes], request: ReadRequest) -> Iterator[Answer]:
    assert process.stdin is not None  # all were asked for
    assert process.stdout is not None
    assert process.stderr is not None
    with suppress(BrokenPipeError):  # then its stdout says so
        process.stdin.write(framed(_encode(request)))
    unframer = Unframer()
    while piece := os.read(process.stdout.fileno(), _PIPE_BYTES):
        for body in unframer.feed(piece):
            if not body:
                continue  # it has started
            answer = _decode(body)
            if isinstance(answer, Failed):
                raise _error(answer)
            yield answer
            if isinstance(answer, Ended):
                return
    told = process.stderr.read().decode(errors="replace").strip()
    raise Unsupported(
        f"the process that read {request.place.db} ended early ({process.wait()}): {told[-_TOLD_CHARS:] or 'no word'}",
        remedy="Run the import again; what it had written is there.",
    )


def _error(failed: Failed) -> HoldfastError:
    kind = getattr(errors, failed.kind, None)
    if not (isinstance(kind, type) and issubclass(kind, HoldfastError)):
        kind = HoldfastError
    return kind(failed.message, remedy=failed.remedy)
