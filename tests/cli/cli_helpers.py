"""What the tests of the command line share: answers, processes, terminals, and how a home looks."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

FIXTURES = Path(__file__).parent.parent / "fixtures"

# The console script, word for word.
COMMAND = (
    sys.executable,
    "-c",
    "import sys; from holdfast.cli import main; sys.argv[0] = 'holdfast'; sys.exit(main())",
)


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


def process(*arguments: str | bytes | Path, **environment: str) -> Answer:
    """Run the command in a process of its own, on pipes."""
    done = subprocess.run(
        [*COMMAND, *arguments], capture_output=True, env=os.environ | environment, stdin=subprocess.DEVNULL
    )
    return Answer(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))


def terminal(*arguments: str | Path, columns: int = 80, answer: str = "", **environment: str) -> Answer:
    """Run the command in a process of its own on a terminal; ``out`` is all that the terminal was sent.

    ``answer`` is typed beforehand.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {"TERM": "xterm-256color"} | environment
    child = subprocess.Popen(
        [*COMMAND, *map(str, arguments)], stdin=theirs, stdout=theirs, stderr=theirs, env=os.environ | environment
    )
    os.close(theirs)
    os.write(ours, answer.encode())
    sent = bytearray()
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # EIO: the last process that had the terminal is gone
            break
        if not piece:
            break
        sent += piece
    os.close(ours)
    return Answer(child.wait(), sent.decode("utf-8", "replace").replace("\r\n", "\n"), "")


def without_style(text: str) -> str:
    """Return what a terminal shows of ``text``: colours taken out. Any other sequence stays, to be found."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def seen(home: Path) -> dict[str, tuple[int, int, int, str]]:
    """Return everything about a home that a look at it must not change: names, inodes, times, contents."""
    found = {}
    for path in [home, *sorted(home.rglob("*"))]:
        info = path.lstat()
        hashed = blake2b(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path.relative_to(home))] = (info.st_ino, info.st_mtime_ns, info.st_ctime_ns, hashed)
    return found


def rollout(home: Path, thread_id: str, *words: str, folder: str = "sessions/2026/11/21") -> Path:
    """Write a thread in which the user said ``words``; return its file."""
    path = home / folder / f"rollout-2026-11-21T10-00-00-{thread_id}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = {
        "id": thread_id,
        "timestamp": "2026-11-21T10:00:00.000Z",
        "cwd": "/home/dev/src/made",
        "originator": "codex_cli_rs",
        "cli_version": "0.169.0",
        "source": "cli",
        "model_provider": "mock",
    }
    lines = [{"timestamp": "2026-11-21T10:00:00.000Z", "type": "session_meta", "payload": meta}]
    for number, said in enumerate(words, start=1):
        payload = {"type": "user_message", "message": said, "images": []}
        lines.append({"timestamp": f"2026-11-21T10:00:{number:02}.000Z", "type": "event_msg", "payload": payload})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path
