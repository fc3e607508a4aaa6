"""Start a worker that begins only once its claim is written down, and outlives its own end until that is, too.

A shell stands between us and the command. It waits for a word before it begins:
when we die before we wrote down whose claim this is, nothing was ever begun. It
tells us how the command ended, writes that into a file for whoever comes after
us, and stays until we have written the end of the run: the claim belongs to a
living process as long as anything of the worker may be alive, so nobody else is
given the task. One socket carries all of it, and its end is our death, or the
shell's.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress

from holdfast.holds import Owner
from holdfast.holds import owner as owners

NEVER = "never"
"""What the file says when the command was not begun."""

# What reaches the whole group reaches the shell, too, which must not end of it: a handler that does nothing, because
# the command would inherit a signal that is ignored. A write to a socket nobody reads is a SIGPIPE.
_SHELL = """
_end=$1; shift
read -r _word || { echo never >"$_end"; exit 71; }
trap : HUP INT QUIT TERM USR1 USR2 PIPE
"$@" </dev/null
_code=$?
echo "$_code" >"$_end"
echo "$_code" >&0 2>/dev/null
read -r _word
exit "$_code"
"""


class Worker:
    """A worker that this process started. Not begun until ``begin``; ``close`` it when it is over."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        folder: str,
        environment: Mapping[str, str],
        log: str,
        end: str,
        label: str = "",
    ) -> None:
        """Start the shell. Raises ``OSError`` when there is no process, descriptor or memory for it."""
        ours, theirs = socket.socketpair()
        try:
            with theirs, open(log, "ab") as said:
                self._process = subprocess.Popen(
                    ["/bin/sh", "-c", _SHELL, "holdfast-worker", end, *command],
                    stdin=theirs.fileno(),
                    stdout=said,
                    stderr=said,
                    cwd=folder,
                    env=dict(environment),
                    start_new_session=True,
                )
        except BaseException:
            ours.close()
            raise
        ours.setblocking(False)
        self._socket = ours
        self._heard = b""
        self.owner = owners.of(self._process.pid, label)

    @property
    def begun(self) -> bool:
        """Whether its command was begun, as far as it is ended."""
        return True

    def begin(self) -> None:
        """Have the command begin."""
        with suppress(OSError):  # the shell was killed: its end tells
            self._socket.send(b"go\n")

    def fileno(self) -> int:
        """Return what becomes readable when the command ended."""
        return self._socket.fileno()

    def ended(self) -> tuple[bool, int | None]:
        """Return whether the command ended, or its shell was killed; and the exit code, negative for a signal."""
        with suppress(BlockingIOError):
            try:
                said = self._socket.recv(64)
            except ConnectionError:
                said = b""
            self._heard += said
            if self._heard.endswith(b"\n"):
                return True, code_of(self._heard.decode())
            if not said:
                return True, None
        return False, None

    def leave(self) -> None:
        """Let it go on without us."""
        self._socket.close()
        # Nobody here collects it: `Popen` would say so when it is forgotten.
        self._process.returncode = 0

    def close(self) -> None:
        """End the shell, and leave no zombie. What the command left behind was to be ended before."""
        self._socket.close()
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        # Where we are the first process of a container, what it left behind became ours.
        with suppress(ChildProcessError):
            while os.waitpid(-self.owner.pid, os.WNOHANG)[0]:
                pass


class Found:
    """A worker that another process started, which died."""

    def __init__(self, owner: Owner, end: str) -> None:
        self.owner = owner
        self._end = end
        self._fd = _pidfd(owner)

    @property
    def begun(self) -> bool:
        """Whether its command was begun, as far as it is ended."""
        return read_end(self._end) != NEVER

    def fileno(self) -> int:
        """Return what becomes readable when the worker ended; -1: it is to be asked."""
        return self._fd

    def ended(self) -> tuple[bool, int | None]:
        """Return whether it ended, and with which exit code, as far as it could be written down."""
        if not owners.is_gone(self.owner):
            return False, None
        return True, code_of(read_end(self._end))

    def leave(self) -> None:
        """Let it go on without us."""
        self.close()

    def close(self) -> None:
        """Give the descriptor back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def read_end(path: str) -> str:
    """Return what the shell wrote about the end of its command; "" when it did not come to that."""
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def code_of(text: str) -> int | None:
    """Return the exit code that the shell told: 128 + n of a command that signal n ended becomes -n."""
    if not text.strip().isdigit():
        return None
    code = int(text)
    return 128 - code if 128 < code < 128 + signal.NSIG else code


def words_of(command: str | Sequence[str]) -> list[str]:
    """Return the words of a command: a line is the shell's."""
    return ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)


def _pidfd(owner: Owner) -> int:
    if not hasattr(os, "pidfd_open") or owners.is_gone(owner):
        return -1
    try:
        fd = os.pidfd_open(owner.pid)
    except OSError:
        return -1
    if owners.is_gone(owner):  # its number may have been given away just before
        os.close(fd)
        return -1
    return fd
