"""A process that looks, with probes that behave as their names say: ``-m examined_probes raw|sqlite``.

Each path that is asked for names a behaviour: ``/spins`` has a probe that never ends. The probes
of a phase run in the order of the paths; ``/both`` and ``/joined`` have one in each phase, all others in the raw one.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys

from holdfast.doctor import looking, wire
from holdfast.doctor.model import Confidence, Finding, Part, Status, Target
from holdfast.errors import Refused

LIMIT_MS = 400


def finding(path, number=1, **more):
    said = {
        "id": "made-up",
        "status": Status.WARN,
        "path": path,
        "measured": f"{number} things",
        "expected": "none",
        "confidence": Confidence.CERTAIN,
        "cause": "a test",
        "remedy": "`holdfast doctor --plan` mends it",
    }
    return Finding(**(said | more))


def finds(path):
    yield Part(name="all", path=path, bytes=4096)
    yield finding(path)


def fails(path):
    yield finding(path, status=Status.FAIL)


def waits(path):
    yield finding(path)
    signal.pause()


def spins(path):
    yield finding(path)
    while True:
        pass


def hangs(path):
    """In a call that no alarm ends, as one into a disk that does not answer."""
    yield finding(path)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    ctypes.PyDLL(None).pause()  # holds the interpreter, too


def stops(path):
    os.kill(os.getpid(), signal.SIGSTOP)
    yield finding(path)


def dies(path):
    yield finding(path)
    print("the last words", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


def raises(path):
    yield finding(path)
    raise KeyError("a bug")


def unreadable(path):
    raise PermissionError(13, "Permission denied", path)
    yield


def many(path):
    for number in range(10_000):
        yield finding(path, number)


def prints(path):
    print('{"type": "done"}', flush=True)
    yield finding(path)


def leaves(path):
    """A process that holds our pipes, in a session where no kill of ours reaches it. Its pid is told."""
    left = subprocess.Popen(
        [sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True, stdin=subprocess.DEVNULL
    )
    yield finding(path, left.pid)


def child(path):
    """A process of its own that would outlive it. Its pid is told."""
    started = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], stdin=subprocess.DEVNULL)
    yield finding(path, started.pid)
    signal.pause()


def strange(path):
    yield finding(os.fsdecode(b"/x/\xff\xfe"), measured=f"lone \udcff in a sentence {path}")


def gathers(path):
    return ()


def both(path):
    yield finding(path)


def both_through_sqlite(path):
    yield finding(path, id="through-sqlite")


def machine(path):
    yield finding("/proc")


def machine_again(path):
    yield finding("/proc")


def joined(path):
    yield finding(path, 5, status=Status.FAIL, details={"a": 1, "b": 1})


def joined_through_sqlite(path):
    yield finding(path, 7, repair="compact", details={"b": 2})


def plan(phase, request, tell):
    if phase == "raw":
        if "/nowhere" in request.paths:
            raise Refused("there is nothing at /nowhere", remedy="Name a home.")
        if "/mute" in request.paths:
            signal.pause()
        tell(wire.Recognised(tuple(Target(kind="codex", path=path) for path in request.paths)))
    if phase == "raw":
        return [work(path) for path in request.paths]
    return [work(t.path, "_through_sqlite") for t in request.targets if t.path in ("/both", "/joined")]


def work(path, phase=""):
    limit_ms = 60_000 if path == "/endless" else LIMIT_MS
    unit = wire.Unit(probe=path.strip("/"), path=path, limit_ms=limit_ms, shared=path in ("/shared", "/gathers"))
    name = {"shared": "hangs", "endless": "hangs"}.get(unit.probe, unit.probe)
    return looking.Work(unit, lambda: globals()[name + phase](path))


if __name__ == "__main__":
    sys.exit(looking.main(sys.argv[1], plan))
