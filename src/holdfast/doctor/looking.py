"""The process that looks: ``python -m holdfast.doctor.looking raw|sqlite``.

Reads a request from stdin, says what it sees on stdout, and is thrown away. The
raw one reads files and holds no database; the other opens databases, one at a
time, and reads no file past SQLite. Neither writes anything.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

from holdfast.doctor import wire
from holdfast.doctor.caging import write_only_below
from holdfast.doctor.model import Cut, Finding, Part
from holdfast.errors import HoldfastError, Refused

FINDINGS_MAX = 200
"""Of one probe on one target: what is beyond says nothing new."""

_PR_SET_PDEATHSIG = 1  # prctl(2)
_AFTER_MS = 1_000  # this long after its deadline nobody can be listening any more


@dataclass(frozen=True, slots=True)
class Work:
    """A unit, and what does it. ``look`` yields findings, and parts of the unit's path."""

    unit: wire.Unit
    look: Callable[[], Iterable[Finding | Part]]


class TooLong(BaseException):
    """A probe reached its limit. Not an ``Exception``: no probe may take it for its own."""


class Teller:
    """Says messages, one write each. What anything else prints goes to stderr."""

    def __init__(self) -> None:
        self._fd = os.dup(1)
        os.dup2(2, 1)

    def __call__(self, message: wire.Message) -> None:
        """Say it, whole."""
        line = wire.encode(message)
        while line:
            line = line[os.write(self._fd, line) :]


def main(phase: str, plan: Callable[[str, wire.Request, Teller], Sequence[Work]]) -> int:
    """Hear the request, let ``plan`` say what is to be done for it, and do it."""
    parent = os.getppid()
    request = wire.decode_request(_heard())
    if phase == "sqlite":  # the other one has to see who has which files open
        tempfile.tempdir = request.folder or None
        write_only_below([request.folder] if request.folder else [])
    _die_with(parent)
    threading.Thread(target=_die_with_who_asked, args=(request.deadline_ns,), daemon=True).start()
    tell = Teller()
    try:
        works = plan(phase, request, tell)
    except Refused as refused:
        tell(wire.Refusal(str(refused), refused.remedy))
        return 0
    tell(wire.Units(tuple(work.unit for work in works)))
    limited = _Limit()
    nothing_more = ""
    for number, work in enumerate(works):
        if number < request.first and not work.unit.shared:
            continue
        if not nothing_more:
            tell(wire.Begun(number))
        why = nothing_more or _done(work, tell, limited)
        if why:
            tell(wire.Stopped(Cut(probe=work.unit.probe, path=work.unit.path, why=why)))
        if why and work.unit.shared:
            nothing_more = wire.NOTHING_TO_GO_BY
    tell(wire.Done())
    return 0


def _done(work: Work, tell: Teller, limited: _Limit) -> str:
    """Do ``work``, and return why it was not brought to its end; mostly an empty text."""
    told = 0
    try:
        with limited.to(work.unit.limit_ms):
            for seen in work.look():
                if isinstance(seen, Part):
                    tell(wire.Weighed(work.unit.path, seen))
                    continue
                if told == FINDINGS_MAX:
                    return f"it found more than {FINDINGS_MAX} things; the first {FINDINGS_MAX} are told"
                told += 1
                tell(wire.Found(seen))
    except TooLong:
        return f"it was not done within its limit of {work.unit.limit_ms:,} ms"
    except OSError as error:
        return f"it could not read {error.filename or work.unit.path}: {error.strerror or error}"
    except MemoryError:
        return "it had not enough memory"
    except HoldfastError as error:
        return str(error)
    except Exception as error:  # a bug in one probe costs that probe
        return f"it failed: {type(error).__name__}: {error}"
    return ""


class _Limit:
    """Ends what runs too long, by an alarm in this thread. SQLite's progress handlers let it through."""

    def __init__(self) -> None:
        self._armed = False
        signal.signal(signal.SIGALRM, self._rung)

    @contextmanager
    def to(self, limit_ms: int) -> Iterator[None]:
        self._armed = True
        try:
            signal.setitimer(signal.ITIMER_REAL, limit_ms / 1000)
            yield
        finally:
            self._armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _rung(self, _signal: int, _frame: FrameType | None) -> None:
        if self._armed:
            self._armed = False
            raise TooLong


def _die_with(parent: int) -> None:
    """Have the kernel end this process with the one that asked, also when this one hangs with the interpreter held."""
    import ctypes

    with suppress(OSError, AttributeError):  # not Linux: the thread that waits for the end of stdin does it
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before we had asked
        os._exit(1)


def _heard() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(0, 1 << 16)
        if not piece:
            os._exit(1)
        line += piece
    return line


def _die_with_who_asked(deadline_ns: int) -> None:
    """End this process when the other end of stdin is gone, or long after its deadline."""
    left_ms = (deadline_ns - time.monotonic_ns()) // 1_000_000 + _AFTER_MS
    poll = select.poll()
    poll.register(0, select.POLLIN)
    poll.poll(max(left_ms, 0))
    os._exit(1)


if __name__ == "__main__":
    from holdfast.doctor.works import planned

    sys.exit(main(sys.argv[1], planned))
