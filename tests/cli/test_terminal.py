"""What a terminal is sent: a table that fits, and nothing that a transcript could command it with."""

from __future__ import annotations

import pytest
from cli_helpers import process, rollout, terminal, without_style
from rich.cells import cell_len

EVIL = "pay\x1b[2J\x1b]0;owned\x07 attention\x9b31m \u202etxt.exe\u202c \x08\x08 {[bold]not markup[/]}"
COMMANDS = "\x1b\x07\x08\x9b\u202e\u202c"
ID = "01a1fd00-0000-7000-8000-000000000001"


@pytest.fixture(autouse=True)
def indexed(home):
    """On a slow machine a first index shows its bar, which is a test of its own."""
    process("index")


def said(home, *words):
    rollout(home, ID, *words)
    process("index")


@pytest.mark.parametrize("columns", [40, 80, 140])
def test_every_line_of_the_table_fits_the_terminal(home, columns):
    shown = without_style(terminal("threads", "list", "-n", "1000", "--all", columns=columns).out)

    assert max(cell_len(line) for line in shown.splitlines()) <= columns
    assert len(shown.splitlines()) == 1 + 48


def test_wide_letters_do_not_move_the_columns(home):
    said(home, "日本語のとても長い題名 " * 10)
    shown = without_style(terminal("threads", "list", "-n", "3", columns=80).out).splitlines()
    begins = [cell_len(shown[0][: shown[0].index("TITLE")])]
    begins += [
        cell_len(line[: line.index(word)]) for line, word in zip(shown[1:3], ("日本語", "Sub-agent"), strict=True)
    ]

    assert len(set(begins)) == 1


def test_the_table_says_the_command_for_the_next_page(home):
    assert "More: holdfast threads list -n 2 --cursor " in terminal("threads", "list", "-n", "2").out


@pytest.mark.parametrize("arguments", [["threads", "list"], ["threads", "show", ID], ["threads", "rename", ID, EVIL]])
@pytest.mark.parametrize("run", [terminal, process])
def test_what_a_transcript_holds_never_commands_the_terminal(home, arguments, run):
    said(home, EVIL)
    answer = run(*arguments)
    sent = without_style(answer.out + answer.err)

    assert "attention" in sent
    assert "owned" not in sent
    assert not any(letter in sent for letter in COMMANDS)


@pytest.mark.parametrize(
    "arguments", [["threads", "show", EVIL], [EVIL], ["index", EVIL], ["threads", "list", f"--{EVIL}"]]
)
def test_nor_does_what_was_typed(home, arguments):
    assert not any(letter in without_style(terminal(*arguments).out) for letter in COMMANDS)


def test_json_on_a_terminal_keeps_everything_and_commands_nothing(home):
    said(home, EVIL)
    sent = terminal("threads", "show", ID, "--json").out

    assert "\\u001b]0;owned\\u0007" in sent
    assert not any(letter in sent for letter in COMMANDS)


def test_a_pipe_gets_no_colour_and_no_bar(home):
    answer = process("index")

    assert "\x1b" not in answer.out + answer.err
    assert answer.err == ""


def test_no_color_is_respected(home):
    shown = terminal("threads", "list", NO_COLOR="1").out

    assert "\x1b[36m" not in shown


def test_a_terminal_shows_the_last_ten_turns_and_says_how_to_see_all(home):
    said(home, *(f"question {number}" for number in range(14)))

    assert "the last 10 of 14 turns; --all shows every one" in without_style(terminal("threads", "show", ID).out)
    assert "turn 1 of 14" in without_style(terminal("threads", "show", ID, "--all").out)
    assert "turn 1 of 14" in process("threads", "show", ID).out


def test_a_long_index_shows_a_bar_on_a_terminal_and_takes_it_away_again(home):
    for number in range(1_100):
        rollout(home, f"01a1fd00-0000-7000-8000-{number:012}", "words", folder="sessions/2026/11/22")
    sent = terminal("index", "--no-search", columns=100).out

    assert "Indexing " in sent
    assert "of 1,100" in sent
    assert sent.rindex("Indexing ") < sent.rindex("\x1b[2K") < sent.index(": 1,148 threads; read 1,100 new or changed")
