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


EARLY = """
import logging, os, sys, threading
from holdfast import logs
handler = logs.handler(sys.argv[1])
assert handler.stats().given == 0
"""

IMPORTED = """
pause = threading.Event()
while True:
    found = [sys.modules.get(name) for name in ("holdfast.logs.segments", "backports.zstd", "compression.zstd")]
    if sum(module is not None and not module.__spec__._initializing for module in found) == 2:
        break
    pause.wait(0.01)
print(os.listdir(os.path.dirname(sys.argv[1])), handler._pump._seat.locked())
"""

FORKED = """
log = logging.getLogger("host")
log.addHandler(handler)
while "holdfast.logs.segments" not in sys.modules:  # it appears there before it is imported
    pass
assert sys.modules["holdfast.logs.segments"].__spec__._initializing
pid = os.fork()
log.error("in the child" if pid == 0 else "in the parent")
for _ in range(20):
    handler.flush()
if pid == 0:
    os._exit(handler.stats().written)
print(handler.stats().written, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.mark.parametrize(
    ("then", "said"), [(IMPORTED, "[] False\n"), (FORKED, "1 1\n")], ids=["no record needed", "and a fork meanwhile"]
)
def test_what_writing_imports_is_imported_as_soon_as_a_handler_is_made(tmp_path, then, said):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", EARLY + then, str(tmp_path / "logs")],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert (done.stdout, done.stderr) == (said, "")


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
