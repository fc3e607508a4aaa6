"""A list that looks for a title gives the same pages with the index of words and without, however far that is."""

from __future__ import annotations

import os
import tempfile
import threading
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import holdfast
from holdfast import search, sql
from holdfast.clock import wall_ms
from holdfast.search import titles, trigrams
from holdfast.state import words as state_words
from holdfast.threads import listing
from holdfast.threads.model import Query
from homes import NOON_MS, MadeHome

LETTERS = [*"abAB%_\\\"'*^: \n\0éÉßẞİıIkKςσΣſÅå漢字🦊", "e\u0301", "\u212a", "\ufffd", "\ufffe", "\uffff"]
TEXTS = st.lists(st.sampled_from(LETTERS), max_size=12).map("".join)
ACTS = st.sampled_from(["thread", "rename", "name", "append", "delete", "feed", "index", "search"])


def ids(page):
    return [thread.id for thread in page]


def candidates(state, tx, needle, **options):
    return titles.candidates(tx, state.words._opened, [home.home_id for home in state.homes], needle, **options)


def check(state, needle, **filters):
    """Compare what the list says with and without the index; return whether the index could say."""
    with state.read() as tx:
        homes = [home.home_id for home in state.homes]
        query = Query(search=needle or None, archived=None, missing=True, **filters)
        without = listing.page(tx, homes, query, limit=1_000)
        among = candidates(state, tx, needle)
        within = state.threads.within(tx).list(search=needle, archived=None, missing=True, limit=1_000, **filters)
        walked, cursor = [], None
        while len(walked) <= len(without):
            page = state.threads.list(search=needle, archived=None, missing=True, limit=2, cursor=cursor, **filters)
            walked += page.threads
            cursor = page.next_cursor
            if cursor is None:
                break
    assert ids(within) == ids(without) == ids(walked)
    return among is not None


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(acts=st.lists(st.tuples(st.integers(0, 99), ACTS, TEXTS), min_size=3, max_size=25), cut=st.integers(0, 5))
def test_whatever_happens_between_feedings_the_pages_are_the_same(acts, cut):
    with tempfile.TemporaryDirectory() as folder:
        home = MadeHome(Path(folder) / "home")
        made = [home.thread("the first title, which is long", created_ms=NOON_MS)]
        needles = {"the first title", "FIRST"}
        with holdfast.open(home, state_dir=f"{folder}/state", search=False) as state:
            assert state.wait_for_search().complete
            for n, what, text in acts:
                text = text.encode(errors="replace").decode()
                id = made[n % len(made)]
                needles |= {text, text[cut:], text[:cut], text[cut : cut + 4].swapcase()}
                if what == "thread":
                    made.append(home.thread(text or "nothing", created_ms=NOON_MS + len(made)))
                elif what == "rename":
                    state.threads.rename(id, text.replace("\0", ""))
                elif what == "name":
                    home.name(id, text)
                elif what == "append" and home.files(id):
                    home.append(id, text)
                elif what == "delete" and home.files(id):
                    home.delete(id)
                elif what == "index":
                    state.index()
                elif what == "feed":
                    assert state.wait_for_search().problem == ""
                elif what == "search":
                    check(state, text)
            for needle in needles:
                check(state, needle)
            state.index()
            assert state.wait_for_search().complete
            for needle in needles:
                assert check(state, needle) == trigrams.is_answerable(needle)


@settings(max_examples=500)
@given(texts=st.lists(TEXTS, min_size=2, max_size=2), cut=st.integers(0, 12), length=st.integers(1, 12))
def test_a_folded_text_holds_the_folded_needle_wherever_the_text_holds_the_needle(texts, cut, length):
    text = "\n".join(texts)
    needle = text[cut : cut + length]
    for spelling in (needle, needle.swapcase(), needle.lower()):
        if spelling.lower() in text.lower():
            assert trigrams.fold(spelling) in trigrams.fold(text)


# --- one case each ---------------------------------------------------------------------------


@pytest.fixture
def named(make_home, open_state):
    """A state with thirty threads, the index of words with all of them."""
    home = make_home()
    made = [home.thread(f"needle-zebra {n}", f"more {n}", created_ms=NOON_MS + n * 1_000) for n in range(30)]
    state = open_state(home)
    assert state.wait_for_search().complete
    return home, state, made


def test_only_what_may_have_the_needle_is_looked_at(named):
    _home, state, made = named
    with state.read() as tx:
        assert candidates(state, tx, "xyzzy") == []
        assert len(candidates(state, tx, "zebra 1")) == 11
        assert len(candidates(state, tx, "ZEBRA 17")) == 1
    assert ids(state.threads.list(search="ZEBRA 17")) == [made[17]]


def test_what_changed_since_is_looked_at_too(named):
    home, state, made = named
    state.threads.rename(made[3], "Grand Plan")
    home.append(made[4], "more of it")
    state.index()
    with state.read() as tx:
        assert len(candidates(state, tx, "grand p")) == 2
        assert len(candidates(state, tx, "zebra 17")) == 3
    assert ids(state.threads.list(search="grand p")) == [made[3]]
    assert state.wait_for_search().complete
    with state.read() as tx:
        assert len(candidates(state, tx, "grand p")) == 1


def test_a_name_of_before_is_forgotten(named):
    _home, state, made = named
    for name in ("Grand Plan", "Small Plan"):
        state.threads.rename(made[3], name)
        assert state.wait_for_search().complete
    with state.read() as tx:
        assert candidates(state, tx, "grand") == []
        assert len(candidates(state, tx, "small plan")) == 1


def test_a_thread_that_is_gone_is_listed_by_its_new_name(named):
    home, state, made = named
    home.delete(made[3])
    state.index()
    state.threads.rename(made[3], "Grand Plan")
    for _ in range(2):
        assert ids(state.threads.list(search="zebra 3", missing=True)) == [made[3]]
        assert ids(state.threads.list(search="grand", missing=True)) == [made[3]]
        assert ids(state.threads.list(search="grand")) == []
        assert state.wait_for_search().complete


def test_the_last_of_a_long_first_message_is_found(make_home, open_state):
    home = make_home()
    long = home.thread("begin " + "filler " * 560 + "the needle")
    home.thread("short")
    state = open_state(home)
    assert state.wait_for_search().complete
    with state.read() as tx:
        assert len(candidates(state, tx, "the needle")) == 1
    assert ids(state.threads.list(search="THE NEEDLE")) == [long]


def test_a_name_from_the_rollout_is_found_by_words_and_by_letters(make_home, open_state):
    home = make_home()
    id = home.thread("the title")
    named = '{"timestamp":"2026-11-21T12:00:00Z","type":"event_msg","payload":{"type":"thread_name_updated",'
    with_name = f'{named}"thread_id":"{id}","thread_name":"Grand Plan"}}}}\n'
    home.write(home.file(id), home.file(id).read_bytes() + with_name.encode())
    state = open_state(home)
    assert state.wait_for_search().complete
    assert ids(state.threads.list(search="rand pla")) == [id]
    assert [hit.thread.id for hit in state.threads.search("grand")] == [id]


@pytest.mark.parametrize("needle", ["", "x\0y", "abc\0", "\ud800abc", "x" * 4_097])
def test_some_needles_only_a_look_at_all_threads_can_find(named, needle):
    _home, state, _made = named
    with state.read() as tx:
        assert candidates(state, tx, needle) is None


@pytest.mark.parametrize("needle", ["漢", "字", "漢字", "換", "É", "é", "z", "Z!", "!", "\U0010ffff", "\uffff"])
def test_one_or_two_characters_are_enough(named, needle):
    _home, state, made = named
    titles = ["一漢字変換", "the É of it", "ends in Z!", "\U0010ffff\uffff", "字漢換"]
    for id, title in zip(made, titles, strict=False):
        state.threads.rename(id, title)
    assert state.wait_for_search().complete
    has = [id for id, title in zip(made, titles, strict=False) if needle.lower() in title.lower()]
    if needle.lower() in "needle-zebra":
        has = made
    with state.read() as tx:
        assert len(candidates(state, tx, needle)) == len(has)
    assert sorted(ids(state.threads.list(search=needle, limit=100))) == sorted(has)


def test_a_long_needle_asks_for_some_of_its_trigrams(named):
    _home, state, _made = named
    long = "".join(chr(0x4E00 + n) for n in range(4_000))
    assert trigrams.match(long).count(" AND ") < 32
    assert ids(state.threads.list(search=long)) == []


def test_where_many_may_have_it_the_list_looks_itself(named):
    _home, state, made = named
    with state.read() as tx:
        assert candidates(state, tx, "needle", limit=29) is None
        assert len(candidates(state, tx, "needle", limit=30)) == 30
    state.threads.rename(made[0], "other")
    with state.read() as tx:
        assert candidates(state, tx, "nothing", limit=0) is None


def test_inside_a_transaction_that_renames_the_new_name_is_found(named):
    _home, state, made = named
    with state.write() as tx:
        threads = state.threads.within(tx)
        threads.rename(made[3], "Grand Plan")
        assert ids(threads.list(search="grand")) == [made[3]]
        assert len(candidates(state, tx, "grand")) == 1


def test_a_moment_before_the_last_feeding_is_not_answered_by_the_index(named):
    home, state, made = named
    with state.read() as tx:
        assert ids(state.threads.within(tx).list(search="zebra 17")) == [made[17]]
        other = holdfast.open(home, state_dir=state.path, search=False)
        in_thread(lambda: (other.threads.rename(made[16], "zebra 17b"), other.wait_for_search()))
        assert candidates(state, tx, "zebra 17") is None
        assert ids(state.threads.within(tx).list(search="zebra 17")) == [made[17]]
        other.close()
    assert sorted(ids(state.threads.list(search="zebra 17"))) == sorted([made[16], made[17]])


def test_where_a_feeding_was_stopped_between_two_threads_those_behind_are_looked_at(named):
    _home, state, _made = named
    with state.read() as tx:
        (revision,) = {row["revision"] for row in tx.rows(statement("SELECT revision FROM threads"))}
    with state.words._opened.write() as tx:
        tx.run(statement("INSERT INTO titles (titles) VALUES ('delete-all')"))
        tx.run(statement("UPDATE progress SET revision = :revision, n = 5"), revision=revision)
    with state.read() as tx:
        assert sorted(candidates(state, tx, "zebra")) == list(range(6, 31))


def test_titles_that_another_python_folded_answer_ascii_only(named, monkeypatch):
    _home, state, made = named
    state.threads.rename(made[0], "Grüße")
    assert state.wait_for_search().complete
    with state.read() as tx:
        assert len(candidates(state, tx, "GRÜSS")) == 0
        assert len(candidates(state, tx, "grüß")) == 1
    monkeypatch.setattr("unicodedata.unidata_version", "99.0")
    with state.read() as tx:
        assert candidates(state, tx, "grüß") is None
        assert len(candidates(state, tx, "zebra 17")) == 1
    state.threads.rename(made[1], "Grüße an alle")
    assert state.wait_for_search().complete
    monkeypatch.undo()
    with state.read() as tx:
        assert candidates(state, tx, "grüß") is None
    assert sorted(ids(state.threads.list(search="GRÜßE"))) == sorted(made[:2])


# --- without an index, or with a bad one -------------------------------------------------------


def test_a_list_makes_no_index(make_home, open_state, monkeypatch):
    monkeypatch.setattr(state_words, "_SCANNED_AT_MOST", 0)
    home = make_home()
    id = home.thread("needle")
    state = open_state(home)
    assert ids(state.threads.list(search="needle")) == [id]
    assert not os.path.exists(state.words._path)


def test_a_list_of_a_large_state_opens_the_index_that_is_there(named, state_dir, monkeypatch):
    home, state, made = named
    state.close()
    for open_it in (holdfast.open, holdfast.peek):
        options = {"search": False} if open_it is holdfast.open else {}
        with open_it(home, state_dir=state_dir, **options) as again:
            assert ids(again.threads.list(search="zebra 17")) == [made[17]]
            assert again.words._peeked is None  # so few are looked at
            with monkeypatch.context() as patch:
                patch.setattr(state_words, "_SCANNED_AT_MOST", 29)
                assert ids(again.threads.list(search="zebra 17")) == [made[17]]
                assert again.words._peeked is not None
                with again.read() as tx:
                    homes = [home.home_id for home in again.homes]
                    assert len(titles.candidates(tx, again.words._peeked, homes, "zebra 17")) == 1
    assert not os.path.exists(f"{state_dir}/search.db-wal")


def test_an_index_of_another_state_is_not_asked(named):
    _home, state, made = named
    with state.write() as tx:
        tx.run(statement("UPDATE counters SET value = value + 1 WHERE name = 'epoch'"))
    with state.words._opened.write() as tx:
        tx.run(statement("INSERT INTO titles (rowid, text) VALUES (99, 'zebra 17')"))  # a row that is no more
    with state.read() as tx:
        assert candidates(state, tx, "zebra 17") is None
    assert ids(state.threads.list(search="zebra 17")) == [made[17]]
    assert state.wait_for_search().complete
    with state.read() as tx:
        assert len(candidates(state, tx, "zebra 17")) == 1


@pytest.mark.parametrize("damage", ["garbage", "zeros", "deleted", "empty", "closed"])
def test_a_list_does_not_mind_a_damaged_index(named, state_dir, tmp_path, monkeypatch, damage):
    home, state, made = named
    monkeypatch.setattr(state_words, "_SCANNED_AT_MOST", 0)
    path = Path(state.words._path)
    if damage == "closed":
        state.words._opened.close()
        assert ids(state.threads.list(search="zebra 17")) == [made[17]]
        return
    state.close()
    length = path.stat().st_size
    if damage in ("garbage", "zeros"):
        with open(path, "r+b") as file:
            file.seek(4096)
            file.write((b"\xa5" if damage == "garbage" else b"\0") * (length - 4096))
    elif damage == "deleted":
        path.unlink()
    else:
        path.write_bytes(b"")
    before = path.read_bytes() if path.exists() else None
    with holdfast.open(home, state_dir=state_dir, search=False) as again:
        assert ids(again.threads.list(search="zebra 17")) == [made[17]]
        assert ids(again.threads.list(search="zebra 17", sources=["cli"])) == [made[17]]
        assert (path.read_bytes() if path.exists() else None) == before
        assert again.wait_for_search().complete
        assert ids(again.threads.list(search="zebra 17")) == [made[17]]
        with again.read() as tx:
            assert len(candidates(again, tx, "zebra 17")) == 1


def test_damage_that_a_list_finds_is_mended_by_the_next_feeding(named):
    _home, state, made = named
    path = state.words._path
    state.words._opened.close()
    with closing(apsw.Connection(path)) as connection:
        pages = [page for (page,) in connection.execute("SELECT pageno FROM dbstat WHERE name = 'titles_data'")]
    with open(path, "r+b") as file:
        for page in pages:
            file.seek((page - 1) * 4096)
            file.write(b"\xa5" * 4096)
    state.words._opened = search.open_index(path, wall_ms)
    assert ids(state.threads.list(search="zebra 17")) == [made[17]]
    assert state.words._opened.damaged
    assert state.wait_for_search().complete
    with state.read() as tx:
        assert len(candidates(state, tx, "zebra 17")) == 1


def in_thread(do):
    """Run ``do`` where it joins no transaction of ours."""
    thread = threading.Thread(target=do)
    thread.start()
    thread.join()


def statement(text):
    return sql.Statement("test", text, text, frozenset(), frozenset())
