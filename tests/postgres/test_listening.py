"""What is heard over LISTEN, what is sent, and what becomes of those who cannot hear."""

from __future__ import annotations

import threading

import psycopg
import pytest

from conftest import prepare
from engines import open_engine
from holdfast import jobs
from holdfast.jobs import Report, Worker
from holdfast.postgres import listening

HOUR_MS = 3_600_000
LONG_S = 60


def ask(store, key):
    with store.write() as tx:
        jobs.enqueue(tx, "k", key)


def hears(waiter):
    while not waiter.hears:
        assert waiter.wait(LONG_S)
    return True


def test_a_worker_hears_again_after_the_server_was_stopped_and_started(own_server):
    done = []
    with open_engine(own_server.url("team")) as store, open_engine(own_server.url("team")) as other:
        prepare(store)
        worker = Worker(store, ["k"], lambda work: done.append(work.job.key), poll_ms=HOUR_MS)
        crew = threading.Thread(target=worker.run, kwargs={"threads": 2, "jobs_max": 3})
        crew.start()
        with other.changes() as waiter:
            for key, mode in (("1", "fast"), ("2", "immediate")):
                ask(other, key)
                while len(done) < int(key):
                    crew.join(0.01)
                assert hears(waiter)
                own_server.stop(mode)
                own_server.start()
            ask(other, "3")
            crew.join(LONG_S)
    assert not crew.is_alive()
    assert (done, worker.report) == (["1", "2", "3"], Report(done=3))


@pytest.mark.parametrize("kind", ["is_pooler", "loses_words"])
def test_behind_what_loses_its_words_a_worker_looks_by_itself(wired, between, kind, monkeypatch):
    monkeypatch.setattr(listening, "_TEST_S", 0.05)
    setattr(between, kind, True)
    store = wired
    lost, said = threading.Event(), []
    forget = listening.Listening._lost

    def note(self, how):
        forget(self, how)
        said.append(how)
        lost.set()

    monkeypatch.setattr(listening.Listening, "_lost", note)
    worker = Worker(store, ["k"], lambda work: None, poll_ms=10)
    crew = threading.Thread(target=worker.run, kwargs={"jobs_max": 1})
    crew.start()
    assert lost.wait(LONG_S)
    ask(store, "1")
    crew.join(LONG_S)
    assert worker.report == Report(done=1)
    assert said == ["deaf"]  # and it is not tried again and again
    assert between.listens == (kind == "loses_words")  # a pooler is asked for nothing that would stay in a session


def heard_by(url):
    """Return a connection that listens, past everything that is tested."""
    connection = psycopg.connect(url, autocommit=True)
    connection.execute(f"LISTEN {listening.CHANNEL}")
    return connection


def words(listener, server):
    """Return what was said until now."""
    server.run(f"NOTIFY {listening.CHANNEL}, 'the end'")
    heard = []
    for said in listener.notifies():
        if said.payload == "the end":
            return heard
        heard.append(said.payload)
    return None


def test_many_commits_are_told_in_few_words_and_what_was_not_kept_in_none(store, server, schema_url, monkeypatch):
    monkeypatch.setattr(listening, "_HINT_EVERY_S", 3_600)
    team = schema_url.partition("schema=")[2]
    with heard_by(server.url()) as listener:
        with pytest.raises(KeyError), store.write() as tx:
            jobs.enqueue(tx, "k", "never")
            raise KeyError
        ask(store, "first")
        for number in range(20):
            ask(store, str(number))
        ask(store, "1")  # known: nothing changed
        store.close()
        heard = words(listener, server)
    assert heard in ([team], [team, team])  # the first at once, and one for all others


def test_two_teams_in_one_database_do_not_wake_each_other(server, store):
    other = server.new_schema()
    try:
        with open_engine(server.url(other)) as theirs, store.changes() as waiter:
            prepare(theirs)
            assert hears(waiter)
            told = []
            monitor = waiter.wake
            waiter.wake = lambda: (told.append(1), monitor())
            with theirs.changes() as their_waiter:
                ask(theirs, "1")
                while jobs_of(theirs) == 0 or not their_waiter.wait(LONG_S):
                    pass
            assert told == []
            ask(store, "ours")
            assert waiter.wait(LONG_S)
    finally:
        server.drop(other)


def jobs_of(store):
    with store.read() as tx:
        return sum(sum(each.values()) for each in jobs.counts(tx).values())
