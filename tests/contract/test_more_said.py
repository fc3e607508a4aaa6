"""Git, memory mode and tools are said by a person or a harness: beside the home, and for good."""

from __future__ import annotations

import json

import pytest
from contract_helpers import only_sqlite, ways

import holdfast
from holdfast.state import said
from holdfast.tools.model import Tool
from homes import NOON_MS

GIT = {"commit_hash": "aaaa", "branch": "main", "repository_url": "git@example.com:acme/widget.git"}
WAYS = ways("rescan", "reindex", "close", sqlite=("lost",))
TOOLS = [
    Tool(name="ask", description="Ask a person", input_schema={"type": "object"}),
    Tool(name="ask", namespace="team", namespace_description="Of the team", defer_loading=True),
]


@pytest.fixture
def one(make_home, open_state):
    home = make_home()
    home.id = home.thread("first words", more={"git": GIT, "memory_mode": "disabled"})
    home.other = home.thread("other words")
    return home, open_state(home)


def outlive(state, home, open_state, state_dir, how):
    match how:
        case "rescan":
            home.append(home.id, "more")
            state.index()
        case "reindex":
            state.index(full=True)
        case "close" | "lost":
            state.close()
            if how == "lost":
                (state_dir / "state.db").write_bytes(b"not a database at all, but long enough to be looked at" * 100)
                holdfast.rebuild(home, state_dir=state_dir)
            state = open_state(home)
    return state


def git_of(thread):
    return thread.git_sha, thread.git_branch, thread.git_origin_url


@WAYS
@pytest.mark.parametrize(
    ("given", "then"),
    [
        ({}, ("aaaa", "main", GIT["repository_url"])),
        ({"sha": "bbbb"}, ("bbbb", "main", GIT["repository_url"])),
        ({"branch": None}, ("aaaa", None, GIT["repository_url"])),
        ({"sha": None, "branch": "fix", "origin_url": None}, (None, "fix", None)),
        ({"branch": ""}, ("aaaa", None, GIT["repository_url"])),
    ],
)
def test_each_field_of_git_is_left_cleared_or_set_on_its_own(one, open_state, state_dir, given, then, how):
    home, state = one
    if given:
        assert git_of(state.threads.set_git("first words", **given)) == then

    state = outlive(state, home, open_state, state_dir, how)

    assert git_of(state.threads.get(home.id)) == then
    assert git_of(state.threads.get(home.other)) == (None, None, None)


def test_what_is_said_of_one_field_leaves_what_was_said_of_another(one):
    home, state = one
    state.threads.set_git(home.id, sha="bbbb")
    state.threads.rename(home.id, "named")
    state.threads.set_git(home.id, branch=None)

    thread = state.threads.set_git(home.id, origin_url="elsewhere")

    assert (*git_of(thread), thread.name) == ("bbbb", None, "elsewhere", "named")
    assert git_of(state.threads.set_git(home.id, sha=None, branch="main")) == (None, "main", "elsewhere")


def test_nothing_to_set_is_refused_and_an_unknown_thread_is_none(one):
    home, state = one
    with pytest.raises(holdfast.Refused, match="nothing to set"):
        state.threads.set_git(home.id)
    assert state.threads.set_git("01a1fa07-0000-7000-8000-000000000000", sha="x") is None
    assert state.threads.set_memory_mode("no such name", "enabled") is None
    assert state.threads.set_tools("no such name", []) is None
    assert state.threads.tools("no such name") is None


@WAYS
@pytest.mark.parametrize("mode", ["enabled", "disabled", "polluted"])
def test_a_memory_mode_that_was_said_outlives(one, open_state, state_dir, mode, how):
    home, state = one
    assert state.threads.get(home.id).memory_mode == "disabled"
    assert state.threads.set_memory_mode(home.id, mode).memory_mode == mode

    state = outlive(state, home, open_state, state_dir, how)

    assert state.threads.get(home.id).memory_mode == mode
    assert state.threads.get(home.other).memory_mode == "enabled"


@pytest.mark.parametrize("mode", ["", "off", "Enabled"])
def test_another_memory_mode_is_refused(one, mode):
    home, state = one
    with pytest.raises(holdfast.Refused, match="enabled, disabled, polluted"):
        state.threads.set_memory_mode(home.id, mode)
    assert state.threads.get(home.id).memory_mode == "disabled"


@WAYS
@pytest.mark.parametrize("tools", [[], TOOLS], ids=["none", "some"])
def test_tools_that_were_said_outlive_and_no_tools_are_not_unknown_tools(one, open_state, state_dir, tools, how):
    home, state = one
    assert state.threads.tools(home.id) is None
    state.threads.set_tools(home.id, tools)

    state = outlive(state, home, open_state, state_dir, how)

    assert state.threads.tools(home.id) == tools
    assert state.threads.tools(home.other) is None


def test_a_list_of_tools_is_replaced_as_a_whole_and_can_be_taken_back(make_home, open_state):
    home = make_home()
    id = home.thread("words", more={"dynamic_tools": [{"type": "function", "name": "of the file"}]})
    state = open_state(home)
    state.threads.set_tools(id, [Tool(name=name) for name in ("a", "b", "c")])

    state.threads.set_tools(id, [Tool(name="d")])

    assert [tool.name for tool in state.threads.tools(id)] == ["d"]
    state.threads.set_tools(id, None)
    assert [tool.name for tool in state.threads.tools(id)] == ["of the file"]


@pytest.mark.parametrize(
    ("tools", "why"),
    [
        ([Tool(name="a"), Tool(name="a")], "two tools are called 'a'"),
        ([Tool(name="")], "has no name"),
        ([Tool(name="a", description="x" * 300_000)], "262,144 is the most"),
        ([Tool(name="a", input_schema={"x": object()})], "are no JSON"),
    ],
)
def test_a_list_of_tools_that_cannot_be_meant_is_refused(one, tools, why):
    home, state = one
    state.threads.set_tools(home.id, TOOLS)
    with pytest.raises(holdfast.Refused, match=why):
        state.threads.set_tools(home.id, tools)
    assert state.threads.tools(home.id) == TOOLS


def test_tools_are_set_with_the_transaction_or_not_at_all(one):
    home, state = one
    with pytest.raises(ZeroDivisionError), state.write() as tx:
        state.threads.within(tx).set_tools(home.id, TOOLS)
        state.threads.within(tx).set_git(home.id, sha="never")
        assert state.threads.within(tx).tools(home.id) == TOOLS
        1 / 0  # noqa: B018
    assert state.threads.tools(home.id) is None
    assert state.threads.get(home.id).git_sha == "aaaa"


CANONICAL = [
    {"type": "function", "name": "ask", "description": "Ask", "inputSchema": {"type": "object"}},
    {"type": "namespace", "name": "team", "description": "Of it", "tools": [
        {"type": "function", "name": "page", "deferLoading": True}, {"type": "function", "name": "mail"}]},
]  # fmt: skip
FLAT = [
    {"name": "ask", "description": "Ask", "inputSchema": {"type": "object"}},
    {"namespace": "team", "name": "page", "exposeToContext": False},
    {"namespace": "team", "name": "mail", "exposeToContext": True},
]


@pytest.mark.parametrize("shape", [CANONICAL, FLAT], ids=["canonical", "flat"])
def test_the_tools_of_a_rollout_are_read_in_both_shapes(make_home, open_state, tmp_path, shape):
    home = make_home()
    id = home.thread("words", more={"dynamic_tools": shape})
    state = open_state(home)

    found = [(tool.namespace, tool.name, tool.defer_loading) for tool in state.threads.tools(id)]

    assert holdfast.peek(home, state_dir=tmp_path / "none").threads.tools(id) == state.threads.tools(id)
    assert found == [(None, "ask", False), ("team", "page", True), ("team", "mail", False)]
    assert state.threads.tools(id)[0].input_schema == {"type": "object"}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ([], []),
        (None, None),
        ({"name": "no list"}, None),
        ([1, {"no": "name"}, {"name": "kept", "description": 7, "deferLoading": "yes"}], ["kept"]),
        ([{"name": "x" * 300_000}], None),
    ],
)
def test_a_list_in_a_rollout_may_be_anything(make_home, open_state, written, read):
    home = make_home()
    id = home.thread("words", more={"dynamic_tools": written} if written is not None else {})
    found = open_state(home).threads.tools(id)
    assert (None if found is None else [tool.name for tool in found]) == read


def test_the_first_list_of_a_rollout_counts_also_that_of_its_origin(make_home, open_state):
    def meta(id, name):
        return json.dumps({"type": "session_meta", "payload": {"id": id, "dynamic_tools": [{"name": name}]}})

    home = make_home()
    origin = home.thread("origin")
    fork = home.thread("fork", copied=[meta(origin, "of the origin"), meta(origin, "later")])
    state = open_state(home)
    assert [tool.name for tool in state.threads.tools(fork)] == ["of the origin"]
    assert state.threads.tools(origin) is None


def test_a_rollout_that_was_replaced_takes_its_tools_along(make_home, open_state):
    home = make_home()
    id = home.thread("words", more={"dynamic_tools": [{"name": "gone"}]})
    kept = home.thread("kept", more={"dynamic_tools": [{"name": "kept"}]})
    state = open_state(home)
    state.threads.set_tools(kept, TOOLS)
    home.thread("words that are other", id=id)
    home.thread("kept, but otherwise", id=kept)

    state.index()

    assert state.threads.tools(id) is None
    assert state.threads.tools(kept) == TOOLS


def test_a_hundred_threads_with_one_list_keep_it_once(make_home, open_state):
    from rows import statement

    home = make_home()
    for _ in range(100):
        home.thread("words", more={"dynamic_tools": CANONICAL})
    state = open_state(home)
    with state.read() as tx:
        assert len(tx.rows(statement("SELECT 1 FROM tool_lists"))) == 1


# --- the second place where it is kept -----------------------------------------------------


@only_sqlite("snapshots lie beside a database in a directory")
def test_a_snapshot_of_the_version_before_is_read_and_gives_what_it_held(one, state_dir, open_state):
    home, state = one
    state.close()
    (state_dir / "state.db").unlink()
    (state_dir / "backups").mkdir(exist_ok=True)
    old = {
        "epoch": 1,
        "homes": [str(home)],
        "said": [{"home": str(home), "thread_id": home.id, "name": "of old", "archived": None, "archived_ms": None}],
        "revision": 3,
        "version": 1,
    }
    (state_dir / "backups" / "said-000000000000001.json").write_text(json.dumps(old))

    state = open_state(home)

    assert state.threads.get(home.id).name == "of old"
    assert git_of(state.threads.get(home.id)) == ("aaaa", "main", GIT["repository_url"])


@only_sqlite("snapshots lie beside a database in a directory")
def test_everything_that_can_be_said_is_in_the_snapshot_and_comes_back(one, state_dir, open_state):
    home, state = one
    unborn = "01a1fdfa-4600-7000-8000-00000000beef"
    state.threads.rename(home.id, "named")
    state.threads.archive(home.id)
    state.threads.set_git(home.id, sha="bbbb", branch=None)
    state.threads.set_memory_mode(home.id, "polluted")
    state.threads.set_tools(home.id, TOOLS)
    state.threads.spawned(home.id, unborn, "closed")
    state.threads.spawned(home.id, home.other)
    state.threads.delete(home.other)
    before = [state.threads.get(home.id), state.threads.tools(home.id), state.threads.children(home.id)]
    with state.read() as tx:
        everything = said.read(tx).everything()
    state.close()
    assert said.newest(str(state_dir)).everything() == everything
    (state_dir / "state.db").unlink()

    state = open_state(home)

    with state.read() as tx:
        assert said.read(tx).everything() == everything
    assert [state.threads.get(home.id), state.threads.tools(home.id), state.threads.children(home.id)] == before
    assert [each.id for each in before[2]] == [unborn]
    assert state.threads.get(home.other) is None
    home.thread("born", id=unborn, created_ms=NOON_MS)
    state.index()
    assert state.threads.get(unborn).parent_thread_id == home.id


@pytest.mark.parametrize(
    "say",
    [
        lambda threads, home: threads.set_git(home.id, sha="x"),
        lambda threads, home: threads.set_memory_mode(home.id, "polluted"),
        lambda threads, home: threads.set_tools(home.id, []),
        lambda threads, home: threads.spawned(home.id, home.other),
        lambda threads, home: threads.delete(home.id),
    ],
    ids=["git", "memory", "tools", "spawned", "delete"],
)
@only_sqlite("snapshots lie beside a database in a directory")
def test_each_is_missed_in_a_snapshot_that_has_it_not(one, state_dir, say):
    home, state = one
    state.threads.rename(home.other, "in the snapshot")
    said.save(state.engine, str(state_dir))
    assert said.is_kept(state.engine, str(state_dir))
    with state.write() as tx:
        say(state.threads.within(tx), home)
    assert not said.is_kept(state.engine, str(state_dir))


def test_what_is_no_tool_is_refused_with_the_way_to_make_one(one):
    home, state = one
    for wrong in ([{"name": "ask"}], "ask"):
        with pytest.raises(holdfast.Refused, match=r"a tool is a holdfast\.Tool, got") as refused:
            state.threads.set_tools(home.id, wrong)
        assert "holdfast.Tool(" in refused.value.remedy
    assert state.threads.tools(home.id) is None
