"""Whatever becomes of the log's directory: the host never notices, what was lost is counted, and it resumes."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from contextlib import contextmanager, suppress

import pytest
from incident_helpers import CAP, Host, taken

from holdfast.logs import LogQuery
from holdfast.logs.pump import TARGET
from holdfast.logs.query import query

LOCK = """
import fcntl
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
fcntl.flock(fd, fcntl.LOCK_EX)
say("locked")
hear()
"""


@contextmanager
def locked(host, start):
    """By a process that is stopped in the middle of making room."""
    other = start(LOCK, host.directory / "lock")
    assert other.line() == "locked"
    other.stop()
    yield
    other.kill()


@contextmanager
def full(host, start):
    """The disk is full to the last block; where none may be mounted, the system refuses to make a file longer."""
    filler = host.directory.parent / "filler"
    if not os.path.ismount(host.directory.parent):
        with limited(host, start):
            yield
        return
    with open(filler, "wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4_096))
    yield
    filler.unlink()


@contextmanager
def limited(host, _start):
    """RLIMIT_FSIZE: each write beyond 16 KiB fails."""
    before = resource.prlimit(host.child.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(host.child.pid, resource.RLIMIT_FSIZE, (16_384, before[1]))
    yield
    resource.prlimit(host.child.pid, resource.RLIMIT_FSIZE, before)


@contextmanager
def read_only(host, _start):
    host.directory.chmod(0o500)
    yield
    host.directory.chmod(0o700)


@contextmanager
def a_file(host, _start):
    away = host.directory.parent / "away"
    host.directory.rename(away)
    host.directory.write_text("no directory")
    yield
    host.directory.unlink()
    away.rename(host.directory)


@contextmanager
def dangling(host, _start):
    away = host.directory.parent / "away"
    host.directory.rename(away)
    host.directory.symlink_to(host.directory.parent / "nowhere" / "deep")
    yield
    host.directory.unlink()
    away.rename(host.directory)


@pytest.fixture
def disk(tmp_path):
    """A small disk of its own, if one may be mounted; otherwise a folder."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = not subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", place], capture_output=True, check=False
    ).returncode
    yield place
    if mounted:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.fixture
def nobody(tmp_path, tmp_path_factory):
    """The number of a user who may be kept out of a directory, as root may not; 0 for ourselves."""
    if os.geteuid() != 0:
        return 0
    for folder in [tmp_path, *tmp_path.parents[:-1]]:
        if folder.stat().st_uid == 0 and not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    return 65_534


TROUBLES = [
    *((trouble, when) for trouble in (locked, limited, read_only, a_file, dangling) for when in ("first", "meanwhile")),
    (full, "first"),
]


@pytest.mark.parametrize(("trouble", "when"), TROUBLES)
def test_what_is_lost_to_a_trouble_is_counted_and_when_it_ends_logging_resumes(start, disk, nobody, trouble, when):
    directory = disk / "logs"
    directory.mkdir()
    user = 0
    if trouble is read_only and nobody:
        user = nobody
        os.chown(directory, user, user)
        disk.chmod(0o711)
    host = Host(start, directory, user=user)
    before = 0
    if when == "meanwhile":
        before = host.does("lines")["written"]
        assert before == 500
    with trouble(host, start):
        during = host.does("lines")
        assert during["dropped"] > 0 and during["errors"], during
        assert taken(directory) <= CAP
    after = host.does("until kept")
    assert after["written"] > during["written"] >= before
    end = host.does("end")

    found = query(directory, LogQuery())
    kept = [record for record in found if record.target != TARGET]
    assert len(kept) == end["written"]
    assert sum(sum((record.dropped or {}).values()) for record in found) == end["dropped"]
    assert [int(record.message.split()[1]) for record in kept] == sorted(int(r.message.split()[1]) for r in kept)
    assert taken(directory) <= CAP


def test_on_a_disk_that_became_full_the_log_makes_do_with_what_it_has(start, disk):
    directory = disk / "logs"
    host = Host(start, directory)
    host.does("lines")
    before = taken(directory)
    with full(host, start):
        during = [host.does("lines") for _ in range(4)][-1]
        if os.path.ismount(disk):
            assert (during["written"], during["dropped"]) == (2_500, 0)
            assert taken(directory) <= before
    assert host.does("until kept")["written"] > during["written"]
    host.does("end")
    newest = [int(record.message.split()[1]) for record in query(directory, LogQuery(newest_first=True, limit=100))]
    assert newest == sorted(newest, reverse=True) and len(newest) == 100


def test_no_descriptor_to_be_had_is_counted_and_it_resumes(start, tmp_path):
    host = Host(start, tmp_path / "logs")
    assert host.does("no descriptors")["dropped"] == 500
    assert host.does("until kept")["written"] > 0
    assert len(query(tmp_path / "logs", LogQuery())) == host.does("end")["written"] + 1


def test_a_directory_that_is_deleted_while_it_is_written_begins_anew(start, tmp_path):
    directory = tmp_path / "logs"
    host = Host(start, directory)
    for _ in range(3):
        host.does("lines")
        shutil.rmtree(directory)
    assert host.does("until kept")["written"] > 0
    end = host.does("end")
    assert 0 < len(query(directory, LogQuery())) <= end["written"] + 1
