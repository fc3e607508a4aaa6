"""Feeding that is killed, doubled or overtaken: the index ends up as if nothing had happened."""

from __future__ import annotations

import signal

import pytest
from search_helpers import child

from holdfast import holds, search
from holdfast.search import feeding
from homes import NOON_MS

KILLED_AT = """
point, count = arguments["point"], arguments["count"]
batch._CHARS, parts.PART_CHARS = 400, 150
owner, name = {"store": store, "reading": parts, "commit": None}[point.split(".")[0]], point.split(".")[-1]
calls = 0
def killed(*args, **options):
    global calls
    calls += 1
    if calls == count:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args, **options)
if owner is None:  # behind the commit, before anything else
    from holdfast.search.feeding import _Feeding
    real, _Feeding._tell = _Feeding._tell, killed
elif owner is parts:
    from holdfast.search import readers
    real, readers.read = readers.read, killed
else:
    real = getattr(store, name)
    setattr(store, name, killed)
feed()
say("done")
"""

POINTS = ["store.begin_anew", "store.forget", "store.rows_for", "store.put", "store.put_fed", "store.set_place"]


@pytest.fixture
def busy(make_home, searched):
    """A home with some long threads, indexed, with none of its words in yet; and what a calm feeding makes of it."""
    home = make_home()
    for n in range(6):
        home.thread(*(f"message {k} of {n}, 漢字変換" for k in range(1 + 5 * n)), created_ms=NOON_MS + n % 2)
    home.thread("archived words", archived=True)
    found = searched(home)
    found.scan()
    found.index.close()
    calm = searched(home, "calm")
    calm.follow()
    return found, calm


def same(found, calm) -> None:
    """Compare everything but the row ids of state.db, which are those of its own scan."""
    ours, theirs = found.content(), calm.content()
    assert ours == theirs


@pytest.mark.parametrize("point", [*POINTS, "reading.read", "commit"])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_killed_feeding_loses_nothing_and_doubles_nothing(busy, point, count):
    found, calm = busy
    with child(KILLED_AT, found.folder, point=point, count=count) as killed:
        said = killed.communicate(timeout=60)[0]
    if point != "store.begin_anew" or count == 1:  # that one is called once
        assert (killed.returncode, said) == (-signal.SIGKILL, "")
    with child("say(feed())", found.folder) as again:
        assert "complete=True" in again.communicate(timeout=60)[0]
    same(found, calm)


def test_killed_again_and_again_it_still_gets_there(busy):
    found, calm = busy
    rounds = 0
    while True:
        with child(KILLED_AT, found.folder, point="store.set_place", count=2) as killed:
            rounds += 1
            if killed.communicate(timeout=60)[0].strip() == "done":
                break
    assert rounds > 3
    same(found, calm)


PAUSED = """
real = feeding._Feeding._put
def paused(self, *args):
    feeding._Feeding._put = real
    pause("putting")
    return real(self, *args)
feeding._Feeding._put = paused
"""


def test_two_processes_feed_one_at_a_time(busy):
    found, calm = busy
    with child(PAUSED + "say(feed())", found.folder) as first:
        assert first.stdout.readline() == "putting\n"
        with child("report = feed(); say(report.by, report.complete)", found.folder) as second:
            assert second.communicate(timeout=60)[0] == f"pid {first.pid} (python) False\n".replace(
                "python", _comm(first.pid)
            )
        with child(
            "say('ready'); report = feed(wait_ms=60_000); say(report.threads, report.complete)", found.folder
        ) as third:
            assert third.stdout.readline() == "ready\n"
            first.stdin.write("go\n")
            first.stdin.flush()
            assert "complete=True" in first.stdout.readline()
            assert third.stdout.readline() == "0 True\n"
    same(found, calm)


def test_a_feeding_that_was_overtaken_puts_nothing_in_twice(busy):
    found, calm = busy
    with child(PAUSED + "report = feed(); say(report.complete, report.problem)", found.folder) as slow:
        assert slow.stdout.readline() == "putting\n"
        # As if it had been stopped until its lease was over.
        with found.engine.write() as tx:
            holds.release(tx, holds.get(tx, feeding.RESOURCE))
        with child("say(feed())", found.folder) as fast:
            assert "complete=True" in fast.communicate(timeout=60)[0]
        slow.stdin.write("go\n")
        slow.stdin.flush()
        said = slow.stdout.readline()
        assert said.startswith("False") and ("fed the thread" in said or "lost" in said)
    same(found, calm)


def test_a_reader_that_dies_costs_one_rollout_and_is_named(busy, monkeypatch, tmp_path):
    found, _ = busy
    found.index = search.open_index(found.path, lambda: NOON_MS)
    fatal = next(path for path in found.home.files() if "archived" in str(path))
    site = tmp_path / "site"
    site.mkdir()
    # A worker imports this first: it ends like one that the kernel killed.
    (site / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if 'holdfast.search.read_worker' in ' '.join(sys.orig_argv):\n"
        "    from holdfast.search import parts, read_worker\n"
        "    real = parts.read\n"
        "    def read(request):\n"
        f"        if request.path == {str(fatal)!r}: os.kill(os.getpid(), 9)\n"
        "        yield from real(request)\n"
        "    parts.read = read\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setattr("holdfast.search.readers.ALONE_BYTES_MAX", 0)
    report = found.feed(workers=2)
    assert report.complete
    assert [(path, why) for path, why in report.unread] == [
        (str(fatal.relative_to(found.home.path)), "2 readers died of it")
    ]
    assert len(found.find("message", limit=100)) == 6


def _comm(pid: int) -> str:
    with open(f"/proc/{pid}/comm") as file:
        return file.read().strip()


def test_where_no_worker_starts_everything_is_read_here(busy, monkeypatch):
    found, calm = busy
    found.index = search.open_index(found.path, lambda: NOON_MS)
    monkeypatch.setattr("holdfast.search.readers.ALONE_BYTES_MAX", 0)
    monkeypatch.setattr("sys.executable", "/bin/false")
    assert found.feed(workers=2).complete
    same(found, calm)
