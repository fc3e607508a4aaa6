"""What a state says of a home is what Codex itself kept of it, but for the listed differences."""

from __future__ import annotations

import json

import pytest

import holdfast
import oracle
from holdfast.rollouts import paths


def names_of(home):
    """Return what the names file says, read as plainly as can be: the last line of a thread counts."""
    names = {}
    for text in (home.path / "session_index.jsonl").read_text().splitlines():
        named = json.loads(text)
        names[named["id"]] = named["thread_name"]
    return {id: name for id, name in names.items() if name}


@pytest.mark.parametrize("through", ["list", "get", "files"])
def test_every_column_of_every_thread_is_what_codex_has(home, open_state, tmp_path, through):
    state = holdfast.peek(home, state_dir=tmp_path / "none") if through == "files" else open_state(home)
    rows = oracle.rows(home.version)
    listed = {thread.id: thread for thread in state.threads.list(limit=1000, archived=None)}
    assert listed.keys() == {row["id"] for row in rows}

    different = set()
    for row in rows:
        thread = state.threads.get(row["id"]) if through == "get" else listed[row["id"]]
        path = thread.rollout_path.removeprefix(f"{home}/")
        assert row["rollout_path"].endswith(path)
        assert thread.archived == bool(row["archived"]) == paths.is_archived(path)
        for column in row.keys() - oracle.ELSEWHERE:
            if column in oracle.NEAR_MS:
                same = abs(row[column] - getattr(thread, column)) <= oracle.NEAR_MS[column][1]
            else:
                same = row[column] == getattr(thread, oracle.SAME[column])
            if not same:
                different.add((home.version, row["id"], column))
    assert different == oracle.listed(home.version)


def test_every_name_in_the_names_file_is_on_its_thread(state, home):
    names = names_of(home)
    assert names, "the recorded homes have named threads"

    threads = list(state.threads.list(limit=1000, archived=None))

    named = {thread.id: thread.name for thread in threads if thread.name is not None}
    assert named == {id: name for id, name in names.items() if id in {thread.id for thread in threads}}
    for id, name in named.items():
        assert state.threads.resolve(name).name == name
        assert state.threads.get(id).label == name


def test_every_thread_can_be_found_and_read(state, home):
    for thread in state.threads.list(limit=1000, archived=None):
        found = state.threads.find(thread.id)
        assert (found.path, found.verified, found.source, found.repair) == (thread.rollout_path, True, "index", None)
        conversation = state.threads.read(thread.id)
        assert conversation.thread == thread
        assert conversation.problems == []
