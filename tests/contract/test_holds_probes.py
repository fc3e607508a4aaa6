import pytest

from holdfast import holds
from holdfast.findings import Sure
from holdfast.holds import owner as owners
from holdfast.holds.probes import probes
from holdfast.holds.rules import COUNTER_BITS
from holdfast.sql import Statement

EPOCH = 1 << COUNTER_BITS


def run(engine, text):
    with engine.write() as tx:
        assert tx.run(Statement("q", text, text, frozenset(), frozenset())) >= 1


def found(engine):
    with engine.read() as tx:
        return probes(tx)


@pytest.fixture
def held(engine, clock):
    with engine.write() as tx:
        held = holds.take(tx, "r", holds.me(), lease_ms=1_000)
        holds.take(tx, "beside it", holds.me(), lease_ms=1_000)
    yield held
    run(engine, "DELETE FROM holds")
    run(engine, "INSERT INTO counters VALUES ('epoch', 1) ON CONFLICT (name) DO UPDATE SET value = 1")


DAMAGE = [
    ("hold-fence", "hold on r", "UPDATE holds SET fence = 7 WHERE resource = 'r'"),
    ("hold-fence", "hold on r", f"UPDATE holds SET fence = {EPOCH} WHERE resource = 'r'"),
    ("hold-epoch", "hold on r", f"UPDATE holds SET fence = {2 * EPOCH + 1} WHERE resource = 'r'"),
    ("hold-epoch", "counter epoch", "DELETE FROM counters WHERE name = 'epoch'"),
    ("hold-epoch", "counter epoch", "UPDATE counters SET value = 0 WHERE name = 'epoch'"),
    ("hold-times", "hold on r", "UPDATE holds SET taken_ms = renewed_ms + 1 WHERE resource = 'r'"),
    ("hold-times", "hold on r", "UPDATE holds SET expires_ms = renewed_ms - 1 WHERE resource = 'r'"),
    (
        "hold-from-the-future",
        "hold on r",
        "UPDATE holds SET renewed_ms = renewed_ms + 5, expires_ms = expires_ms + 5 WHERE resource = 'r'",
    ),
    ("hold-owner", "hold on r", "UPDATE holds SET owner = 'someone' WHERE resource = 'r'"),
    ("hold-owner", "hold on r", "UPDATE holds SET owner = '{\"pid\": 1}' WHERE resource = 'r'"),
]


@pytest.mark.parametrize(("code", "subject", "damage"), DAMAGE)
def test_what_was_damaged_is_found(engine, held, code, subject, damage):
    run(engine, damage)
    (finding,) = found(engine)
    assert (finding.code, finding.subject) == (code, subject)
    assert finding.measured != finding.expected
    assert finding.remedy.endswith(".")
    assert (finding.sure is Sure.CERTAIN) == (code != "hold-from-the-future")


def test_holds_in_every_ordinary_state_are_no_finding(engine, clock, held):
    dead = owners.dump(owners.load('{"host":"h","boot_id":"b","pid_namespace":1,"pid":1,"started":1}'))
    run(engine, f"UPDATE holds SET owner = '{dead}' WHERE resource = 'beside it'")
    with engine.write() as tx:
        holds.release(tx, holds.take(tx, "released", holds.me(), lease_ms=5))
        holds.raise_epoch(tx, least=1)
        holds.take(tx, "of the new epoch", holds.me(), lease_ms=5)
    assert found(engine) == []
    clock.advance(1_000_000)
    assert found(engine) == []


def test_a_missing_epoch_does_not_make_every_hold_a_finding(engine, held):
    run(engine, "DELETE FROM counters WHERE name = 'epoch'")
    assert len(found(engine)) == 1
