"""What Codex's own tests pin of its threads, as a table: what is written, and what is known of it then.

The numbers are those of docs/parity.md. Each row is asked of the index and of the files alone.
"""

from __future__ import annotations

import json

import pytest

import holdfast
from homes import NOON_MS, iso

ID = "01a1fdfa-4600-7000-8000-00000000cafe"
OTHER = "01a1fdfa-4600-7000-8000-00000000beef"
GIT = {"commit_hash": "aaaa", "branch": "main", "repository_url": "url"}
PROFILE = {"type": "managed", "network": "restricted"}


def meta(**more):
    return ("session_meta", {"id": ID, "timestamp": iso(NOON_MS), **more})


def said(message, **more):
    return ("event_msg", {"type": "user_message", "message": message, **more})


def item(text):
    content = [{"type": "text", "text": text}]
    return ("event_msg", {"type": "item_completed", "item": {"type": "UserMessage", "content": content}})


def goal(objective):
    return ("event_msg", {"type": "thread_goal_updated", "goal": {"objective": objective}})


def turn(**more):
    return ("turn_context", more)


def applied(**settings):
    return ("event_msg", {"type": "thread_settings_applied", "thread_settings": settings})


MODEL = ("response_item", {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "not this"}]})
FIRST = {"title": "words", "first_user_message": "words", "preview": "words"}
NOTHING = {"title": "", "first_user_message": "", "preview": ""}

TABLE = [
    ("23 meta", [meta(cwd="/srv", cli_version="1.2", model_provider="p")],
     {"cwd": "/srv", "cli_version": "1.2", "model_provider": "p", "created_at_ms": NOON_MS}),
    ("24 a history mode never heard of is kept", [meta(history_mode="of the future")],
     {"history_mode": "of the future"}),
    ("25 the last memory mode", [meta(memory_mode="disabled"), meta(memory_mode="polluted"), meta()],
     {"memory_mode": "polluted"}),
    ("25 no memory mode", [meta()], {"memory_mode": "enabled"}),
    ("25 the memory mode of a copied meta is not this thread's",
     [meta(), ("session_meta", {"id": OTHER, "memory_mode": "disabled"})], {"memory_mode": "enabled"}),
    ("27 what the model was sent", [meta(), MODEL], NOTHING),
    ("28 user message", [meta(), said("# Files:\nx\n\n## My request for Codex:\n words ")], FIRST),
    ("29 completed item", [meta(history_mode="paginated"), item("words")], FIRST),
    ("30 image", [meta(), said(" ", images=["x"]), said("words")],
     {"title": "words", "first_user_message": "[Image]", "preview": "[Image]"}),
    ("30 local image", [meta(), said("", local_images=["x"])],
     {"title": "", "first_user_message": "[Image]", "preview": "[Image]"}),
    ("31 audio", [meta(), said("", audio=["x"])], {"title": "", "first_user_message": "[Audio]", "preview": "[Audio]"}),
    ("31 local audio", [meta(), said("", local_audio=["x"])], {"preview": "[Audio]"}),
    ("32 blank", [meta(), said(" \n ")], NOTHING),
    ("32 blank, then words", [meta(), said(" "), said("words"), said("later")], FIRST),
    ("33 goal", [meta(), goal(" the goal "), said("words")],
     {"title": "words", "first_user_message": "words", "preview": "the goal"}),
    ("33 blank goal", [meta(), goal(" "), said("words")], FIRST),
    ("34 turn against session cwd", [meta(cwd="/srv"), turn(cwd="/other")], {"cwd": "/srv"}),
    ("34 turn fills cwd", [meta(), turn(cwd="/other")], {"cwd": "/other"}),
    ("35 permission profile", [meta(), turn(permission_profile=PROFILE)],
     {"sandbox_policy": json.dumps(PROFILE, separators=(",", ":"))}),
    ("36 model and effort", [meta(), turn(model="m", effort="high"), turn(model="n", effort="of their own")],
     {"model": "n", "reasoning_effort": "of their own"}),
    ("36 no effort any more", [meta(), turn(model="m", effort="high"), turn(model="m")], {"reasoning_effort": None}),
    ("36 a meta sets no model, and history mode stays", [meta(model="m"), meta(history_mode="paginated")],
     {"model": None, "history_mode": "legacy"}),
    ("37 settings", [meta(cwd="/srv"), applied(
        cwd="/new", model="m", model_provider_id="p", reasoning_effort="low", approval_policy="never")],
     {"cwd": "/new", "model": "m", "model_provider": "p", "reasoning_effort": "low", "approval_mode": "never"}),
    ("40 git of the rollout", [meta(git=GIT)], {"git_sha": "aaaa", "git_branch": "main", "git_origin_url": "url"}),
    ("40 git as a whole", [meta(git=GIT), meta(git={"branch": "fix"}), meta()],
     {"git_sha": None, "git_branch": "fix", "git_origin_url": None}),
    ("40 git of a copied meta", [meta(git=GIT), ("session_meta", {"id": OTHER, "git": {"branch": "x"}})],
     {"git_branch": "main"}),
    ("41 irrelevant lines", [meta(), said("words"), ("event_msg", {"type": "agent_message", "message": "so"})],
     {**FIRST, "updated_at_ms": NOON_MS + 2_000}),
    ("43 history mode", [meta(history_mode="paginated")], {"history_mode": "paginated"}),
    ("55 cwd is normal, symlinks or not", [meta(cwd="/srv//x/./y/")], {"cwd": "/srv/x/y"}),
    ("65 words after many lines", [meta(), *[MODEL] * 300, said("words")], FIRST),
    ("69 time of the last line, not of the file", [meta(), said("words")], {"updated_at_ms": NOON_MS + 1_000}),
    ("117 old files without a session id", [meta(forked_from_id=OTHER)], {"forked_from_id": OTHER}),
    ("131 recency is the last turn's", [meta(), ("event_msg", {"type": "task_started"}), said("words")],
     {"recency_at_ms": NOON_MS + 1_000, "updated_at_ms": NOON_MS + 2_000}),
]  # fmt: skip


def write(home, lines):
    text = "".join(
        json.dumps({"timestamp": iso(NOON_MS + n * 1_000), "type": kind, "payload": payload}) + "\n"
        for n, (kind, payload) in enumerate(lines)
    )
    home.thread(id=ID)
    home.write(home.file(ID), text.encode())


@pytest.mark.parametrize("through", ["index", "files"])
@pytest.mark.parametrize(("lines", "known"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_what_is_written_is_known(make_home, open_state, tmp_path, lines, known, through):
    home = make_home()
    write(home, lines)
    state = open_state(home) if through == "index" else holdfast.peek(home, state_dir=tmp_path / "none")

    thread = state.threads.get(ID)

    assert {name: getattr(thread, name) for name in known} == known
    assert state.threads.list(archived=None).threads == (thread,)


@pytest.mark.parametrize("lines", [[], [MODEL], [said("words")], [("session_meta", {"no": "id"})]])
def test_26_a_file_that_does_not_say_which_thread_it_is_is_none(make_home, open_state, lines):
    home = make_home()
    write(home, lines)
    state = open_state(home)
    assert state.threads.list(archived=None).threads == ()
    assert state.reports[0].failed == 1


def test_45_what_was_said_of_git_is_not_overwritten_by_the_rollout_and_the_rest_follows_it(make_home, open_state):
    home = make_home()
    write(home, [meta(git=GIT)])
    state = open_state(home)
    state.threads.set_git(ID, branch="said")
    write(home, [meta(git={"branch": "of the rollout", "commit_hash": "bbbb"})])
    state.index()
    thread = state.threads.get(ID)
    assert (thread.git_branch, thread.git_sha, thread.git_origin_url) == ("said", "bbbb", None)


def test_60_a_name_that_was_given_stays_when_the_first_words_change(make_home, open_state):
    home = make_home()
    write(home, [meta()])
    state = open_state(home)
    state.threads.rename(ID, "math")
    write(home, [meta(), said("Hey")])
    state.index()
    thread = state.threads.get(ID)
    assert (thread.name, thread.first_user_message) == ("math", "Hey")


def test_84_no_kind_of_source_is_hidden_and_sub_agents_are_told_apart(make_home, open_state):
    home = make_home()
    spawn = {"thread_spawn": {"parent_thread_id": OTHER, "depth": 1}}
    for source in ("cli", "exec", "mcp", "vscode", {"subagent": "review"}, {"subagent": spawn}, {"custom": "x"}):
        home.thread("words", source=source)
    state = open_state(home)
    assert len(state.threads.list(sources=[])) == 7
    found = {thread.source for thread in state.threads.list(sources=["subagent"])}
    assert {'{"subagent":"review"}'} < found
    assert len(found) == 2


def test_92_a_malformed_parent_or_ancestor_is_refused(make_home, open_state):
    state = open_state(make_home())
    for question in ({"parent": "x"}, {"ancestor": ""}):
        with pytest.raises(holdfast.Refused, match="is no thread id"):
            state.threads.list(**question)


def test_141_and_140_an_archived_thread_is_read_by_its_id_and_the_active_file_is_preferred(make_home, open_state):
    home = make_home()
    write(home, [meta(), said("words")])
    home.copy(ID, "archived_sessions")
    state = open_state(home)
    assert not state.threads.get(ID).archived
    home.change((home.path / "archived_sessions" / home.files(ID)[0].name).unlink)
    home.move(ID, "archived_sessions")
    state.index()
    assert state.threads.get(ID).archived
    assert state.threads.read(ID).thread.archived


def test_140_a_thread_whose_file_is_gone_is_still_summed_up(make_home, open_state):
    home = make_home()
    write(home, [meta(), said("words")])
    state = open_state(home)
    home.delete(ID)
    state.index()
    thread = state.threads.get(ID)
    assert (thread.title, thread.missing_since_ms is not None) == ("words", True)
    assert state.threads.read(ID) is None


@pytest.mark.parametrize("ignored", ["*", "sessions/", "*.jsonl\n.*"])
def test_101_what_git_ignores_is_found_all_the_same(make_home, open_state, ignored):
    home = make_home()
    write(home, [meta(), said("words")])
    home.write(home.path / ".gitignore", ignored.encode())
    home.write(home.file(ID).parent / ".gitignore", ignored.encode())
    state = open_state(home)
    assert state.threads.find(ID).path == str(home.file(ID))
    assert [thread.id for thread in state.threads.list()] == [ID]


def test_104_to_107_the_last_line_of_the_names_file_counts_and_only_for_threads_that_are_there(make_home, open_state):
    home = make_home()
    one, two = home.thread("one"), home.thread("two")
    home.name(one, "shared", ms=NOON_MS + 9_000)
    home.name(two, "of old")
    home.name(two, "shared", ms=NOON_MS)  # later in the file, whatever its time
    home.name(OTHER, "shared")  # whose rollout was never written
    home.name(OTHER, "nobody's")
    state = open_state(home)
    assert {thread.name for thread in state.threads.list()} == {"shared"}
    assert state.threads.resolve("shared").id in (one, two)
    assert state.threads.resolve("of old") is state.threads.resolve("nobody's") is None


def test_82_an_empty_home_has_an_empty_page_and_no_cursor(make_home, open_state):
    page = open_state(make_home()).threads.list()
    assert (page.threads, page.next_cursor, page.complete) == ((), None, True)
