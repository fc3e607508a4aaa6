"""``holdfast board watch``: a screen that follows the board, fits, and leaves no trace; lines where nobody looks."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios

import pytest
from cli_helpers import COMMAND, without_style
from rich.cells import cell_len

from holdfast.cli.render.board_watch import View, screen

TIMEOUT_S = 30


class Screen:
    """``board watch`` on a terminal of its own."""

    def __init__(self, columns=80):
        self.ours, theirs = pty.openpty()
        self.resize(columns, 24)
        self.before = termios.tcgetattr(theirs)
        self.kept = os.dup(theirs)  # so that the terminal stays when the command is gone
        self.child = subprocess.Popen(
            [*COMMAND, "board", "watch"], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env=os.environ | {"TERM": "xterm-256color"}, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(theirs)
        self.sent = ""

    def resize(self, columns, rows):
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def wait(self, text):
        """Wait until the terminal was sent ``text``, and forget what came before."""
        while text not in self.sent:
            ready, _, _ = select.select([self.ours], [], [], TIMEOUT_S)
            assert ready, self.sent
            self.sent += os.read(self.ours, 65536).decode("utf-8", "replace")
        self.sent = self.sent.partition(text)[2]

    def close(self):
        self.child.kill()
        self.child.wait()
        os.close(self.kept)
        os.close(self.ours)


@pytest.fixture
def watched(cli):
    cli("board", "create", "The first one")
    shown = Screen()
    shown.wait("The first one")
    yield shown
    shown.close()


def test_the_screen_follows_what_others_do(watched, cli):
    cli("board", "create", "The second one", "--assignee", "codex")
    watched.wait("The second one")
    cli("board", "claim", "2", "--by", "ann")
    watched.wait("AT WORK")
    watched.wait("ann")


@pytest.mark.parametrize(
    ("ends", "code"),
    [
        (lambda shown: os.write(shown.ours, b"q"), 0),
        (lambda shown: os.write(shown.ours, b"\x03"), 130),
        (lambda shown: shown.child.send_signal(signal.SIGTERM), 143),
    ],
    ids=["q", "ctrl-c", "term"],
)
def test_it_leaves_the_terminal_as_it_was(watched, ends, code):
    ends(watched)
    watched.wait("\x1b[?25h")  # the cursor is back
    watched.wait("\x1b[?1049l")  # the screen of its own is gone
    assert watched.child.wait(TIMEOUT_S) == code
    assert termios.tcgetattr(watched.kept) == watched.before


def test_it_is_drawn_again_when_the_terminal_changes_its_size(watched):
    watched.wait("q quits")
    watched.resize(50, 10)
    watched.child.send_signal(signal.SIGWINCH)
    watched.wait("q quits")
    watched.wait("q quits")  # drawn whole after the change
    os.write(watched.ours, b"q")
    watched.wait("\x1b[?1049l")
    assert watched.child.wait(TIMEOUT_S) == 0


def test_a_screen_that_is_suspended_gives_the_terminal_back_and_goes_on(watched):
    os.write(watched.ours, b"\x1a")
    watched.wait("\x1b[?1049l")
    pid, status = os.waitpid(watched.child.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), (pid, status)
    assert termios.tcgetattr(watched.kept) == watched.before
    watched.child.send_signal(signal.SIGCONT)
    watched.wait("\x1b[?1049h")
    watched.wait("The first one")


@pytest.mark.parametrize("as_json", [False, True])
def test_a_pipe_gets_events_as_they_come(cli, as_json):
    cli("board", "create", "The first one")
    words = [*COMMAND, "board", "watch", *(["--json"] if as_json else [])]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        lines = [child.stdout.readline()]
        cli("board", "block", "1", "no key")
        lines.append(child.stdout.readline())
        child.send_signal(signal.SIGINT)
        rest, complained = child.communicate(timeout=TIMEOUT_S)
    assert (child.returncode, rest, complained) == (130, "", "")
    if as_json:
        events = [json.loads(line) for line in lines]
        assert [(event["kind"], event["title"]) for event in events] == [
            ("created", "The first one"), ("blocked", "The first one"),
        ]  # fmt: skip
    else:
        assert [line.split("\t")[1:3] for line in lines] == [["1", "created"], ["1", "blocked"]]
        assert "no key" in lines[1]


def test_a_board_that_there_is_not_is_named(cli):
    cli("board", "create", "x")
    assert cli("board", "watch", "--board", "nowhere").code == 1


@pytest.mark.parametrize("width", [20, 60, 80, 160])
@pytest.mark.parametrize("height", [3, 10, 24, 60])
def test_every_line_fits_whatever_the_size(cli, width, height, state_dir):
    import holdfast
    from holdfast import board

    for number in range(4):
        cli("board", "create", f"日本語の題名 {number} " * 8, "--assignee", "an assignee with a name")
    cli("board", "claim", "1", "--by", "ann " * 20)
    cli("board", "block", "2", "because " * 30)
    with holdfast.peek([], state_dir=state_dir) as state, state.read() as tx:
        columns = {
            "READY": board.listing(tx, "default", status="ready").tasks,
            "BLOCKED": board.listing(tx, "default", status="blocked").tasks,
        }
        running = board.listing(tx, "default", status="running").tasks
        view = View("default", tx.now_ms, {"ready": 2, "blocked": 1}, columns, running,
                    board.recent(tx, "default"), {1: "x"}, "nobody dispatches")  # fmt: skip
    lines = without_style(screen(view, width, height).plain).split("\n")
    assert len(lines) <= height
    assert max(map(cell_len, lines)) <= width
    if height >= 24:
        assert {"AT WORK", "HAPPENED"} <= {line.strip() for line in lines}
