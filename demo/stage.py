"""Where the acts are played: a temporary folder, the real command, and a count of the claims that held."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
FIXTURES = ROOT / "tests" / "fixtures"
COMMAND_S_MAX = 25


class Stage:
    """Runs commands, prints what they did and how long it took, and checks claims."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._failed: list[str] = []
        self._held = 0
        self.folder = Path(tempfile.mkdtemp(prefix="holdfast-demo-"))
        self.state = self.folder / "state"

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_exc: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def act(self, title: str) -> None:
        print(f"\n== {title}")

    def say(self, text: str) -> None:
        print(f"   {text}")

    def claim(self, text: str, held: bool, seen: object = None) -> None:
        """Print the claim, and remember it when it did not hold; ``seen`` is shown then."""
        print(f"   {'ok  ' if held else 'FAIL'} {text}{'' if held or seen is None else f' - saw {seen!r}'}")
        if held:
            self._held += 1
        else:
            self._failed.append(text)

    def unpack(self, name: str, folder: Path | None = None) -> Path:
        """Unpack a recorded home and return where it is."""
        folder = folder or self.folder
        with tarfile.open(FIXTURES / f"{name}.tar.gz") as archive:
            archive.extractall(folder, filter="data")
        return folder / name

    def holdfast(self, home: Path, *arguments: str, shown: int = 0, codes: tuple[int, ...] = (0,)) -> str:
        """Run the command as a person would, print it, its time and its first lines; return what it printed.

        ``codes``: the exit codes that are answers.
        """
        whole = [sys.executable, "-m", "holdfast", "--state", str(self.state), "--home", str(home), *arguments]
        began = time.monotonic()
        done = subprocess.run(
            whole, capture_output=True, text=True, check=False, timeout=COMMAND_S_MAX, stdin=subprocess.DEVNULL
        )
        took_ms = (time.monotonic() - began) * 1000
        print(f"   $ holdfast {' '.join(arguments)}    ({took_ms:.0f} ms)")
        for line in done.stdout.splitlines()[:shown]:
            print(f"     {line[:110]}")
        if done.returncode not in codes:
            self.claim(f"`holdfast {' '.join(arguments)}` succeeds", False, done.stderr.strip() or done.returncode)
        return done.stdout

    def ask(self, home: Path, *arguments: str) -> Any:
        """Run the command with ``--json`` and return what it answered."""
        text = self.holdfast(home, *arguments, "--json")
        try:
            return json.loads(text)
        except ValueError:
            self.claim(f"`holdfast {' '.join(arguments)} --json` prints JSON", False, text[:80])
            return {}

    def finish(self) -> int:
        took_s = time.monotonic() - self._began
        print(f"\n{self._held} claims held, {len(self._failed)} failed, in {took_s:.1f} s")
        for text in self._failed:
            print(f"   FAILED: {text}")
        return 1 if self._failed else 0


def fingerprint(home: Path) -> str:
    """Return a hash over every file of ``home``: its name, its content, its times."""
    told = hashlib.sha256()
    for folder, _, names in sorted(os.walk(home)):
        told.update(f"{folder} {os.stat(folder).st_mtime_ns}".encode())
        for name in sorted(names):
            path = Path(folder, name)
            told.update(f"{path} {path.stat().st_mtime_ns}".encode() + path.read_bytes())
    return told.hexdigest()
