"""Making a handler asks nothing of the disk, and no state of the directory reaches the host."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest

from holdfast import logs
from holdfast.logs.query import query

MADE = """
import logging, os, sys
import holdfast.logs.frames, holdfast.logs.opening, holdfast.logs.segments
holdfast.logs.frames.zstd_module()  # modules are read once, by whoever is first
touched = []
watching = False
def note(event, args):
    if watching and event.split(".")[0] in ("open", "os", "fcntl", "socket", "_thread", "shutil"):
        touched.append((event, args))
sys.addaudithook(note)
watching = True
handler = holdfast.logs.handler(sys.argv[1], level="DEBUG")
logging.getLogger().addHandler(handler)
watching = False
print(touched)
"""


def test_making_a_handler_opens_lists_makes_and_begins_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", MADE, str(tmp_path / "logs")], capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n" and os.listdir(tmp_path) == []


def missing(path):
    pass


def a_file(path):
    path.write_text("no directory")


def below_a_file(path):
    path.parent.joinpath("file").write_text("")
    path.symlink_to(path.parent / "file" / "logs")


def dangling(path):
    path.symlink_to(path.parent / "nowhere" / "deep")


def round_and_round(path):
    path.symlink_to(path)


def of_proc(path):
    path.symlink_to("/proc/self/logs")


def crowded(path):
    path.mkdir()
    for n in range(2_000):
        (path / f"foreign-{n}").touch()
    with open(path / "large.jsonl.zst", "wb") as file:
        file.truncate(30 * 2**30)


@pytest.mark.parametrize("make", [missing, a_file, below_a_file, dangling, round_and_round, of_proc, crowded])
def test_whatever_the_directory_is_the_host_never_notices(tmp_path, make, capfd):
    path = tmp_path / "logs"
    make(path)
    handler = logs.handler(path)
    for n in range(10):
        handler.handle(logging.makeLogRecord({"msg": f"line {n}", "levelno": 20}))
    handler.flush()
    handler.close()

    stats = handler.stats()
    dropped = sum(sum(levels.values()) for levels in stats.dropped.values())
    assert stats.given == stats.written + dropped == 10
    assert bool(stats.errors) is (stats.written == 0)
    assert capfd.readouterr() == ("", "")


def test_a_directory_that_is_deleted_or_replaced_meanwhile_costs_at_most_lines(tmp_path, capfd):
    path = tmp_path / "logs"
    handler = logs.handler(path)

    def say(text):
        handler.handle(logging.makeLogRecord({"msg": text, "levelno": 40}))
        handler.flush()

    say("one")
    os.rename(path, tmp_path / "away")
    say("two")
    os.rename(path, tmp_path / "away again")
    path.write_text("a file")
    say("three")
    path.unlink()
    say("four")
    handler.close()

    assert handler.stats().given == 4
    assert [record.message for record in query(str(tmp_path / "away again"), logs.LogQuery())] == ["two"]
    assert capfd.readouterr() == ("", "")
