"""Reading a thread as people do, and what was said for the search, from files in any state."""

from __future__ import annotations

import json
import sys
import tarfile
from pathlib import Path

import pytest

from holdfast import ids
from holdfast.rollouts import find_by_id, message_at, messages, read_transcript, walk
from holdfast.rollouts.transcript import Summary, Thought, Tool, Words

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FIXTURES = Path(__file__).parent.parent / "fixtures"
ID = "01a1fa08-1a40-7dd2-ac5c-7d4be4ce5348"
OTHER = "01a1fa08-1b0f-7521-bbfc-b63efb3a9c41"
FORK = "01a1fa08-16a7-7561-ad73-bd3c492a9ac2"
FORK_WITHOUT_WORDS = "01a1fa08-2e8d-7381-8ab6-5571539eb5ea"
COPIED_FORK = "01a1fa08-2b2b-7a90-ac4c-b3ba844b7475"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("homes")
    for version in ("0.141", "0.169"):
        with tarfile.open(FIXTURES / f"codex-home-{version}.tar.gz") as tar:
            tar.extractall(root, filter="data")
    return root


def line(kind: str, payload: object, **outside: object) -> bytes:
    return json.dumps({"timestamp": "2026-11-20T17:36:14.869Z", **outside, "type": kind, "payload": payload}).encode()


def event(kind: str, **fields: object) -> bytes:
    return line("event_msg", {"type": kind, **fields})


def user(text: str) -> bytes:
    return event("user_message", message=text)


def agent(text: str) -> bytes:
    return event("agent_message", message=text)


def sent(role: str, text: str) -> bytes:
    return line("response_item", {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]})


def meta(thread: str = ID, **fields: object) -> bytes:
    return line("session_meta", {"id": thread, **fields})


def write(path: Path, *lines: bytes) -> str:
    path.write_bytes(b"".join(each + b"\n" for each in lines))
    return str(path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rollout-x.jsonl"


def words(path: str, **how) -> list[list[str]]:
    turns = read_transcript(path, **how).turns
    return [[entry.text for entry in turn.entries if isinstance(entry, Words)] for turn in turns]


def whole(home: Path):
    def resolve(id16: bytes) -> str | None:
        hit = find_by_id(str(home), id16)
        return hit.file if hit else None

    return resolve


# Turns


def test_a_turn_holds_what_was_said_thought_and_done_in_it(file):
    path = write(
        file,
        meta(),
        event("task_started", turn_id="t1"),
        sent("user", "<environment_context>noise</environment_context>"),
        user("# Tabs:\n\n## My request for Codex:\nfix it"),
        event("agent_reasoning", text="hm"),
        line("response_item", {"type": "function_call", "name": "sh", "arguments": "ls", "call_id": "c"}),
        line("response_item", {"type": "function_call_output", "call_id": "c", "output": "a.py"}),
        agent("done"),
        sent("assistant", "done"),
        event("task_complete", turn_id="t1", duration_ms=90),
    )

    (turn,) = read_transcript(path).turns

    at = 1795196174869
    assert (turn.turn_id, turn.status, turn.started_ms, turn.duration_ms) == ("t1", "completed", at, 90)
    assert turn.entries == [
        Words("user", "fix it", at),
        Thought("hm", at),
        Tool("sh", "ls", "c", at, output="a.py"),
        Words("agent", "done", at),
    ]


def test_turns_end_as_they_ended(file):
    path = write(
        file,
        event("task_started", turn_id="a"),
        event("turn_aborted", turn_id="a", reason="interrupted"),
        event("turn_started", turn_id="b"),
        event("turn_complete", turn_id="b", error={"message": "no"}),
        event("task_started", turn_id="c"),
    )

    assert [turn.status for turn in read_transcript(path).turns] == ["interrupted", "failed", "open"]


def test_files_without_turns_are_cut_at_the_words_of_the_user(file):
    path = write(file, meta(), user("one"), agent("1"), user("two"), agent("2"))

    assert words(path) == [["one", "1"], ["two", "2"]]


def test_turns_that_were_rolled_back_are_not_shown(file):
    turns = [each for n in "123" for each in (event("task_started", turn_id=n), user(n), event("task_complete"))]
    between = [event("task_started", turn_id="compact"), event("task_complete")]

    path = write(file, meta(), *turns, *between, event("thread_rolled_back", num_turns=2), user("4"))

    assert words(path) == [["1"], ["4"]]
    assert words(write(file, meta(), *turns, event("thread_rolled_back", num_turns=99))) == []


def test_a_summary_stands_where_memory_was_replaced(file):
    path = write(file, meta(), user("one"), line("compacted", {"message": "so far: one"}), agent("go on"))

    assert read_transcript(path).turns[0].entries[1] == Summary("so far: one", 1795196174869)


def test_an_answer_to_nothing_is_shown_all_the_same(file):
    answer = {"type": "function_call_output", "call_id": "lost", "output": "text"}

    (turn,) = read_transcript(write(file, meta(), line("response_item", answer))).turns

    assert [entry.output for entry in turn.entries if isinstance(entry, Tool)] == ["text"]


def test_both_history_modes_read_the_same(file):
    def completed(**item: object) -> bytes:
        return event("item_completed", item=item)

    old = write(file, meta(), user("q"), event("agent_reasoning", text="t"), agent("a"))
    turns = read_transcript(old).turns
    new = write(
        file,
        meta(history_mode="paginated"),
        completed(type="UserMessage", content=[{"type": "text", "text": "q"}]),
        completed(type="Reasoning", summary_text=["t"]),
        completed(type="AgentMessage", content=[{"type": "Text", "text": "a"}]),
    )

    assert read_transcript(new).turns == turns


# Forks


def test_a_fork_is_shown_with_the_lines_it_continues(recorded):
    home = recorded / "codex-home-0.169"
    path = whole(home)(ids.parse(FORK))

    alone = words(path)
    with_base = words(path, resolve_base=whole(home))

    assert with_base[-1] == alone[-1]
    assert with_base[0][0] == "Rename the variable x to count everywhere @plan:mixed"
    assert words(whole(home)(ids.parse(FORK_WITHOUT_WORDS))) == []
    assert len(words(whole(home)(ids.parse(FORK_WITHOUT_WORDS)), resolve_base=whole(home))) == 2


def test_a_fork_that_copied_its_origin_is_shown_as_it_is(recorded):
    home = recorded / "codex-home-0.169"

    transcript = read_transcript(whole(home)(ids.parse(COPIED_FORK)), resolve_base=whole(home))

    assert (len(transcript.turns), transcript.problems) == (4, [])
    assert transcript.thread_id == ids.parse(COPIED_FORK)


def test_a_base_that_is_missing_or_leads_in_a_circle_is_named(tmp_path):
    def based_on(thread: str) -> dict[str, object]:
        return {"thread_id": thread, "end_ordinal_exclusive": 100}

    a = write(tmp_path / "a.jsonl", meta(ID, history_base=based_on(OTHER)), user("mine"))
    b = write(tmp_path / "b.jsonl", meta(OTHER, history_base=based_on(ID)), user("theirs"))

    missing = read_transcript(a, resolve_base=lambda _: None)
    circle = read_transcript(a, resolve_base={ids.parse(ID): a, ids.parse(OTHER): b}.get)
    gone = read_transcript(a, resolve_base=lambda _: str(tmp_path / "nowhere.jsonl"))

    assert missing.problems == [("base-missing", OTHER)]
    assert circle.problems == [("base-circle", ID)]
    assert gone.problems == [("gone", str(tmp_path / "nowhere.jsonl"))]
    assert words(a, resolve_base={ids.parse(ID): a, ids.parse(OTHER): b}.get) == [["theirs"], ["mine"]]


# Damage


def test_a_damaged_line_costs_itself_and_is_named(file):
    path = write(file, meta(), user("a\xff").replace(b"\\u00ff", b"\xff"), b"torn {", b"[" * 99_999, agent("b"))

    transcript = read_transcript(path)

    assert words(path) == [["a�", "b"]]
    assert transcript.problems == [("line-unread", f"2 of {path}")]


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_bytes(b"")])
def test_no_file_is_no_turns(file, make):
    make(file)

    assert read_transcript(str(file)).turns == []
    assert list(messages(str(file))) == []
    assert message_at(str(file), 0, 10) is None


# What was said


def test_each_message_is_said_once_and_nothing_the_harness_slipped_in(file):
    path = write(
        file,
        meta(),
        sent("user", "<environment_context>secret</environment_context>"),
        sent("developer", "rules"),
        user("hello"),
        sent("user", "hello"),
        agent("hi"),
        sent("assistant", "hi"),
        user("   "),
    )

    assert [(said.role, said.text) for said in messages(path)] == [("user", "hello"), ("agent", "hi")]


def test_every_recorded_message_can_be_fetched_by_its_place(recorded):
    seen = 0
    for home in recorded.iterdir():
        for entry in walk(str(home)):
            path = str(home / entry.path)
            said = messages(path)
            for one in said:
                assert message_at(path, one.offset, one.length) == one
                seen += 1
            assert said.end == entry.size
    assert seen == 418  # as many events of these kinds as the two homes hold


def test_going_on_gives_only_what_is_new(file):
    first = messages(write(file, meta(), user("one")))
    assert [said.text for said in first] == ["one"]

    with file.open("ab") as stream:
        stream.write(user("two") + b"\n" + user("half")[:20])
    second = messages(str(file), first.end)

    assert [said.text for said in second] == ["two"]
    assert list(messages(str(file), second.end)) == []
    assert second.end == file.stat().st_size - 20


def test_compressed_files_say_the_same_at_the_same_places(file):
    plain = write(file, meta(), *(user(f"message {n} " + "x" * n) for n in range(2000)))
    expected = list(messages(plain))
    Path(f"{plain}.zst").write_bytes(zstd.compress(file.read_bytes()))
    file.unlink()

    assert list(messages(plain)) == expected
    assert list(messages(plain, expected[9].offset)) == expected[9:]
    assert message_at(plain, expected[1234].offset, expected[1234].length) == expected[1234]


def test_a_place_that_holds_no_message_any_more_gives_none(file):
    path = write(file, meta(), user("one"))
    said = next(iter(messages(path)))

    assert message_at(path, said.offset + 1, said.length) is None
    assert message_at(path, said.offset, 10**12) is None
    write(file, b"{}" * 5000)
    assert message_at(path, said.offset, said.length) is None
