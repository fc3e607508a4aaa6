from __future__ import annotations

import io
import json
import tarfile
from functools import cache
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import ids
from holdfast.rollouts.blocks import fold_block
from holdfast.rollouts.dialects.codex import parse
from holdfast.rollouts.facts import ThreadFacts
from holdfast.rollouts.fold import fold, inherit, without_prefix
from holdfast.rollouts.lines import split

FIXTURES = Path(__file__).parent.parent / "fixtures"
ID = "01a1fa08-1a40-7dd2-ac5c-7d4be4ce5348"
OTHER = "01a1fa08-1b0f-7521-bbfc-b63efb3a9c41"
PLAIN_V4 = "5c94dcb7-cb17-4d15-a8d1-e4c31d98ef9a"
STAMP = "2026-11-20T17:36:14.869Z"
STAMP_MS = 1795196174869


def line(kind: str, payload: object, **outside: object) -> bytes:
    return json.dumps({"timestamp": STAMP, **outside, "type": kind, "payload": payload}).encode()


def meta(id: str = ID, **fields: object) -> bytes:
    return line("session_meta", {"id": id, **fields})


def event(kind: str, *, at: str = STAMP, ordinal: int | None = None, **fields: object) -> bytes:
    return line("event_msg", {"type": kind, **fields}, timestamp=at, ordinal=ordinal)


def said(text: str, **fields: object) -> bytes:
    return event("user_message", message=text, **fields)


def folded(*lines: bytes) -> ThreadFacts:
    facts = ThreadFacts()
    at = 0
    for each in lines:
        facts = fold(facts, parse(each), at=at)
        at += len(each) + 1
    return facts


def line_by_line(block: bytes, facts: ThreadFacts | None = None, begin: int = 0) -> ThreadFacts:
    facts = facts or ThreadFacts()
    for each, end in split(block, begin):
        if each.strip():
            facts = fold(facts, parse(each), at=end - len(each) - 1)
    return facts


@cache
def recorded() -> list[list[bytes]]:
    """The lines of every recorded rollout, both history modes."""
    files = []
    for version in ("0.141", "0.169"):
        with tarfile.open(FIXTURES / f"codex-home-{version}.tar.gz") as tar:
            for member in tar:
                if member.name.endswith(".jsonl") and "rollout-" in member.name:
                    content = tar.extractfile(member)
                    assert isinstance(content, io.BufferedReader | tarfile.ExFileObject)
                    files.append(content.read().splitlines())
    return files


# One line, one way of breaking it: by hand, because these are what disks and writers do.
DAMAGE = {
    "whole": lambda raw: raw,
    "torn": lambda raw: raw[: len(raw) // 2],
    "bad byte": lambda raw: raw.replace(b"e", b"\xff", 1),
    "bad byte late": lambda raw: raw[:-9] + b"\xc3" + raw[-9:],
    "nul before": lambda raw: b"\0" * 7 + raw,
    "nul inside": lambda raw: raw[:30] + b"\0" + raw[30:],
    "crlf": lambda raw: raw + b"\r",
    "blank": lambda raw: b" ",
    "two in one": lambda raw: raw + raw,
    "cut in two": lambda raw: raw.replace(b",", b",\n", 1),
    "no time": lambda raw: raw.replace(b'"timestamp"', b'"t"', 1),
    "bad time": lambda raw: raw.replace(b"2026-", b"20x6-", 1),
    "bad number": lambda raw: raw.replace(b'"ordinal":', b'"ordinal":-', 1),
    "no type": lambda raw: raw.replace(b'"type"', b'"tipe"', 1),
    "lone surrogate": lambda raw: raw.replace(b"o", rb"\ud800", 1),
    "no payload": lambda raw: raw.replace(b'"payload"', b'"load"', 1),
    "odd payload": lambda raw: raw[: raw.index(b'"payload"')] + b'"payload":[1]}',
    "spaced": lambda raw: raw.replace(b'":', b'" : '),
}


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    source = recorded()
    lines: list[bytes] = []
    for _ in range(draw(st.integers(1, 2))):
        one = source[draw(st.integers(0, len(source) - 1))]
        start = draw(st.integers(0, min(3, len(one) - 1)))
        lines += one[start : start + draw(st.integers(1, 25))]
    if draw(st.booleans()):
        lines = draw(st.permutations(lines))
    for n in draw(st.lists(st.integers(0, len(lines) - 1), max_size=4)):
        if b"payload" in lines[n]:
            lines[n] = DAMAGE[draw(st.sampled_from(sorted(DAMAGE)))](lines[n])
    return lines


@settings(max_examples=150, deadline=None)
@given(streams(), st.data())
def test_live_incremental_and_full_reading_agree(lines, data):
    stream = b"".join(each + b"\n" for each in lines)

    live = line_by_line(stream)
    full = ThreadFacts()
    fold_block(full, stream)
    boundaries = [0, *(end for _, end in split(stream))]
    middle = sorted(data.draw(st.lists(st.sampled_from(boundaries), max_size=3)))
    incremental = ThreadFacts()
    for begin, end in zip([0, *middle], [*middle, len(stream)], strict=True):
        fold_block(incremental, stream[begin:end], begin)
        incremental = msgspec.msgpack.decode(msgspec.msgpack.encode(incremental), type=ThreadFacts)

    assert full == live
    assert incremental == live


def test_every_recorded_file_folds_the_same_line_by_line():
    for lines in recorded():
        block = b"".join(each + b"\n" for each in lines)
        at_once = ThreadFacts()
        fold_block(at_once, block)
        assert at_once == line_by_line(block)
        assert at_once.lines == len(lines)
        assert (at_once.lines_unread, at_once.lines_repaired, at_once.kinds_unknown) == (0, 0, [])


def test_folding_leaves_the_value_it_was_given_alone():
    before = folded(meta(), line("hologram", {}))
    kept = msgspec.msgpack.encode(before)

    fold(before, parse(line("another", {})))

    assert msgspec.msgpack.encode(before) == kept


# Who it is


def test_a_thread_was_created_when_its_meta_says_else_when_its_id_was_made():
    assert folded(meta(timestamp="2026-01-02T03-04-05")).created_ms == 1767323045000
    assert folded(meta(timestamp="at dawn")).created_ms == ids.created_ms(ids.parse(ID) or b"")
    assert folded(meta(PLAIN_V4)).created_ms == 0


def test_a_later_meta_of_the_same_thread_wins_where_it_says_something():
    git = {"commit_hash": "abc", "branch": "main", "repository_url": "u"}
    first = meta(cwd="/a", cli_version="1", model_provider="p", agent_role="r", git=git, memory_mode="disabled")

    facts = folded(first, meta(cwd="", cli_version="2", memory_mode="polluted", history_mode="paginated"))

    assert (facts.cwd, facts.cli_version, facts.model_provider) == ("/a", "2", "p")
    assert facts.agent_role is None
    assert (facts.git_sha, facts.git_branch, facts.git_origin_url) == ("abc", "main", "u")
    assert facts.memory_mode == "polluted"
    assert facts.history_mode == "legacy"
    assert facts.metas == 2


def test_git_is_replaced_as_a_whole():
    facts = folded(meta(git={"commit_hash": "a", "branch": "b"}), meta(git={"branch": "c"}))

    assert (facts.git_sha, facts.git_branch) == (None, "c")


def test_the_meta_of_another_thread_says_nothing_of_this_one():
    facts = folded(meta(cwd="/mine"), meta(OTHER, cwd="/theirs", memory_mode="disabled", source="cli"))

    assert facts.thread_id == ids.parse(ID)
    assert (facts.cwd, facts.memory_mode, facts.source) == ("/mine", "enabled", "vscode")
    assert (facts.metas, facts.metas_other) == (1, 1)


def test_lines_before_the_meta_are_counted_and_kept():
    facts = folded(said("early"), meta())

    assert (facts.thread_id, facts.title, facts.lines_before_meta) == (ids.parse(ID), "early", 1)


# What it runs with


def test_the_last_turn_says_what_a_thread_runs_with():
    turn = {"cwd": "/turn", "model": "m1", "effort": "high", "approval_policy": "on-failure"}
    later = {
        "cwd": "/later",
        "model": "m2",
        "permission_profile": {"type": "disabled"},
        "sandbox_policy": {"type": "x"},
    }

    facts = folded(meta(cwd="/meta"), line("turn_context", turn), line("turn_context", later))

    assert (facts.cwd, facts.model, facts.reasoning_effort) == ("/meta", "m2", None)
    assert (facts.sandbox_policy, facts.approval_mode) == ('{"type":"disabled"}', "on-request")


def test_a_turn_fills_a_working_directory_that_is_missing():
    assert folded(meta(), line("turn_context", {"cwd": "/turn"})).cwd == "/turn"


def test_settings_that_were_applied_move_the_working_directory():
    settings = {"cwd": "/new", "model": "m", "model_provider_id": "p", "reasoning_effort": "low"}

    facts = folded(meta(cwd="/old"), event("thread_settings_applied", thread_settings=settings))

    assert (facts.cwd, facts.model, facts.model_provider, facts.reasoning_effort) == ("/new", "m", "p", "low")


def test_the_last_count_of_tokens_counts():
    def tokens(total: object) -> bytes:
        return event("token_count", info={"total_token_usage": {"total_tokens": total}})

    assert folded(meta(), tokens(5), tokens(9), event("token_count", info=None)).tokens_used == 9
    assert folded(meta(), tokens(9), tokens(-4)).tokens_used == 0


def test_a_thread_is_recent_since_its_last_turn_started():
    late = "2026-11-20T18:00:00.000Z"
    started = folded(meta(timestamp=STAMP), event("task_started"), event("task_started", at=late))

    assert (started.recency_ms, started.turns) == (ms_of(late), 2)
    assert folded(meta(timestamp=STAMP), said("hi", at=late)).recency_ms == STAMP_MS
    assert folded(event("task_started", at=late), meta(timestamp=STAMP)).recency_ms == ms_of(late)


def test_a_thread_was_updated_when_its_last_readable_line_was_written():
    facts = folded(meta(), said("a", at="2026-11-20T18:00:00Z"), b"torn", event("x", at="no time"))

    assert facts.updated_ms == ms_of("2026-11-20T18:00:00Z")


# What it is called


def test_the_first_words_of_the_user_are_title_and_preview():
    facts = folded(meta(), said("  ", ordinal=1), said(" one ", ordinal=2), said("two", ordinal=3))

    assert (facts.title, facts.preview, facts.first_user_message) == ("one", "one", "one")
    assert facts.first_user_ordinal == 2


def test_an_image_alone_is_shown_but_makes_no_title():
    facts = folded(meta(), said("", images=["data:"]), said("what is it?"))

    assert (facts.preview, facts.first_user_message, facts.title) == ("[Image]", "[Image]", "what is it?")
    assert folded(meta(), said("", local_audio=["/a"])).preview == "[Audio]"


def test_a_goal_is_a_preview_and_no_title():
    goal = event("thread_goal_updated", goal={"objective": " ship it "})

    facts = folded(meta(), goal, said("start"))

    assert (facts.preview, facts.first_user_message, facts.title) == ("ship it", "start", "start")


def test_what_the_model_was_sent_names_nothing():
    sent = line("response_item", {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]})

    assert folded(meta(), sent).title == ""


def test_long_words_are_cut_between_characters():
    facts = folded(meta(), said("漢" * 9000))

    assert (facts.title, facts.preview) == ("漢" * 512, "漢" * 4096)
    assert facts.first_user_message == facts.preview


def test_a_sub_agent_is_named_by_its_own_words_not_by_those_it_was_given_to_read():
    facts = folded(meta(subagent_history_start_ordinal=5), said("parent", ordinal=3), said("mine", ordinal=6))

    assert (facts.title, facts.preview) == ("mine", "mine")


def test_the_last_name_that_is_one_counts():
    facts = folded(meta(), *(event("thread_name_updated", thread_name=name) for name in ("a", " b ", "  ")))

    assert facts.name == "b"


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (
            "# Context from my IDE setup:\n\n## Open tabs:\n- a.py\n\n## My request for Codex:\nfix it\n",
            "fix it",
        ),
        ("## My request for Codex: fix it", "fix it"),
        ("# Files:\n## My request for Codex:\n", ""),
        (
            "why does it print\n## My request for Codex:\nthere?",
            "why does it print\n## My request for Codex:\nthere?",
        ),
        ("see `## My request for Codex:` in the log", "see `## My request for Codex:` in the log"),
        ("  plain  ", "plain"),
    ],
)
def test_only_a_prefix_of_the_editor_is_cut_off(written, kept):
    assert without_prefix(written) == kept


# Forks that continue another file


def fork(**fields: object) -> ThreadFacts:
    return folded(meta(OTHER, history_base={"thread_id": ID, "end_ordinal_exclusive": 10}, **fields), said("mine"))


def test_a_fork_is_listed_by_the_words_its_thread_began_with():
    heir = inherit(fork(), folded(meta(), said("first", ordinal=4)))

    assert (heir.preview, heir.title, heir.first_user_message) == ("first", "mine", "mine")


def test_a_fork_of_a_fork_inherits_through_both():
    third = folded(meta(PLAIN_V4, history_base={"thread_id": OTHER, "end_ordinal_exclusive": 20}))
    heir = inherit(fork(), folded(meta(), said("first", ordinal=4)))

    assert inherit(third, heir).preview == "first"


def test_words_behind_the_point_of_the_fork_are_not_inherited():
    assert inherit(fork(), folded(meta(), said("late", ordinal=10))).preview == "mine"
    assert inherit(fork(), folded(meta(PLAIN_V4), said("stranger", ordinal=1))).preview == "mine"


# What could not be read


def test_unread_lines_are_counted_and_the_first_is_named():
    facts = folded(meta(), b"torn", b"torn again")

    assert (facts.lines, facts.lines_unread) == (1, 2)
    assert facts.unread_at == len(meta()) + 1
    assert facts.unread_why


def test_unknown_kinds_are_named_up_to_a_limit():
    facts = folded(*(line(f"kind{n}", {}) for n in range(100)))

    assert facts.kinds_unknown == [f"kind{n}" for n in range(8)]


def ms_of(stamp: str) -> int:
    found = parse(line("x", {}, timestamp=stamp)).timestamp_ms
    assert found is not None
    return found
