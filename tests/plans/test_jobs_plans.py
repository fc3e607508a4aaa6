"""A claim and its end read a few rows, however many jobs wait: no scan, no sort, and as many pages at any size."""

from __future__ import annotations

import apsw
import pytest
from watched import Watched

from holdfast import holds, jobs, schema
from holdfast.clock import wall_ms
from holdfast.sql import Statement
from holdfast.sqlite import Store

ANN = holds.me("ann")


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "state.db", clock=wall_ms, durability="normal") as store:
        schema.migrate(store)
        yield store


def test_no_statement_of_a_claim_or_its_end_scans_or_sorts(store):
    with store.write() as raw:
        tx = Watched(raw)
        for key in range(20):
            jobs.enqueue(tx, "a", str(key), priority=key % 3, idempotency_key=str(key))
        jobs.cap(tx, "a", 5)
        for verb in (jobs.finish, jobs.release, lambda tx, claim: jobs.fail(tx, claim, "x"), jobs.renew):
            verb(tx, jobs.claim_next(tx, ["a", "b"], ANN))
        jobs.claim(tx, "a", "19", ANN)
        jobs.claim_next(tx, ["b"], ANN)
        for name, plan in tx.plans():
            assert [line for line in plan if "SCAN" in line or "TEMP B-TREE" in line] in (
                [],
                ["SCAN job_caps"],  # a row per kind that somebody capped
                ["SCAN CONSTANT ROW"],
                ["SCAN j"],  # the one row that was found
            ), name


def test_a_thousand_jobs_of_a_higher_priority_that_rest_are_not_looked_at(store):
    # Promotion keeps what rests out of the index of what is ready: the first entry is always the answer.
    with store.write() as tx:
        for key in range(1_000):
            jobs.enqueue(tx, "a", f"later {key}", priority=9, not_before_ms=tx.now_ms + 1_000_000)
        jobs.enqueue(tx, "a", "now")
        assert jobs.claim_next(tx, ["a"], ANN).job.key == "now"
        count = Statement("count", "SELECT count(*) AS n FROM jobs INDEXED BY jobs_ready WHERE status = 'ready'",
                          "", frozenset(), frozenset())  # fmt: skip
        assert tx.row(count)["n"] == 0


def test_no_statement_of_a_claim_or_its_end_is_prepared_again(store):
    # SQLite looks at bound values where a partial index might do, and plans anew each time they are bound, unless told
    # not to: ten times the price of running it.
    prepared = []

    def authorize(action, *names):
        prepared.append((action, names))
        return apsw.SQLITE_OK

    def use(tx):
        jobs.finish(tx, jobs.claim_next(tx, ["a"], ANN))
        jobs.finish(tx, jobs.claim_next(tx, ["a", "b"], ANN))

    with store.write() as tx:
        for key in range(6):
            jobs.enqueue(tx, "a", str(key))
        tx.bare().authorizer = authorize  # asked whenever something is prepared
        use(tx)
        assert prepared
        prepared.clear()
        use(tx)
        tx.bare().authorizer = None
    assert prepared == []
