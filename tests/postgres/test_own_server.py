"""The server of a test run ends with it, however that ends."""

from __future__ import annotations

import os
import select
import tempfile
from pathlib import Path

import pytest

from processes import children
from servers import remove_left

STARTS = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from servers import Server
server = Server()
say(server.folder)
say(server.watchdog.pid)
hear()
"""


@pytest.fixture
def started():
    """A process that started a server, the server's folder and pid, and the watchdog."""
    with children("") as start:
        child = start(STARTS)
        folder, watchdog = Path(child.line()), int(child.line())
        postmaster = int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])
        yield child, folder, postmaster, watchdog


def ended(pid, *, kill=False):
    """Return True when the process ends, within 30 s."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    if kill:
        os.kill(pid, 9)
    try:
        return bool(select.select([handle], [], [], 30)[0])
    finally:
        os.close(handle)


def test_a_server_ends_with_the_process_that_started_it_also_when_that_is_killed(started):
    child, folder, postmaster, watchdog = started
    child.kill()
    assert ended(watchdog)
    assert not folder.exists()
    assert ended(postmaster)


def test_what_was_left_when_both_were_killed_goes_with_the_next_one(started):
    child, folder, postmaster, watchdog = started
    assert ended(watchdog, kill=True)
    remove_left()
    assert folder.exists()  # of a process that lives
    child.kill()
    remove_left()
    assert not folder.exists()
    assert ended(postmaster)
    assert folder.parent == Path(tempfile.gettempdir())
