"""Logs of runs stay small behind the back of who writes them, and records are there for whoever comes next."""

import os
import threading
from dataclasses import replace

import pytest

from holdfast import holds
from holdfast.board.dispatching.records import Record, Records
from holdfast.board.dispatching.run_logs import Log, drop_old, make


def test_the_middle_of_a_log_goes_and_its_writer_goes_on(tmp_path):
    path = tmp_path / "log"
    with open(path, "ab", buffering=0) as writer:
        writer.write(b"first\n" + b"x" * 10_000 + b"\nlast\n")
        Log(str(path)).bound(1_000)
        writer.write(b"more\n")
    text = path.read_bytes()
    assert text.startswith(b"first\n") and text.endswith(b"\nlast\nmore\n")
    assert b"bytes were cut out here" in text
    assert len(text) < 600


def test_a_log_that_is_small_enough_stays_as_it_is(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"x" * 1_000)
    Log(str(path)).bound(1_000)
    assert path.read_bytes() == b"x" * 1_000


def test_a_log_tells_whether_anything_was_said_since(tmp_path):
    path = tmp_path / "log"
    log = Log(str(path))
    assert not log.grew()
    path.write_text("a")
    assert log.grew() and not log.grew()
    path.write_text("ab")
    assert log.grew()


def test_logs_nobody_wrote_to_for_weeks_go_and_others_stay(tmp_path):
    old, new = make(str(tmp_path), "b", 1, 1), make(str(tmp_path), "b", 2, 2)
    for path in (old, new):
        with open(path, "w"):
            pass
    os.utime(old, (1, 1))
    assert drop_old(str(tmp_path), 30) == 1
    assert os.path.exists(new) and not os.path.exists(os.path.dirname(old))


@pytest.fixture
def record(tmp_path):
    me = holds.me("one")
    return Record(1, 2, "b", "", 1, 3, me, me, 0, None, None, str(tmp_path / "log"))


GONE = {"boot_id": "an earlier boot"}


def test_a_dead_dispatchers_workers_are_adopted_by_one(tmp_path, record):
    records = Records(str(tmp_path))
    for number in range(20):
        dead = replace(record.keeper, **GONE)
        records.put(Record(number, 2, "b", "", 1, 3, record.worker, dead, 0, None, None, ""))
    got = {}
    crew = [
        threading.Thread(target=lambda name=name: got.update({name: Records(str(tmp_path)).adopt(holds.me(name))}))
        for name in "abcd"
    ]
    for each in crew:
        each.start()
    for each in crew:
        each.join(30)
    assert sorted(each.run_id for adopted in got.values() for each in adopted) == list(range(20))


def test_a_living_dispatchers_workers_are_left_alone_and_so_are_another_machines(tmp_path, record):
    records = Records(str(tmp_path))
    records.put(record)
    elsewhere = replace(record.keeper, host="another")
    records.put(Record(5, 2, "b", "", 1, 3, elsewhere, None, 0, None, None, ""))
    assert records.adopt(holds.me("two")) == []


def test_a_record_that_cannot_be_read_is_none(tmp_path, record):
    records = Records(str(tmp_path))
    records.put(record)
    (tmp_path / "living" / "9.json").write_text("{")
    assert records.all() == [record]
    records.drop(1)
    assert records.all() == []


def test_a_log_is_made_while_empty_folders_are_taken_away(tmp_path):
    over = threading.Event()

    def clean():
        while not over.is_set():
            drop_old(str(tmp_path), 1)

    cleaning = threading.Thread(target=clean)
    cleaning.start()
    try:
        made = [make(str(tmp_path), "b", n, n) for n in range(500)]
        assert [path for path in made if not os.path.exists(path)] == []
    finally:
        over.set()
        cleaning.join()
