"""The peer: the published Codex binary, driven offline over stdio on a copy of a home.

    python -m bench.codex_peer --n 10000 [--cold-only]

The binary comes from its npm package with the ordinary npm client and is kept in
the cache. It runs in an empty network namespace (not even a loopback that is up)
and an environment without proxies; where there is no ``unshare`` it does not run
at all. It gets its own copy of the home, so it may write there what it likes.

Cold means: no database yet. ``initialize`` is answered when the backfill has
ended, which ``backfill_state`` in its database confirms afterwards.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shutil
import signal
import sqlite3
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import homes, measure, recorded

VERSION = recorded.VERSION
PACKAGE = "@openai/codex"
ANSWER_S = 900  # no answer in this time: it is killed
TICKS = os.sysconf("SC_CLK_TCK")


class NoPeerError(Exception):
    """The peer cannot be had or did not answer; the text says why."""


# --- getting it --------------------------------------------------------------


def binary() -> Path:
    """Return the peer's binary, fetched now (about 170 MB) if it is not in the cache."""
    folder = homes.cache_dir() / f"codex-{VERSION}"
    if not folder.exists():
        fetch(folder)
    found = list(folder.glob("package/vendor/*/bin/codex"))
    if len(found) != 1:
        raise NoPeerError(f"the npm package holds {len(found)} codex binaries, one was expected")
    return found[0]


def fetch(folder: Path) -> None:
    """Download the package of this machine's kind and unpack it to ``folder``; runs none of its scripts."""
    kind = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine())
    if platform.system() != "Linux" or kind is None:
        raise NoPeerError(f"no peer for {platform.system()} {platform.machine()}")
    if not (npm := shutil.which("npm")):
        raise NoPeerError("npm is not installed, so the peer cannot be fetched")
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
    partial.mkdir()
    try:
        done = subprocess.run(
            [npm, "pack", "--silent", f"{PACKAGE}@{VERSION}-linux-{kind}"],
            cwd=partial, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        packed = list(partial.glob("*.tgz"))
        if done.returncode or len(packed) != 1:
            raise NoPeerError(f"npm pack failed: {(done.stderr or done.stdout).strip()[-200:]}")
        with tarfile.open(packed[0]) as archive:
            archive.extractall(partial, filter="data")
        packed[0].unlink()
        os.rename(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def cut_off() -> list[str]:
    """Return the command prefix that takes the network away, tried now."""
    for prefix in (["unshare", "-n"], ["unshare", "-r", "-n"]):
        if shutil.which(prefix[0]) and subprocess.run([*prefix, "true"], capture_output=True).returncode == 0:
            return prefix
    raise NoPeerError("no network namespace can be made here, and the peer is not run with a network")


# --- its copy of a home ------------------------------------------------------


def peer_home(home: Path) -> Path:
    """Return the peer's own copy of ``home`` in the cache, made now if there is none."""
    into = homes.cache_dir() / "peer" / home.name
    if not into.exists():
        partial = into.with_name(f"{into.name}.{os.getpid()}.partial")
        homes.copy_of(home, partial)
        shutil.copyfile(homes.recorded()[0] / "config.toml", partial / "config.toml")
        os.rename(partial, into)
    return into


def forget(home: Path) -> None:
    """Delete the databases, and whatever else the peer made beside the rollouts."""
    for found in home.iterdir():
        if found.name in homes.PARTS or found.name == "config.toml":
            continue
        if found.is_dir():
            shutil.rmtree(found)
        else:
            found.unlink()


def ask_db(home: Path, statement: str) -> list[tuple[Any, ...]]:
    """Run ``statement`` on the peer's thread database, read-only."""
    with closing(sqlite3.connect(f"file:{home}/state_5.sqlite?mode=ro", uri=True)) as db:
        return db.execute(statement).fetchall()


def fingerprint(home: Path) -> str:
    """Return a hash over the names, sizes and times of the rollouts: did the peer touch any?"""
    seen = hashlib.sha256()
    for path in homes.rollouts(home):
        facts = path.stat()
        seen.update(f"{path.relative_to(home)} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return seen.hexdigest()


# --- talking to it -----------------------------------------------------------


class Peer:
    """A running ``codex app-server``. Calls are answered in order; its notifications are skipped."""

    def __init__(self, home: Path) -> None:
        self.home = home
        empty = homes.cache_dir() / "peer-user"
        empty.mkdir(exist_ok=True)
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(empty), "CODEX_HOME": str(home)}
        command = [*cut_off(), str(binary()), "app-server"]
        self._log_path = home.with_name(home.name + ".stderr")
        self._log = self._log_path.open("wb")
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
            env=environment, cwd=empty, start_new_session=True,
        )  # fmt: skip
        self.pid = self.process.pid  # unshare becomes codex by exec: the same process
        self.watch = measure.MemoryWatch(self.pid)
        self.watch.start()
        self._next_id = 0

    def initialize(self) -> None:
        """Say hello and wait for the answer, which comes when the backfill has ended."""
        client = {"name": "holdfast-bench", "title": None, "version": "0"}
        self.call("initialize", {"clientInfo": client, "capabilities": {"experimentalApi": True}})
        self._send({"method": "initialized"})

    def call(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Return the result of ``method``; raises ``NoPeerError`` on an error, an exit or no answer."""
        self._next_id += 1
        self._send({"id": self._next_id, "method": method, "params": params})
        alarm = threading.Timer(ANSWER_S, self.process.kill)
        alarm.start()
        try:
            while line := self.process.stdout.readline():  # type: ignore[union-attr]
                answer = json.loads(line)
                if answer.get("id") != self._next_id or "method" in answer:
                    continue
                if "error" in answer:
                    raise NoPeerError(f"{method}: {answer['error'].get('message')}")
                return answer["result"]
        finally:
            alarm.cancel()
        raise NoPeerError(f"codex ended without answering {method}; see {self._log_path.name} in the cache")

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self.process.stdin.write(json.dumps(message).encode() + b"\n")  # type: ignore[union-attr]
            self.process.stdin.flush()  # type: ignore[union-attr]
        except BrokenPipeError as gone:
            raise NoPeerError("codex ended early") from gone

    def cpu_s(self) -> float:
        """Return user + system time so far, its finished children included."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(int(ticks) for ticks in fields[11:15]) / TICKS

    def high_water_bytes(self) -> int:
        """Return VmHWM: the most memory this process has had resident."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        return 0

    def close(self) -> None:
        """End it as a client does, by closing its input; by signal if it stays."""
        self.watch.stop()
        self.process.stdin.close()  # type: ignore[union-attr]
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self.process.wait()
        self.process.stdout.close()  # type: ignore[union-attr]
        self._log.close()


@contextmanager
def running(home: Path) -> Iterator[Peer]:
    """Yield the peer on ``home`` after ``initialize``; a cold home makes this the backfill."""
    peer = Peer(home)
    try:
        peer.initialize()
        yield peer
    finally:
        peer.close()


# --- the cold start ----------------------------------------------------------


@dataclass(frozen=True)
class Cold:
    """One start without a database."""

    initialize_s: float
    first_page_s: float
    cpu_s: float
    written_bytes: int
    wchar_bytes: int
    read_bytes: int
    peak_bytes: int
    tree_rss_bytes: int
    rows: int
    status: str
    database_bytes: int
    rollouts_untouched: bool


def cold_start(home: Path) -> Cold:
    """Start the peer on its copy ``home`` without databases; return what it took until ``initialize``."""
    forget(home)
    before = fingerprint(home)
    homes.warm(home)
    os.sync()
    peer = Peer(home)
    try:
        peer.initialize()
        initialize_s = time.monotonic() - peer.started
        io, cpu_s, peak_bytes = measure.Io.of(peer.pid), peer.cpu_s(), peer.high_water_bytes()
        peer.call("thread/list", {"limit": 25, "useStateDbOnly": True})
        first_page_s = time.monotonic() - peer.started
        rows = ask_db(home, "SELECT count(*) FROM threads")[0][0]
        status = ask_db(home, "SELECT status FROM backfill_state")[0][0]
    finally:
        peer.close()
    database_bytes = sum(file.stat().st_size for file in home.glob("state_5.sqlite*"))
    return Cold(
        initialize_s=initialize_s,
        first_page_s=first_page_s,
        cpu_s=cpu_s,
        written_bytes=io.write_bytes,
        wchar_bytes=io.wchar,
        read_bytes=io.rchar,
        peak_bytes=peak_bytes,
        tree_rss_bytes=peer.watch.rss_bytes,
        rows=rows,
        status=status,
        database_bytes=database_bytes,
        rollouts_untouched=before == fingerprint(home),
    )


def ready_home(home: Path) -> Path:
    """Return the peer's copy of ``home`` with its backfill complete, done now if it is not."""
    copy = peer_home(home)
    try:
        complete = ask_db(copy, "SELECT status FROM backfill_state")[0][0] == "complete"
    except (sqlite3.Error, IndexError):
        complete = False
    if not complete:
        forget(copy)
        with running(copy):
            pass
    return copy


# --- latencies ---------------------------------------------------------------

EVERY_SOURCE = ["cli", "vscode", "exec", "appServer", "subAgent", "subAgentReview", "subAgentCompact",
                "subAgentThreadSpawn", "subAgentOther", "unknown"]  # fmt: skip

# question -> params of thread/list; the names are those of bench/listing.py. A null list of
# sources means interactive ones only, so every question names them all.
LISTS: dict[str, dict[str, Any]] = {
    "first page": {},
    "created order": {"sortKey": "created_at"},
    "oldest first": {"sortDirection": "asc"},
    "archived": {"archived": True},
    "cwd": {"cwd": "/srv/repo01"},
    "provider": {"modelProviders": ["openai"]},
    "source": {"sourceKinds": ["exec"]},
    "cwd + source": {"cwd": "/srv/repo01", "sourceKinds": ["exec"]},
    "search common": {"searchTerm": "parser"},
    "search rare": {"searchTerm": "needle-zebra"},
    "search none": {"searchTerm": "xyzzy-nowhere"},
    "search + cwd": {"searchTerm": "parser", "cwd": "/srv/repo01"},
}
TEXTS = {"rare": "needle-zebra", "common": "parser", "phrase": "lorem ipsum", "prefix": "quas", "cjk": "漢字"}
MODES = {"scan": False, "db": True}


def ask_list(peer: Peer, question: str, mode: str, cursor: str | None = None, limit: int = 25) -> dict[str, Any]:
    params = {"limit": limit, "sortKey": "updated_at", "modelProviders": [], "sourceKinds": EVERY_SOURCE}
    params |= LISTS[question]
    return peer.call("thread/list", params | {"useStateDbOnly": MODES[mode], "cursor": cursor})


def deep_cursors(peer: Peer, rows: int) -> dict[str, str | None]:
    """Return the cursors at half and at 95 % of the updated order, walked to by hundreds."""
    wanted, found = {"deep 50 %": int(rows * 0.5), "deep 95 %": int(rows * 0.95)}, {}
    cursor, seen = None, 0
    while len(found) < len(wanted):
        page = ask_list(peer, "first page", "db", cursor, limit=100)
        seen, cursor = seen + len(page["data"]), page["nextCursor"]
        for name, at in wanted.items():
            if name not in found and seen >= at:
                found[name] = cursor
        if cursor is None:
            break
    return found


def list_latencies(peer: Peer, modes: tuple[str, ...] = ("db", "scan")) -> dict[tuple[str, str], measure.Latency]:
    """Time every question in every mode; the slow ones (seconds each) only five times."""
    found = {}
    for mode in modes:
        for question in LISTS:
            found[question, mode] = measure.latency(
                lambda _, q=question, m=mode: ask_list(peer, q, m), most=100, budget_s=1.0, warmup=1
            )
    listed = ask_db(peer.home, "SELECT count(*) FROM threads WHERE archived = 0")[0][0]
    for name, cursor in deep_cursors(peer, listed).items():
        for mode in modes:
            found[name, mode] = measure.latency(
                lambda _, c=cursor, m=mode: ask_list(peer, "first page", m, c),
                most=100,
                budget_s=1.0,
                warmup=1,
            )
    return found


def text_latencies(peer: Peer) -> dict[str, tuple[measure.Latency, int]]:
    """Time ``thread/search`` for every term of ``TEXTS``: latency and hits on the first page of 20."""
    found = {}
    for name, term in TEXTS.items():
        params = {"searchTerm": term, "limit": 20, "sourceKinds": EVERY_SOURCE}
        hits = len(peer.call("thread/search", params)["data"])
        call = lambda _, p=params: peer.call("thread/search", p)  # noqa: E731
        found[name] = (measure.latency(call, most=50, budget_s=1.5, warmup=0), hits)
    return found


@dataclass(frozen=True)
class Reading:
    """``thread/read`` with turns over a set of threads."""

    latency: measure.Latency
    threads: int
    without_turns: int
    failed: int


def read_latencies(peer: Peer, thread_ids: list[str]) -> Reading:
    """Read each of ``thread_ids`` once with its turns; counts the answers that hold none."""
    empty = failed = 0

    def read(i: int) -> None:
        nonlocal empty, failed
        try:
            params = {"threadId": thread_ids[i], "includeTurns": True}
            empty += not peer.call("thread/read", params)["thread"]["turns"]
        except NoPeerError:
            failed += 1

    times = measure.latency(read, most=len(thread_ids), least=len(thread_ids), warmup=0)
    return Reading(times, len(thread_ids), empty, failed)


# --- by itself ---------------------------------------------------------------


def typical_and_biggest(home: Path, typical: int = 100, biggest: int = 10) -> tuple[list[str], list[str]]:
    """Return thread ids: spread evenly over the home, and those of the biggest files."""
    paths = homes.rollouts(home)
    by_size = sorted(paths, key=lambda path: -path.stat().st_size)[:biggest]
    spread = paths[:: max(1, len(paths) // typical)][:typical]
    return [path.stem[-36:] for path in spread], [path.stem[-36:] for path in by_size]


def tell(home: Path, cold_only: bool) -> None:
    copy = peer_home(home)
    print(measure.machine())
    cold = cold_start(copy)
    for name, value in vars(cold).items():
        print(f"{name:20} {measure.number(value) if isinstance(value, float) else value}")
    print(f"{'written per row':20} {cold.written_bytes // max(1, cold.rows):,}")
    if cold_only:
        return
    with running(copy) as peer:
        print(f"warm: first initialize answered after {time.monotonic() - peer.started:.2f} s")
        for (question, mode), times in list_latencies(peer).items():
            print(f"thread/list {question:15} {mode:5} {times}")
        for name, (times, hits) in text_latencies(peer).items():
            print(f"thread/search {name:7} {hits} hits {times}")
        for name, ids in zip(("typical", "biggest"), typical_and_biggest(home), strict=True):
            reading = read_latencies(peer, ids)
            counts = f"{reading.without_turns} without turns, {reading.failed} failed"
            print(f"thread/read {name} {reading.latency}, {counts}")
        print(f"VmHWM at the end {peer.high_water_bytes():,}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--cold-only", action="store_true")
    given = parser.parse_args()
    try:
        tell(homes.home(given.n, tiny=given.tiny), given.cold_only)
    except NoPeerError as why:
        raise SystemExit(f"no peer: {why}") from None


if __name__ == "__main__":
    main()
