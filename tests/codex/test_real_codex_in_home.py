"""What the real Codex 0.169 makes of a home that was changed with `in_home`: `make codex` runs these.

Without a database Codex reads the files, and sees everything but the name of a
paginated thread. With one it trusts its own rows, and what it does not notice
is pinned here, too: docs/in-home.md says so.
"""

from __future__ import annotations

import pytest
from bench import codex_peer

import holdfast
from holdfast.rollouts import writer_lock
from homes import MadeHome

pytestmark = pytest.mark.codex

LEGACY = "01a1fa08-2b2b-7a90-ac4c-b3ba844b7475"
RENAMED = "01a1fa08-2161-7e32-870d-1d50962ff311"
DELETED = "01a1fa08-2024-7ff2-9f39-596ae012912d"
PAGINATED = "01a1fa07-e64e-7e01-8d7f-ea55f73c38fc"
NAMED = "01a1fa07-e510-75b1-999a-9b38734d56a8"
ARCHIVED = "01a1fa08-2a48-7fa2-a9dc-e968a91457b8"
EVERYTHING = {"modelProviders": [], "sourceKinds": codex_peer.EVERY_SOURCE}
PICKER = {"sourceKinds": ["cli", "vscode", "exec"]}
"""As Codex's own lists ask: of the provider in use. For these it looks at the files, for everything it does not."""


@pytest.fixture
def home(tmp_path):
    """A home as Codex left it, without databases: theirs name the paths of another machine."""
    recorded = MadeHome.recorded("0.169", tmp_path)
    for file in recorded.path.glob("*.sqlite*"):
        file.unlink()
    return recorded


@pytest.fixture
def known_home(home):
    """The same, and Codex has made its database of it."""
    with codex_peer.running(home.path):
        pass
    return home


@pytest.fixture
def state(home, state_dir):
    with holdfast.open(home, state_dir=state_dir, search=False) as state:
        yield state


def listed(peer, filters=EVERYTHING):
    """Return what Codex lists: by id, ``archived``, name and branch."""
    found = {}
    for archived in (False, True):
        for each in peer.call("thread/list", {"limit": 100, "archived": archived, **filters})["data"]:
            assert each["id"] not in found
            found[each["id"]] = (archived, each["name"], (each["gitInfo"] or {}).get("branch"))
    return found


def change_it_all(state):
    return [
        state.threads.archive(LEGACY, in_home=True).receipt,
        state.threads.archive(PAGINATED, in_home=True).receipt,
        state.threads.unarchive(ARCHIVED, in_home=True).receipt,
        state.threads.rename(RENAMED, "given here", in_home=True).receipt,
        state.threads.rename(NAMED, "given here, too", in_home=True).receipt,
        state.in_home.set_git(RENAMED, branch="made here").receipt,
        state.in_home.delete(DELETED).receipt,
    ]


def test_codex_sees_in_the_files_what_was_done_and_what_was_undone(home, state):
    with codex_peer.running(home.path) as peer:
        before = listed(peer)
    for file in home.path.glob("*.sqlite*"):
        file.unlink()
    done = change_it_all(state)

    with codex_peer.running(home.path) as peer:
        now = listed(peer)

    assert now[LEGACY][0] and now[PAGINATED][0] and not now[ARCHIVED][0]
    assert now[RENAMED] == (False, "given here", "made here")
    assert DELETED not in now
    assert now[NAMED][1] is None  # it keeps the names of paginated threads in its database only
    others = set(before) - {LEGACY, PAGINATED, ARCHIVED, RENAMED, DELETED}
    assert {id: now[id] for id in others} == {id: before[id] for id in others}

    for file in home.path.glob("*.sqlite*"):
        file.unlink()
    for receipt in reversed(done):
        state.in_home.undo(receipt)
    with codex_peer.running(home.path) as peer:
        assert listed(peer) == before


def test_codex_with_rows_of_its_own_finds_the_files_where_they_are_when_it_looks(known_home, state):
    change_it_all(state)

    with codex_peer.running(known_home.path) as peer:
        now = listed(peer, PICKER)

    assert now[LEGACY][0] and now[PAGINATED][0] and not now[ARCHIVED][0]
    assert now[RENAMED][1] == "given here"
    assert DELETED not in now


def test_codex_with_rows_of_its_own_does_not_notice_these(known_home, state):
    change_it_all(state)

    with codex_peer.running(known_home.path) as peer:
        now = listed(peer)
        assert not {LEGACY, PAGINATED, ARCHIVED, DELETED} & set(now)  # rows whose file is not there are hidden
        assert now[RENAMED][2] != "made here"
        assert now[NAMED][1] is None
        with pytest.raises(codex_peer.NoPeerError, match="is archived"):
            peer.call("thread/resume", {"threadId": ARCHIVED})
        assert peer.call("thread/read", {"threadId": DELETED})["thread"]["id"] == DELETED
        with pytest.raises(codex_peer.NoPeerError, match="no archived rollout found"):
            peer.call("thread/unarchive", {"threadId": PAGINATED})
        # Its own commands still find a legacy thread that was archived, and can be given for what was deleted.
        assert peer.call("thread/unarchive", {"threadId": LEGACY})["thread"]["id"] == LEGACY
        peer.call("thread/delete", {"threadId": DELETED})


def test_codex_with_rows_of_its_own_is_content_again_once_it_is_undone(known_home, state):
    with codex_peer.running(known_home.path) as peer:
        before = listed(peer)
    done = change_it_all(state)
    for receipt in reversed(done):
        state.in_home.undo(receipt)

    with codex_peer.running(known_home.path) as peer:
        assert listed(peer) == before
        for id in (LEGACY, PAGINATED, DELETED, RENAMED):
            assert peer.call("thread/resume", {"threadId": id})["thread"]["id"] == id


def test_a_thread_that_codex_has_open_is_left_alone(home, state):
    with codex_peer.running(home.path) as peer:
        peer.call("thread/resume", {"threadId": RENAMED})
        for change in (state.in_home.archive, state.in_home.delete):
            with pytest.raises(holdfast.Busy, match=rf"is being written by pid {peer.pid}"):
                change(RENAMED)
    assert state.in_home.receipts() == []


def test_codex_leaves_a_thread_alone_that_is_locked_here(home):
    with codex_peer.running(home.path) as peer:
        with (
            writer_lock(str(home), RENAMED),
            pytest.raises(codex_peer.NoPeerError, match="active writer"),
        ):
            peer.call("thread/archive", {"threadId": RENAMED})
        assert peer.call("thread/archive", {"threadId": RENAMED}) == {}


def test_the_same_changes_made_by_codex_leave_the_same_files(home, state, tmp_path):
    theirs = MadeHome.recorded("0.169", tmp_path / "theirs")
    for file in theirs.path.glob("*.sqlite*"):
        file.unlink()
    with codex_peer.running(theirs.path) as peer:
        peer.call("thread/archive", {"threadId": LEGACY})
        peer.call("thread/archive", {"threadId": PAGINATED})
        peer.call("thread/unarchive", {"threadId": ARCHIVED})
        peer.call("thread/name/set", {"threadId": RENAMED, "name": "given here"})
        peer.call("thread/name/set", {"threadId": NAMED, "name": "given here, too"})
        peer.call("thread/metadata/update", {"threadId": RENAMED, "gitInfo": {"branch": "made here"}})
        peer.call("thread/delete", {"threadId": DELETED})
    change_it_all(state)

    assert rollouts(home) == rollouts(theirs)


def rollouts(home):
    """Return where every rollout lies and how large it is, and the names, without their times."""
    sizes = {str(file.relative_to(home.path)): file.stat().st_size for file in home.files()}
    lines = (home.path / "session_index.jsonl").read_text().splitlines()
    return sizes, [line.partition('"updated_at"')[0] for line in lines]
