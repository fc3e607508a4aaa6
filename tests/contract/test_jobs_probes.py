"""What the probes of jobs find: one row wrong in one way, and what sets it right."""

import pytest
from job_steps import claim, do, enqueue

from engines import open_engine
from holdfast import schema
from holdfast.jobs.probes import probes
from rows import statement


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        ("UPDATE jobs SET status = 'running'", "job-hold"),
        ("UPDATE jobs SET expires_ms = renewed_ms + 1", "job-hold"),
        ("UPDATE jobs SET status = 'done'", "job-never-done"),
        ("UPDATE jobs SET fence = 5, owner = ''", "job-fence"),
        ("UPDATE jobs SET fence = 1 << 60", "job-epoch"),
        ("UPDATE jobs SET renewed_ms = -1, expires_ms = -1", "job-times"),
        ("UPDATE jobs SET due_ms = due_ms + 1", "job-due"),
        ("UPDATE jobs SET attempts = 9", "job-attempts"),
        ("UPDATE jobs SET status = 'running', fence = (1 << 40) + 1, owner = '{', expires_ms = 9", "job-owner"),
        ("DELETE FROM jobs", "job-request"),
    ],
)
def test_a_row_that_no_rule_can_have_written_is_found_and_said_how_to_mend(database, clock, damage, code):
    with open_engine(database, clock) as engine:
        schema.migrate(engine)
        enqueue(engine, idempotency_key="r")
        do(engine, "release", claim(engine))
        do(engine, "retry", "k", "1")
        with engine.read() as tx:
            assert probes(tx) == []
        text = damage.replace("1 << ", "CAST(1 AS BIGINT) << ")
        with engine.write() as tx:
            tx.run(statement(text))
        with engine.read() as tx:
            found = probes(tx)
        assert code in {finding.code for finding in found}
        assert all(finding.remedy for finding in found)
        if code in ("job-hold", "job-never-done", "job-due", "job-attempts") and "running" not in damage:
            do(engine, "retry", "k", "1")
            with engine.read() as tx:
                assert [each for each in probes(tx) if each.code == code] == []
