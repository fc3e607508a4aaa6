"""A COMMIT whose answer never came: done once, whatever became of it."""

from __future__ import annotations

import pytest

from conftest import DONE
from holdfast.errors import Busy
from holdfast.sql import statement

LABELS = statement("SELECT label FROM done ORDER BY label", "labels")


def labels(store):
    with store.read() as tx:
        return [row["label"] for row in tx.rows(LABELS)]


def add(store, label, calls=None, **how):
    def work(tx):
        if calls is not None:
            calls.append(label)
        return tx.run(DONE, label=label)

    return store.submit(work, **how).result(60)


def test_a_commit_that_was_done_is_not_done_again_when_its_answer_was_lost(wired, between):
    between.at_commit = ["cut after"]
    calls = []
    assert add(wired, "once", calls) == 1
    assert calls == ["once"]
    assert labels(wired) == ["once"]
    assert wired.status().commits_asked == 1


def test_a_commit_that_never_arrived_is_done_again(wired, between):
    between.at_commit = ["cut before"]
    calls = []
    assert add(wired, "once", calls) == 1
    assert calls == ["once", "once"]
    assert labels(wired) == ["once"]


def test_a_commit_that_arrives_after_its_work_was_done_again_is_refused_by_the_server(wired, between):
    between.at_commit = ["late"]
    assert add(wired, "once") == 1
    assert b"commits_pkey" in between.let_go()
    assert labels(wired) == ["once"]


def test_a_write_of_the_callers_own_is_kept_or_busy_and_never_unknown_while_the_server_answers(wired, between):
    between.at_commit = ["cut after"]
    with wired.write() as tx:
        tx.run(DONE, label="kept")
    between.at_commit = ["cut before"]
    with pytest.raises(Busy, match="nothing was kept"), wired.write() as tx:
        tx.run(DONE, label="not kept")
    assert labels(wired) == ["kept"]


def test_a_script_that_was_lost_is_told_too(wired, between):
    between.at_commit = ["cut before"]
    with pytest.raises(Busy, match="nothing was kept"), wired.write() as tx:
        tx.script("INSERT INTO done (label) VALUES ('scripted')")
    assert labels(wired) == []


def test_a_read_takes_three_round_trips_and_so_does_a_write(wired, between):
    labels(wired)  # connects
    between.round_trips = 0
    labels(wired)
    assert between.round_trips == 3
    with wired.write() as tx:
        tx.run(DONE, label="one")
    assert between.round_trips == 6


def test_old_tokens_go_and_young_ones_stay(wired, monkeypatch):
    monkeypatch.setattr("holdfast.postgres.committing._SWEEP_EVERY", 4)
    count = statement("SELECT count(*) AS n FROM commits", "count")
    for number in range(3):
        add(wired, f"{number}")
    with wired.write() as tx:
        tx.run(statement("UPDATE commits SET made_ms = made_ms - 4000000", "age"))
    add(wired, "after")
    with wired.read() as tx:
        assert tx.row(count)["n"] == 2  # that of the update, and the last
