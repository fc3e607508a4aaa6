"""What is taken from a model's answer, and what is not."""

from __future__ import annotations

import json

import pytest

from holdfast.errors import Busy
from holdfast.memory import rules
from holdfast.memory.model import Memory

GOOD = {"raw_memory": "raw", "rollout_summary": "summary", "rollout_slug": "fix_it"}
FILES = [{"path": "MEMORY.md", "text": "# M"}, {"path": "memory_summary.md", "text": "v1\nread me"}]


def answer(**changes):
    return json.dumps({**GOOD, **changes})


def merged(*more):
    return rules.merged(json.dumps({"files": [*FILES, *more]}))


def test_an_answer_is_taken_as_it_is():
    found = rules.extraction(answer())
    assert (found.raw_memory, found.memory_summary, found.slug) == ("raw", "summary", "fix_it")


@pytest.mark.parametrize("empty", [{"raw_memory": ""}, {"rollout_summary": " \n"}, {"raw_memory": "\0"}])
def test_nothing_worth_keeping_is_an_answer(empty):
    assert rules.extraction(answer(**empty)) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        f"```json\n{answer()}\n```",
        f"Here it is: {answer()}",
        f"{answer()} {answer()}",
        answer(extra="key"),
        json.dumps({"raw_memory": "raw", "rollout_summary": "summary"}),
        answer(raw_memory=None),
        answer(rollout_slug=3),
        '{"raw_memory": "\\ud800", "rollout_summary": "s", "rollout_slug": null}',
        "[" * 100_000,
    ],
)
def test_anything_else_is_not_taken(text):
    with pytest.raises(Busy, match="cannot be used"):
        rules.extraction(text)


def test_secrets_and_control_characters_are_not_kept():
    found = rules.extraction(
        answer(
            raw_memory="deploy with ghp_abcdefghijklmnopqrstuvwxyz0123\x1b[2J\0 ok",
            rollout_summary="password=hunter2secret",
            rollout_slug="token=abcdefghijkl",
        )
    )
    kept = f"{found.raw_memory}{found.memory_summary}{found.slug}"
    assert "ghp_" not in kept
    assert "hunter2" not in kept
    assert "abcdefghijkl" not in kept
    assert not set(kept) & {"\x1b", "\0"}


def test_texts_are_cut_in_bytes_and_between_characters():
    found = rules.extraction(answer(raw_memory="ü" * 300_000, rollout_summary="ü" * 9_000))
    assert len(found.raw_memory.encode()) == rules.RAW_BYTES_MAX
    assert len(found.memory_summary.encode()) == rules.SUMMARY_BYTES_MAX
    assert set(found.raw_memory) == {"ü"}


@pytest.mark.parametrize(
    ("given", "slug"),
    [
        ("Fix the Bug!", "fix_the_bug"),
        ("../../etc/passwd", "etc_passwd"),
        ("a" * 99, "a" * 60),
        ("é\0/\n", "e"),
        ("…", ""),
    ],
)
def test_a_slug_is_part_of_a_file_name_and_nothing_else(given, slug):
    assert rules.slug(given) == slug


@pytest.mark.parametrize(
    "path",
    [
        "../../x", "/etc/passwd", "MEMORY.md/../x", "./MEMORY.md", "memory.md", "skills/../SKILL.md",
        "skills/a/b/SKILL.md", "skills/A/SKILL.md", "skills//SKILL.md", "skills/a/SKILL.md\n", "skills/a\0/SKILL.md",
        "rollout_summaries/x.md", "raw_memories.md", "current", "gen-0000000000000001/MEMORY.md", "skills/a/run.sh",
        "C:\\x", "skills\\a\\SKILL.md", "",
    ],
)  # fmt: skip
def test_a_file_elsewhere_spoils_the_whole_answer(path):
    with pytest.raises(Busy, match="not one of those"):
        merged({"path": path, "text": "x"})


def test_the_files_that_may_be():
    found = merged({"path": "skills/release-it/SKILL.md", "text": "do\x07 it"})
    assert found == {"MEMORY.md": "# M", "memory_summary.md": "v1\nread me", "skills/release-it/SKILL.md": "do it"}


@pytest.mark.parametrize(
    ("files", "why"),
    [
        (FILES[1:], "no MEMORY.md"),
        (FILES[:1], "first line"),
        ([FILES[0], {"path": "memory_summary.md", "text": "v1 \nx"}], "first line"),
        ([*FILES, FILES[0]], "twice"),
        ([*FILES, {"path": "skills/a/SKILL.md", "text": "x" * 300_000}], "more than 262,144 bytes"),
        ([*FILES, *({"path": f"skills/s{n}/SKILL.md", "text": "x"} for n in range(64))], "66 files"),
    ],
)
def test_files_that_may_not_be(files, why):
    with pytest.raises(Busy, match=why):
        rules.merged(json.dumps({"files": files}))


def memory(n, raw="raw", summary="summary"):
    return Memory(
        thread_id=f"0000000{n}", home="/home", scope_kind="user", scope_key="user", raw_memory=raw,
        memory_summary=summary, slug="", updated_at_ms=n, source_at_ms=n, used_count=0, last_used_at_ms=None,
        invalidated_at_ms=None, invalid_reason=None,
    )  # fmt: skip


def test_only_the_notes_that_changed_are_shown_again():
    before = rules.inputs([memory(1), memory(2)])
    made = {"MEMORY.md": "# M", "memory_summary.md": "v1"}
    prompt = rules.merge_prompt(made, before, [memory(2), memory(3, raw="new words")], [], 100_000)
    asked = json.loads(prompt.user.rsplit("\n", 1)[0])
    assert [note["text"] for note in asked["new_notes"]] == ["new words"]
    assert asked["changes_in_the_notes"].splitlines()[:3] == [
        "M raw_memories.md", "D rollout_summaries/00000001.md", "A rollout_summaries/00000003.md",
    ]  # fmt: skip


def test_a_prompt_stays_within_its_budget():
    many = [memory(n, raw="x" * 50_000) for n in range(9)]
    prompt = rules.merge_prompt({}, {}, many, [], 60_000)
    assert 30_000 < len(prompt.user) < 66_000
