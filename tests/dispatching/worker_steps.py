"""What tests of workers wait for: a line in a pipe, or the end of a process."""

from __future__ import annotations

import os
import select

WAIT_S = 30


class Pipe:
    """A named pipe: processes write lines into it, a test waits for them."""

    def __init__(self, path):
        os.mkfifo(path)
        self.path = path
        self._fd = os.open(path, os.O_RDWR)  # also for writing: it never ends

    def line(self):
        text = b""
        while not text.endswith(b"\n"):
            assert select.select([self._fd], [], [], WAIT_S)[0], f"nothing more was said after {text!r}"
            text += os.read(self._fd, 1)
        return text.decode().strip()

    def is_told(self):
        return bool(select.select([self._fd], [], [], 0)[0])

    def lines(self, number):
        return [self.line() for _ in range(number)]

    def tell(self, text="go"):
        os.write(self._fd, f"{text}\n".encode())

    def close(self):
        os.close(self._fd)


def wait_for_end(pid):
    """Wait until a process that need not be our child has ended."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([fd], [], [], WAIT_S)[0], f"pid {pid} did not end"
    finally:
        os.close(fd)


def is_running(pid):
    """Return False for a process that ended, collected by somebody or not."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except FileNotFoundError:
        return False
