"""A worker of a dispatcher: takes a lock that only one process may have, works a moment, and completes its task.

    python does_task.py FOLDER

What it leaves behind has the lock, too: until the dispatcher has ended all of that, nobody may be
given the task again.
"""

from __future__ import annotations

import fcntl
import os
import random
import subprocess
import sys
import threading
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

from players import Record  # noqa: E402

WORK_S = 0.15


def main(folder: str) -> None:
    task, fence = int(os.environ["HOLDFAST_TASK"]), int(os.environ["HOLDFAST_FENCE"])
    who = f"{task}.{fence}"
    with open(os.path.join(folder, "pids", who), "w") as file:
        file.write(str(os.getpid()))
    record = Record(os.path.join(folder, "calls"), who)
    about: dict[str, Any] = {"task": task, "fence": fence}
    record.call("claim", lambda: None, lambda _: {"said": "claimed"}, **about)
    lock = os.open(os.path.join(folder, "locks", str(task)), os.O_RDWR | os.O_CREAT, 0o600)
    record.call("work alone", lambda: fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB), lambda _: {}, **about)
    subprocess.Popen(["sleep", "1000"], pass_fds=[lock])
    from engines import open_engine
    from holdfast import board

    threading.Event().wait(random.random() * WORK_S)

    def done() -> None:
        with open_engine(os.environ["HOLDFAST_STATE"]) as engine, engine.write(wait_ms=30_000) as tx:
            board.done(tx, task, fence=fence, summary=who)

    record.call("done", done, lambda _: {}, **about)


main(sys.argv[1])
