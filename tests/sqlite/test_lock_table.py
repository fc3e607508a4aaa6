"""The kernel's table of locks is read while others lock and unlock."""

from __future__ import annotations

import fcntl
from contextlib import ExitStack

from holdfast import lockfiles

CHURN = """
import fcntl
files = [open(f"{FOLDER}/other-{n}", "w") for n in range(100)]
say("at it")
while True:
    for lock in (fcntl.LOCK_EX, fcntl.LOCK_UN):
        for file in files:
            fcntl.flock(file, lock)
"""


def test_each_lock_is_told_once_while_hundreds_of_others_come_and_go(child, tmp_path):
    with ExitStack() as stack:
        paths = [tmp_path / f"ours-{n}" for n in range(150)]
        for path in paths:
            fcntl.flock(stack.enter_context(path.open("w")), fcntl.LOCK_EX)
        assert child(f"FOLDER = {str(tmp_path)!r}\n{CHURN}").line() == "at it"

        told = [len(lockfiles.on(str(path))) for path in paths * 3]

    assert set(told) == {1}
