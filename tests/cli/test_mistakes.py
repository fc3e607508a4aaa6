"""Mistakes and broken surroundings: one sentence, what to do, an exit code; never a traceback."""

from __future__ import annotations

import json
import subprocess

import pytest
from cli_helpers import COMMAND, process


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["threads", "lst"], "there is no command 'lst'; did you mean 'list'?"),
        (["frob"], "there is no command 'frob'; there are index, threads, "),
        (["threads", "list", "--frob"], "no such option"),
        (["threads", "list", "--limit", "many"], "invalid value"),
        (["threads", "list", "--limit", "0"], "limit is 0, it must be 1 to 1000"),
        (["threads", "list", "--sort", "colour"], "invalid value"),
        (["threads", "list", "--cursor", "abc"], "'abc' is no cursor"),
        (["threads", "list", "--archived", "--all"], "--archived and --all exclude each other"),
        (["threads", "show"], "name one thread, or a file with --from-file"),
        (["threads", "rename", "x"], "missing argument 'NAME'"),
        (["threads", "search"], "missing argument"),
        (["index", "/nowhere/at/all"], "there is no home at /nowhere/at/all"),
    ],
)
def test_a_mistake_is_answered_with_one_sentence_and_64(cli, home, arguments, said):
    answer = cli(*arguments)

    assert (answer.code, answer.out) == (64, "")
    assert answer.err.startswith("holdfast: ")
    assert said in answer.err
    assert len(answer.err.splitlines()) <= 2


def test_with_json_an_error_is_one_line_of_json_on_stderr(cli, home):
    for arguments in (["--json", "threads", "list", "--frob"], ["threads", "show", "nothing", "--json"]):
        answer = cli(*arguments)
        (line,) = answer.err.splitlines()
        assert set(json.loads(line)["error"]) == {"kind", "message", "remedy"}
        assert answer.out == ""


def test_a_cursor_of_another_list_is_refused(cli, home):
    cursor = cli("threads", "list", "-n", "1", "--json").json["next_cursor"]

    assert cli("threads", "list", "-n", "1", "--asc", "--cursor", cursor).code == 64


def test_a_state_directory_inside_the_home_is_refused_and_not_made(cli, home, untouched):
    answer = cli("--state", home / "inside", "threads", "list")

    assert answer.code == 64
    assert "would lie inside the home" in answer.err


def test_a_state_directory_that_cannot_be_made_is_named(cli, home):
    answer = cli("--state", "/proc/none", "threads", "list")

    assert answer.code == 69
    assert "/proc/none cannot be made" in answer.err


def test_whoever_stops_reading_ends_the_command_quietly(home):
    done = subprocess.run(
        [
            "bash",
            "-c",
            '"$@" | head -1; exit ${PIPESTATUS[0]}',
            "-",
            *COMMAND,
            "threads",
            "show",
            "--full",
            "01a1fa08-1a40",
        ],
        capture_output=True,
        text=True,
    )

    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""
    assert done.returncode in (0, 141)


def test_a_reader_that_is_gone_before_the_first_line_is_no_error(home):
    done = subprocess.run(
        ["bash", "-c", '"$@" | true; exit ${PIPESTATUS[0]}', "-", *COMMAND, "threads", "list", "-n", "1000"],
        capture_output=True,
        text=True,
    )

    assert done.stderr == ""
    assert done.returncode in (0, 141)


def test_a_full_disk_behind_stdout_is_told(home):
    with open("/dev/full", "w") as full:
        done = subprocess.run([*COMMAND, "threads", "list"], stdout=full, stderr=subprocess.PIPE, text=True)

    assert done.returncode == 74
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_closed_stdout_is_no_traceback(home):
    done = subprocess.run(["bash", "-c", '"$@" >&-', "-", *COMMAND, "threads", "list"], capture_output=True, text=True)

    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_stdout_that_knows_few_letters_gets_the_rest_replaced(home, encoding):
    plain = process("threads", "list", "-n", "1000", "--all", PYTHONIOENCODING=encoding)
    as_json = process("threads", "list", "-n", "1000", "--all", "--json", PYTHONIOENCODING=encoding)
    whole = process("threads", "list", "-n", "1000", "--all", "--json")

    assert (plain.code, len(plain.lines)) == (0, 48)
    assert as_json.out.isascii()
    assert as_json.json == whole.json


def test_the_version_is_printed(cli):
    assert cli("--version").out.startswith("holdfast 0.")


@pytest.mark.parametrize("arguments", [[], ["threads"], ["threads", "list"], ["index"], ["holds"]])
def test_help_teaches_by_example(cli, arguments):
    answer = cli(*arguments, "--help")

    assert answer.code == 0
    assert answer.out.count("  holdfast ") >= 2


def test_words_that_are_no_text_are_a_mistake_not_a_bug(home):
    assert process("threads", "list", "--search", b"\xff").code == 64
    assert process("threads", "find", b"\xff").code in (1, 64)


def without_room(*arguments):
    """Run the command where no file may grow beyond 1 KiB, as on a full disk."""
    limited = ["bash", "-c", 'ulimit -f 1; exec "$@"', "-", *COMMAND, *arguments]
    done = subprocess.run(limited, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_on_a_full_disk_what_is_indexed_is_still_shown(cli, home):
    there = cli("threads", "list", "--json").json["threads"]

    code, out, err = without_room("threads", "list", "--json")
    assert (code, json.loads(out)["threads"]) == (0, there)
    assert "Only looked, nothing was indexed" in err
    for words in (["show", there[0]["id"]], ["find", there[0]["id"]], ["children", there[0]["id"]], ["search", "the"]):
        assert without_room("threads", *words)[0] == 0, words
    assert without_room("status")[0] == 0

    for words in (["rename", there[0]["id"], "name"], ["list", "--refresh"]):
        code, out, err = without_room("threads", *words)
        assert (code, out) == (75, "")
        assert "Make room" in err
    assert "Only looked" not in cli("threads", "list").err


def test_an_empty_word_names_no_thread(cli, home):
    id = cli("threads", "list", "--json").json["threads"][0]["id"]
    cli("threads", "rename", id, "a name")
    cli("threads", "rename", id, "")

    for verb in (["find"], ["show"], ["delete", "--yes"], ["archive"]):
        assert cli("threads", *verb, "").code == 1
