"""Workers that die, cannot start, or lose their parent: nothing is lost, nothing stays behind."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.rollouts.pool import ScanRequest, scan_many
from holdfast.rollouts.reading import scan

THREAD = "01a1fa08-1a40-7dd2-ac5c-7d4be4ce%04x"
LARGE = 40_000_000  # what the requests claim, so that it is work for workers


def make_home(home: Path, files: int = 200) -> list[str]:
    paths = []
    (home / "sessions").mkdir()
    for n in range(files):
        path = f"sessions/rollout-{n}.jsonl"
        meta = {"type": "session_meta", "payload": {"id": THREAD % n}}
        (home / path).write_text(f"{json.dumps(meta)}\n" + '{"type":"x","payload":{}}\n' * (n % 50))
        paths.append(path)
    return paths


def requests(home: Path, paths: list[str]) -> list[ScanRequest]:
    return [ScanRequest(home=str(home), path=path, size=LARGE if n == 0 else 1000) for n, path in enumerate(paths)]


def children() -> set[int]:
    found: set[int] = set()
    for task in os.listdir("/proc/self/task"):
        found.update(map(int, Path(f"/proc/self/task/{task}/children").read_text().split()))
    return found


@pytest.fixture(autouse=True)
def no_worker_stays_behind():
    before = children()
    yield
    assert children() == before


def test_workers_give_what_one_scan_after_the_other_gives(tmp_path):
    paths = make_home(tmp_path)

    found = {each.path: each for each in scan_many(requests(tmp_path, paths), workers=2)}

    assert found == {path: scan(path, home=str(tmp_path)) for path in paths}


def test_going_on_from_earlier_facts_works_through_a_worker(tmp_path):
    (path,) = make_home(tmp_path, 1)
    first = scan(path, home=str(tmp_path))
    with (tmp_path / path).open("a") as file:
        file.write('{"type":"hologram","payload":{}}\n')

    again = ScanRequest(home=str(tmp_path), path=path, offset=first.offset, facts=first.facts, size=LARGE)

    assert list(scan_many([again], workers=1)) == [scan(path, home=str(tmp_path))]


def test_few_files_start_no_worker(tmp_path):
    paths = make_home(tmp_path, 5)
    before = children()

    for each in scan_many(ScanRequest(home=str(tmp_path), path=path) for path in paths):
        assert each.status == "ok"
        assert children() == before


def test_requests_are_taken_as_they_are_needed(tmp_path):
    paths = make_home(tmp_path, 10)
    taken = 0

    def lazily():
        nonlocal taken
        for n in range(100_000):
            taken += 1
            yield ScanRequest(home=str(tmp_path), path=paths[n % 10], size=LARGE)

    scans = scan_many(lazily(), workers=2)
    next(scans)
    scans.close()

    assert taken < 5_000


def test_closing_the_iterator_ends_the_workers(tmp_path):
    before = children()
    scans = scan_many(requests(tmp_path, make_home(tmp_path)), workers=2)
    next(scans)
    assert children() > before

    scans.close()

    assert children() == before


def test_a_worker_that_is_killed_costs_nothing(tmp_path):
    paths = make_home(tmp_path, 3000)
    before = children()
    found = []

    for each in scan_many(requests(tmp_path, paths), workers=2):
        if not found:
            os.kill(max(children() - before), signal.SIGKILL)
        found.append(each)

    assert sorted(each.path for each in found) == sorted(paths)
    assert {each.status for each in found} == {"ok"}


@pytest.mark.parametrize("executable", ["/nowhere/python", "/bin/false", ""])
def test_where_no_worker_starts_everything_is_scanned_here(tmp_path, monkeypatch, executable):
    paths = make_home(tmp_path)
    monkeypatch.setattr(sys, "executable", executable)

    found = list(scan_many(requests(tmp_path, paths), workers=None))

    assert sorted(each.path for each in found) == sorted(paths)
    assert {each.status for each in found} == {"ok"}


def test_a_file_that_kills_every_worker_is_given_up_and_the_rest_is_read(tmp_path, monkeypatch):
    paths = make_home(tmp_path)
    trap = tmp_path / "trap"
    trap.mkdir()
    # Every worker imports this, and dies when it opens that file.
    (trap / "sitecustomize.py").write_text(
        "import os, sys\n"
        "def look(event, args):\n"
        "    if event == 'open' and str(args[0]).endswith('rollout-70.jsonl'):\n"
        "        os._exit(9)\n"
        "sys.addaudithook(look)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(trap))

    found = {each.path: each for each in scan_many(requests(tmp_path, paths), workers=2)}

    assert found.keys() == set(paths)
    assert {path for path, each in found.items() if each.status != "ok"} == {"sessions/rollout-70.jsonl"}
    assert found["sessions/rollout-70.jsonl"].status == "unreadable"


def test_a_module_in_the_working_directory_is_not_imported_by_workers(tmp_path, monkeypatch):
    paths = make_home(tmp_path)
    (tmp_path / "msgspec.py").write_text("raise SystemExit('somebody else')")
    monkeypatch.chdir(tmp_path)
    before = children()

    scans = scan_many(requests(tmp_path, paths), workers=1)
    next(scans)

    assert len(children() - before) == 1
    assert len(list(scans)) == len(paths) - 1


PARENT = """
import sys
from holdfast.rollouts.pool import ScanRequest, scan_many
home, path = sys.argv[1:]
scans = scan_many((ScanRequest(home=home, path=path, size=40_000_000) for _ in range(10**9)), workers=1)
next(scans)
import os
print(open(f"/proc/self/task/{os.getpid()}/children").read().split()[0], flush=True)
for _ in scans: pass
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="watching a process that is not our child needs Linux")
def test_workers_end_when_their_parent_is_killed(tmp_path):
    (path,) = make_home(tmp_path, 1)
    with (tmp_path / path).open("ab") as file:
        file.write((b'{"type":"x","payload":{}}' + b" " * 400 + b"\n") * 10_000)
    command = [sys.executable, "-c", PARENT, str(tmp_path), path]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as parent:
        assert parent.stdout is not None
        worker = os.pidfd_open(int(parent.stdout.readline()))
        try:
            parent.kill()
            ended, _, _ = select.select([worker], [], [], 20)
        finally:
            os.close(worker)

    assert ended
