"""Jobs while their server is stopped, started, replaced by a copy or loaded into another: none lost, none doubled."""

from __future__ import annotations

import subprocess
import threading
from collections import Counter

import pytest

import holdfast
from conftest import prepare
from engines import open_engine
from holdfast import holds, jobs
from holdfast.errors import Stale
from holdfast.jobs import Claimed, Kind, Report, Status, Worker
from holdfast.sql import statement
from processes import children
from servers import SETUP, Server, binaries

ANN, BOB = holds.me("ann"), holds.me("bob")
LONG = Kind("k", lease_ms=600_000)


def ask(store, *keys):
    with store.write() as tx:
        for key in keys:
            jobs.enqueue(tx, LONG, key)


def claim(store, key, owner=ANN):
    with store.write() as tx:
        return jobs.claim(tx, LONG, key, owner)


def finish(store, claimed, result=None):
    with store.write() as tx:
        jobs.finish(tx, claimed, result)


def get(store, key):
    with store.read() as tx:
        return jobs.get(tx, "k", key)


@pytest.fixture
def copied(own_server):
    """Give a copy of the server as it is now, which runs again: what comes then, the copy misses."""
    copies = []

    def copy():
        own_server.stop("fast")
        copies.append(own_server.copy())
        own_server.start()
        return copies[-1]

    yield copy
    for each in copies:
        each.remove()


@pytest.fixture
def store(own_server):
    with open_engine(own_server.url("team")) as opened:
        prepare(opened)
        yield opened


def test_claims_that_a_promoted_copy_missed_are_refused_there_and_their_jobs_are_to_be_had(own_server, store, copied):
    ask(store, "claimed", "moved on", "done")
    before = claim(store, "moved on")
    copy = copied()
    lost = claim(store, "claimed")
    with store.write() as tx:
        jobs.release(tx, before)
    again = claim(store, "moved on", BOB)
    finish(store, claim(store, "done"), "acknowledged by the old one")
    store.close()
    own_server.stop("fast")
    copy.promote()
    with open_engine(copy.url("team")) as promoted:
        for late in (lost, again):
            with pytest.raises(Stale):
                finish(promoted, late, "late")
        new = claim(promoted, "claimed", BOB)
        assert isinstance(new, Claimed)
        assert new.fence > max(lost.fence, again.fence)
        with pytest.raises(Stale, match="changed hands"):
            finish(promoted, lost, "late")
        finish(promoted, new, "in time")
        assert get(promoted, "claimed").result == "in time"
        # What the copy knows of is in force, and what it missed is work again: with its end went all it wrote.
        finish(promoted, before)
        assert get(promoted, "done").status == Status.READY
        assert claim(promoted, "done").fence > lost.fence


def test_a_worker_whose_server_is_replaced_does_the_job_again_at_the_copy_under_a_new_fence(own_server, store, copied):
    ask(store, "1")
    copy = copied()
    hosts = f"host={own_server.folder},{copy.folder}&target_session_attrs=read-write"
    url = f"postgresql://postgres@/postgres?{hosts}&schema=team"
    began, replaced, fences = threading.Event(), threading.Event(), []

    def fn(work):
        fences.append(work.fence)
        began.set()
        assert replaced.wait(60)
        return work.fence

    with open_engine(url) as either:
        worker = Worker(either, [LONG], fn)
        thread = threading.Thread(target=worker.run, kwargs={"until_idle": True})
        thread.start()
        assert began.wait(30)
        store.close()
        own_server.stop()
        copy.promote()
        replaced.set()
        thread.join(60)
        assert worker.report == Report(done=1, lost=1)
        assert fences == sorted(set(fences))
        assert get(either, "1").result == fences[-1]


WORKER = """
from holdfast import jobs
from holdfast.jobs import Worker, worker
from holdfast.sql import statement
DONE = statement("INSERT INTO done (label) VALUES (:label)")
class Told(jobs.Work):
    def _write_end(self, tx, answer):
        tx.run(DONE, label=self.job.key)
        return super()._write_end(tx, answer)
worker.Work = Told
told = []
def fn(work):
    say(work.job.key)
    if told != ["free"]: told[:] = [hear()]
report = Worker(open_engine(ARGS[0]), ["k"], fn).run(until_idle=True)
say("report", report.done, report.failed + report.given_up + report.released)
"""


def test_four_workers_go_on_by_themselves_when_their_server_is_stopped_and_started(own_server, store):
    keys = [str(number) for number in range(40)]
    ask(store, *keys)
    with children(f"import sys\nARGS = sys.argv[1:]\n{SETUP}") as start:
        workers = [start(WORKER, own_server.url("team")) for _ in range(4)]
        for turn, mode in enumerate(["immediate", "fast", "immediate", "fast"]):
            assert all(each.line() in keys for each in workers)  # each has a job at hand
            if turn < 2:
                own_server.stop(mode)
            for each in workers:
                each.tell("free" if turn == 3 else "go")
            if turn >= 2:  # while they end their jobs, and claim others
                own_server.stop(mode)
            own_server.start()
        ends = [each.lines()[-1].split() for each in workers]
        assert [each.wait() for each in workers] == [0, 0, 0, 0]
    assert [end[0] for end in ends] == ["report"] * 4
    assert sum(int(end[1]) for end in ends) == len(keys)
    assert sum(int(end[2]) for end in ends) == 0
    with store.read() as tx:
        assert jobs.counts(tx) == {"k": {Status.DONE: len(keys)}}
        done = [row["label"] for row in tx.rows(statement("SELECT label FROM done"))]
    assert Counter(done) == Counter(keys)


def test_a_dump_loaded_into_another_server_ends_every_claim_and_gives_higher_fences(server, schema_url, tmp_path):
    name = schema_url.rpartition("=")[2]
    with holdfast.open([], state=schema_url, state_dir=tmp_path / "a", search=False) as state:
        state.jobs.enqueue(LONG, "held")
        state.jobs.enqueue(LONG, "done")
        held = state.jobs.claim(LONG, "held")
        state.jobs.finish(state.jobs.claim(LONG, "done"), "kept")
    dump = tmp_path / "team.sql"
    tool = [binaries() / "pg_dump", f"--schema={name}", f"--file={dump}", server.url()]
    subprocess.run(tool, check=True)
    other = Server()
    try:
        subprocess.run(
            [binaries() / "psql", "-q", "-v", "ON_ERROR_STOP=1", "-f", dump, other.url()],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        with holdfast.open([], state=other.url(name), state_dir=tmp_path / "b", search=False) as state:
            with pytest.raises(Stale):
                state.jobs.finish(held)
            again = state.jobs.claim(LONG, "held")
            assert (again.attempt, again.fence > held.fence) == (1, True)
            state.jobs.finish(again)
            with pytest.raises(Stale):
                state.jobs.finish(held)
            assert state.jobs.get("k", "done").result == "kept"
    finally:
        other.remove()
