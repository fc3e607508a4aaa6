"""A process that was stopped in the middle of a claim holds rows of others: how far does that reach?"""

import pytest

from holdfast import jobs
from holdfast.jobs import Kind, Report, Status, Worker
from processes import children
from servers import SETUP

STOPPED = """
from holdfast import holds, jobs
engine = open_engine(ARGS[0])
hear()
with engine.write() as tx:
    claimed = jobs.claim_next(tx, ["a"], holds.me())
    pause(claimed.job.key)
say("kept")
"""


@pytest.fixture
def stopped(schema_url):
    """Give a function that starts a process, and stops it inside the transaction in which it claims one of kind a."""
    with children(SETUP + "ARGS = sys.argv[1:]\n") as start:
        child = start(STOPPED, schema_url)

        def stop():
            child.tell()
            assert child.line()
            child.stop()
            return child

        yield stop


def goes_on(child):
    """Let it go on. Nobody waited until the server had ended its transaction: its claim is kept."""
    child.tell()
    child.go_on()
    return child.line() == "kept"


def status(store, kind, key):
    with store.read() as tx:
        return jobs.get(tx, kind, key).status


def ask(store, *names):
    with store.write() as tx:
        jobs.cap(tx, "a", 2)
        for name in names:
            jobs.enqueue(tx, *name.split("/"))


def test_other_kinds_go_on_while_a_stopped_claim_holds_the_cap_of_one(store, stopped):
    ask(store, "a/1", "a/2", "b/1", "b/2")
    child = stopped()
    worker = Worker(store, ["a", "b"], lambda work: work.job.kind)
    assert worker.run(jobs_max=2) == Report(done=2)
    assert [status(store, *name) for name in ("a1", "a2", "b1", "b2")] == [Status.READY] * 2 + [Status.DONE] * 2
    assert goes_on(child)
    assert status(store, "a", "1") == Status.RUNNING


def test_a_job_ends_while_a_stopped_claim_holds_the_cap_of_its_kind(store, stopped):
    ask(store, "a/1", "a/2", "a/3")
    children = []

    def fn(work):
        children.append(stopped())

    worker = Worker(store, [Kind("a")], fn)
    ended = worker._end

    def end(*words):
        answer = ended(*words)
        assert answer is None  # the next one was not waited for
        worker.stop()
        return answer

    worker._end = end
    assert worker.run() == Report(done=1)
    assert status(store, "a", "1") == Status.DONE
    assert goes_on(children[0])
