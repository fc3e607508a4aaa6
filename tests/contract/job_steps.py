"""What the tests of jobs do to an engine, in one word each."""

from __future__ import annotations

from holdfast import holds, jobs

ANN, BOB = holds.me("ann"), holds.me("bob")
LEASE_MS = 1_000


def enqueue(engine, key="1", kind="k", **words):
    with engine.write() as tx:
        return jobs.enqueue(tx, kind, key, **words)


def claim(engine, key="1", owner=ANN, kind="k", lease_ms=LEASE_MS, **words):
    with engine.write() as tx:
        return jobs.claim(tx, kind, key, owner, lease_ms=lease_ms, **words)


def claim_next(engine, *kinds, owner=ANN, lease_ms=LEASE_MS, **words):
    with engine.write() as tx:
        return jobs.claim_next(tx, kinds or ["k"], owner, lease_ms=lease_ms, **words)


def finish(engine, claimed, result=None, **words):
    with engine.write() as tx:
        jobs.finish(tx, claimed, result, **words)


def fail(engine, claimed, error="boom", **words):
    with engine.write() as tx:
        return jobs.fail(tx, claimed, error, **words)


def get(engine, key="1", kind="k"):
    with engine.read() as tx:
        return jobs.get(tx, kind, key)


def why(engine, key="1", kind="k"):
    with engine.read() as tx:
        return jobs.why(tx, kind, key)


def do(engine, verb, *args, **words):
    """Call ``jobs.verb`` in a transaction of its own."""
    with engine.write() as tx:
        return getattr(jobs, verb)(tx, *args, **words)
