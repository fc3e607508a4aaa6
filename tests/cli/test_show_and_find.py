"""`holdfast threads show` and `find`: by id, name or title, from the index or from a lone file."""

from __future__ import annotations

import os
import sys

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from cli_helpers import process, rollout, terminal, without_style

THREAD = "01a1fa0b-589d-7420-a3a3-86c4f7ca642c"
TITLE = "Delegate the work to two sub-agents @plan:spawn"


def test_a_conversation_is_printed_turn_by_turn(cli, home):
    out = cli("threads", "show", THREAD).out

    assert out.startswith(TITLE + "\n")
    assert "── turn 1 of 1 · 2026-11-20 17:40:10 · completed in " in out
    assert f"you:\n    {TITLE}\n" in out
    assert '\nspawn_agent: {"message": "Sub-agent task 0: list the files @plan:shell"}\n' in out
    assert "\nagent:\n    " in out


def test_a_thread_is_meant_by_id_prefix_or_title_alike(cli, home):
    shown = {cli("threads", "show", text).out for text in (THREAD, THREAD.upper(), THREAD[:13], TITLE)}

    assert len(shown) == 1


def test_only_the_last_turns_are_shown_when_asked(cli, home):
    rollout(home, "01a1fd00-0000-7000-8000-000000000001", "one", "two", "three")
    out = cli("threads", "show", "01a1fd00", "--turns", "2").out

    assert "the last 2 of 3 turns" in out
    assert "turn 2 of 3" in out
    assert "    two\n" in out
    assert "    one\n" not in out
    assert len(cli("threads", "show", "01a1fd00", "--turns", "2", "--json").json["turns"]) == 2


def test_what_a_tool_answered_is_cut_unless_all_is_asked_for(cli, home):
    short = cli("threads", "show", "Print a lot of numbers @plan:big").out
    full = cli("threads", "show", "Print a lot of numbers @plan:big", "--full").out

    assert "--full shows them" in short
    assert "--full shows them" not in full
    assert len(full) > len(short)


def test_json_carries_the_thread_and_every_entry_with_its_type(cli, home):
    shown = cli("threads", "show", THREAD, "--json").json
    entries = [entry for turn in shown["turns"] for entry in turn["entries"]]

    assert shown["thread"]["id"] == THREAD
    assert shown["problems"] == []
    assert {entry["type"] for entry in entries} == {"words", "thought", "tool"}
    assert entries[0]["text"] == TITLE


def test_a_lone_file_is_shown_and_no_state_is_made(cli, home, state_dir, untouched):
    file = cli("threads", "find", THREAD, "--state", state_dir.parent / "elsewhere").out.rstrip("\n")
    answer = cli("threads", "show", "--from-file", file)

    assert answer.out.startswith(TITLE + "\n")
    assert not state_dir.exists()


def test_a_lone_file_outside_of_any_home_is_shown_too(cli, home, tmp_path):
    source = rollout(home, "01a1fd00-0000-7000-8000-000000000001", "hello there")
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(source.read_bytes())
    shown = cli("threads", "show", "--from-file", copy, "--json").json

    assert shown["thread"]["id"] == "01a1fd00-0000-7000-8000-000000000001"
    assert shown["turns"][0]["entries"][0]["text"] == "hello there"


def test_a_file_that_is_no_rollout_is_refused_with_the_reason(cli, home, tmp_path):
    empty = tmp_path / "empty.jsonl"
    empty.touch()

    assert (
        cli("threads", "show", "--from-file", empty).code,
        cli("threads", "show", "--from-file", tmp_path).code,
    ) == (65, 65)
    assert "it is empty" in cli("threads", "show", "--from-file", empty).err
    assert cli("threads", "show", "--from-file", tmp_path / "none.jsonl").code == 1


def test_find_prints_a_path_that_works(cli, home):
    path = cli("threads", "find", TITLE).out.rstrip("\n")

    assert os.path.isfile(path)
    assert THREAD in path


def test_find_prints_the_bytes_of_a_path_even_those_a_terminal_would_obey(home, tmp_path):
    strange = tmp_path / "h\x1bme"
    os.rename(home, strange)
    found = process("threads", "find", THREAD, CODEX_HOME=str(strange))

    assert os.path.isfile(found.out.rstrip("\n"))
    assert "\x1b" not in without_style(terminal("threads", "find", THREAD, CODEX_HOME=str(strange)).out)


def test_a_home_whose_name_is_no_text_is_refused_with_a_sentence(home, tmp_path):
    strange = os.fsdecode(os.fsencode(tmp_path) + b"/h\xffme")
    os.rename(home, strange)

    assert process("threads", "find", THREAD, CODEX_HOME=strange).code == 69


def test_find_says_what_was_wrong_with_the_index_and_gives_the_right_file(cli, home):
    file = cli("threads", "find", THREAD).out.rstrip("\n")
    moved = home / "archived_sessions" / os.path.basename(file)
    os.rename(file, moved)
    answer = cli("threads", "find", THREAD, "--json", "--home", home).json

    assert answer["file"] == str(moved)
    assert answer["verified"] is True


def test_find_can_be_limited_to_archived_or_to_active_threads(cli, home):
    assert cli("threads", "find", THREAD, "--active").code == 0
    assert cli("threads", "find", THREAD, "--archived").code == 1


def test_a_thread_that_is_nowhere_is_exit_code_1_with_a_hint(cli, home):
    answer = cli("threads", "show", "nothing of the kind")

    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("holdfast: there is no thread with the id, name or title 'nothing of the kind'\n")


def test_an_ambiguous_beginning_names_the_candidates(cli, home):
    answer = cli("threads", "find", "01a1fa")

    assert answer.code == 64
    assert "begins several thread ids" in answer.err


def test_a_thread_whose_file_is_gone_is_named_as_such(cli, home):
    file = rollout(home, "01a1fd00-0000-7000-8000-000000000001", "short lived")
    cli("index")
    file.unlink()
    for command in ("show", "find"):
        answer = cli("threads", command, "01a1fd00")
        assert answer.code == 1
        assert f"(short lived) is gone: {file}" in answer.err
    assert len(cli("threads", "list", "--missing", "--search", "short lived").lines) == 1
    assert cli("threads", "list", "--search", "short lived").lines == []


def test_a_conversation_that_cannot_be_read_is_not_said_to_be_silent(home):
    found = process("threads", "find", "01a1fa08-1a40").out.strip()
    with open(found, "wb") as file:
        file.write(b"no line of a rollout\n" * 3)

    answer = process("threads", "show", "01a1fa08-1a40")

    assert "no turns: none could be read" in answer.out
    assert "not shown: " in answer.out


def test_a_compressed_lone_file_is_shown(cli, home, tmp_path):
    source = rollout(home, "01a1fd00-0000-7000-8000-000000000001", "squeezed")
    packed = tmp_path / f"{source.name}.zst"
    packed.write_bytes(zstd.compress(source.read_bytes()))

    assert "    squeezed\n" in cli("threads", "show", "--from-file", packed).out
