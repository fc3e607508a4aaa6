"""The index follows what changes, and reads no more than that."""

from __future__ import annotations

import os
import threading

import pytest

from holdfast import search
from holdfast.search import batch, parts
from holdfast.threads import homes
from homes import NOON_MS, line


@pytest.fixture
def made(make_home, searched):
    home = make_home()
    found = searched(home)
    return home, found


def test_feeding_again_reads_nothing_and_writes_nothing(made):
    home, found = made
    for n in range(5):
        home.thread(f"thread {n}")
    assert found.follow().messages == 5
    before = found.engine.status().transactions, found.index.store.status().transactions
    report = found.follow()
    assert (report.threads, report.messages, report.bytes_read) == (0, 0, 0)
    assert (found.engine.status().transactions, found.index.store.status().transactions) == before
    assert (found.status.messages, found.status.threads, found.status.behind) == (5, 5, 0)


def test_only_what_was_appended_is_read(made):
    home, found = made
    id = home.thread("the first words")
    found.follow()
    before = home.file(id).stat().st_size
    home.append(id, "the later words")
    report = found.follow()
    assert report.messages == 1
    assert report.bytes_read == home.file(id).stat().st_size - before
    assert found.find("words").hits[0].messages == 2
    assert found.find("later").hits[0].offset == before


def test_half_a_line_waits_for_its_end(made):
    home, found = made
    id = home.thread("first")
    found.follow()
    whole = line(NOON_MS + 9_000, "a torn message")
    file = home.file(id)
    home.write(file, file.read_bytes() + whole[:40].encode())
    found.follow()
    assert found.ids("torn") == []
    home.write(file, file.read_bytes() + whole[40:].encode())
    found.follow()
    assert found.ids("torn") == [id]


@pytest.mark.parametrize("in_place", [True, False])
def test_a_file_that_was_replaced_is_fed_anew(made, in_place):
    home, found = made
    id = home.thread("the old words", "kept words")
    other = home.thread("other old words")
    found.follow()
    file = home.file(id)
    data = file.read_bytes().replace(b"old words", b"new words, and more of them")

    def replace():
        if in_place:
            file.write_bytes(data)
        else:
            (file.parent / "new").write_bytes(data)
            (file.parent / "new").rename(file)
        os.utime(file, ns=(NOON_MS * 1_000_000 + 5, NOON_MS * 1_000_000 + 5))

    home.change(replace)
    found.follow()
    assert found.ids('"new words"') == [id]
    assert found.ids('"old words"') == [other]
    assert found.find("kept").hits[0].messages == 1
    content_now = found.content()
    again = found.__class__(found.folder.parent / "again", home)
    again.follow()
    assert [row[1:] for row in again.content()[1]] == [row[1:] for row in content_now[1]]
    again.close()


def test_a_shorter_file_is_fed_anew(made):
    home, found = made
    id = home.thread("one", "two", "three")
    found.follow()
    file = home.file(id)
    home.write(file, b"".join(file.read_bytes().splitlines(keepends=True)[:3]))
    found.follow()
    assert found.ids("three") == []
    assert found.ids("one") == [id]


def test_an_archived_file_that_only_moved_is_not_read_again(made):
    home, found = made
    id = home.thread("wander")
    found.follow()
    home.move(id, "archived_sessions")
    assert found.follow().bytes_read == 0
    (hit,) = found.find("wander", archived=True)
    assert (hit.thread.id, hit.role) == (id, "user")


def test_a_compressed_file_says_the_same(made):
    home, found = made
    id = home.thread("squeezed words", "more words")
    found.follow()
    home.pack(id)
    found.follow()
    (hit,) = found.find("squeezed")
    assert (hit.thread.id, hit.snippet) == (id, "squeezed words")
    assert found.find("words").hits[0].messages == 2
    assert found.follow().bytes_read == 0


def test_a_thread_that_is_gone_is_no_hit_and_comes_back_with_its_file(made):
    home, found = made
    id = home.thread("here and gone")
    home.thread("here")
    found.follow()
    data = home.file(id).read_bytes()
    file = home.file(id)
    home.delete(id)
    found.scan()
    assert id not in found.ids("here")  # at once
    assert found.feed().removed == 1
    assert (found.status.threads, found.status.messages) == (1, 1)
    home.write(file, data)
    found.follow()
    assert id in found.ids("here")


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_fed(made):
    home, found = made
    bad, good = home.thread("hidden"), home.thread("seen")
    found.scan()
    file = home.file(bad)
    home.change(lambda: (file.unlink(), file.mkdir()))
    report = found.feed()
    assert report.complete
    assert [path for path, _ in report.unread] == [str(file.relative_to(home.path))]
    assert found.ids("seen") == [good]


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_long_rollout_goes_in_in_parts(made, monkeypatch, workers):
    home, found = made
    monkeypatch.setattr(parts, "PART_CHARS", 1_000)
    monkeypatch.setattr(batch, "_CHARS", 5_000)
    monkeypatch.setattr("holdfast.search.readers.ALONE_BYTES_MAX", 0)
    ids = [home.thread(*(f"message {n} of {k} {'word ' * 20}" for n in range(200))) for k in range(4)]
    found.scan()
    report = found.feed(workers=workers)
    assert (report.complete, report.messages) == (True, 800)
    assert sorted(found.ids('"message 199"')) == sorted(ids)
    assert {hit.messages for hit in found.find("word")} == {200}
    with_workers = found.content()
    other = found.__class__(found.folder.parent / "other", home)
    monkeypatch.undo()
    other.follow()
    assert other.content()[1] == with_workers[1]
    other.close()


def test_more_messages_in_a_second_than_it_has_rows(made, monkeypatch):
    home, found = made
    monkeypatch.setattr("holdfast.search.rules.SLOT_BITS", 2)
    id = home.thread(*(f"word{n}" for n in range(60)), updated_ms=NOON_MS)
    found.follow()
    assert found.status.messages == 60
    assert all(found.ids(f"word{n}") == [id] for n in range(60))


def test_stopping_keeps_what_is_in_and_the_next_one_goes_on(made, monkeypatch):
    home, found = made
    monkeypatch.setattr(batch, "_CHARS", 10)
    for n in range(20):
        home.thread(f"thread number {n}")
    found.scan()
    stop = threading.Event()
    report = found.feed(stop=stop, on_progress=lambda progress: progress.threads_done >= 5 and stop.set())
    assert (report.complete, report.problem) == (False, "stopped")
    assert 5 <= found.status.messages < 20
    assert found.status.behind == 20 - found.status.threads
    assert not found.find("thread").complete
    assert found.feed().messages == 20 - report.messages
    assert len(found.find("thread", limit=100)) == 20


def test_progress_ends_at_the_whole(made):
    home, found = made
    for n in range(3):
        home.thread(f"thread {n}")
    found.scan()
    seen = []
    found.feed(on_progress=seen.append)
    assert (seen[-1].threads_done, seen[-1].threads, seen[-1].percent) == (3, 3, 100)


def test_a_home_that_is_not_indexed_yet_is_not_complete(made):
    home, found = made
    home.thread("words")
    found.follow()
    assert found.find("words").complete
    with found.engine.write() as tx:
        homes.set_indexed(tx, found.homes[0], indexed_ms=None, names_stamp="")
    assert not found.find("words").complete


def test_the_recorded_homes_are_fed_whole(home, searched, tmp_path):
    found = searched(home)
    report = found.follow()
    assert report.unread == ()
    assert report.messages > 0
    fed, messages, *_ = content_of = found.content()
    assert len(fed) == report.threads
    assert sum(role > 0 for _, role, *_ in messages) == report.messages
    again = found.__class__(tmp_path / "again", home)
    again.follow()
    assert again.content() == content_of
    again.close()


def test_two_handles_of_one_process_share_the_index(made):
    home, found = made
    home.thread("shared")
    other = search.open_index(found.path, lambda: 0)
    found.follow()
    assert len(search.find(found.engine, other, found.homes, "shared")) == 1
    other.close()
    assert found.ids("shared")
