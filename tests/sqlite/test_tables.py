"""The pure parts: what a code means, what a mount is, what the kernel's lock table says."""

from pathlib import Path

import apsw
import pytest

from holdfast import lockfiles
from holdfast.errors import Busy, Damaged, Full, Refused, Unsupported
from holdfast.sqlite import codes, filesystems, locks
from holdfast.sqlite.filesystems import is_refused, kind_of_mount

MOUNTS = r"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:26 / /tmp rw - tmpfs tmpfs rw
40 22 0:40 / /mnt/share rw - nfs4 server:/export rw
41 40 254:0 /x /mnt/share/local rw - ext4 /dev/vda rw
50 22 0:50 / /home/me/With\040Space rw master:2 - fuse.sshfs me@host: rw
60 22 0:60 / /data rw - 9p drvfs rw
61 22 254:1 / /data rw - ext4 /dev/vdb rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib", "ext4"),
        ("/tmp", "tmpfs"),
        ("/tmpfile", "ext4"),
        ("/mnt/share/a/b", "nfs4"),
        ("/mnt/share/local/a", "ext4"),
        ("/home/me/With Space/x", "fuse.sshfs"),
        ("/data/here", "ext4"),
    ],
)
def test_a_path_is_on_the_deepest_and_latest_mount_above_it(path, kind):
    assert kind_of_mount(MOUNTS, path) == kind


@pytest.mark.parametrize(
    ("kind", "refused"),
    [(kind, True) for kind in ("nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "vboxsf", "fuse.virtiofs")]
    + [("fuse.sshfs", True), ("fuse", True), ("fuse.anything", True), ("fuseblk", False)]
    + [(kind, False) for kind in ("ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs", "")],
)
def test_network_and_virtual_mounts_are_refused(kind, refused):
    assert is_refused(kind) is refused


def test_a_refused_mount_names_itself_and_the_way_out(monkeypatch, tmp_path):
    kind = kind_of_mount(Path("/proc/self/mountinfo").read_text(), str(tmp_path))
    monkeypatch.setattr(filesystems, "_REFUSED", frozenset((kind,)))
    with pytest.raises(Unsupported, match=f"on a {kind} mount") as raised:
        filesystems.check(str(tmp_path / "state.db"))
    assert "HOLDFAST_ALLOW_FILESYSTEM=1" in raised.value.remedy
    monkeypatch.setenv("HOLDFAST_ALLOW_FILESYSTEM", "1")
    filesystems.check(str(tmp_path / "state.db"))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (apsw.SQLITE_BUSY, Busy),
        (apsw.SQLITE_BUSY_SNAPSHOT, Busy),
        (apsw.SQLITE_BUSY_RECOVERY, Busy),
        (apsw.SQLITE_LOCKED, Busy),
        (apsw.SQLITE_LOCKED_SHAREDCACHE, Busy),
        (apsw.SQLITE_FULL, Full),
        (apsw.SQLITE_CORRUPT, Damaged),
        (apsw.SQLITE_CORRUPT_INDEX, Damaged),
        (apsw.SQLITE_NOTADB, Damaged),
        (apsw.SQLITE_READONLY, Refused),
        (apsw.SQLITE_READONLY_DBMOVED, Damaged),
        (apsw.SQLITE_CONSTRAINT_UNIQUE, Refused),
        (apsw.SQLITE_CANTOPEN, Unsupported),
        (apsw.SQLITE_IOERR_FSYNC, Unsupported),
        (apsw.SQLITE_IOERR_SHORT_READ, Unsupported),
    ],
)
def test_a_code_has_one_remedy(code, kind):
    error = codes.translate(apsw.exception_for(code), "here", errno=28)
    assert type(error) is kind
    assert codes.name_of(code) in str(error)
    assert ("No space left" in str(error)) == (
        code & 0xFF in (apsw.SQLITE_IOERR, apsw.SQLITE_CANTOPEN, apsw.SQLITE_FULL)
    )


def test_every_primary_code_of_an_error_is_in_the_table():
    values = (apsw.SQLITE_OK, apsw.SQLITE_ROW, apsw.SQLITE_DONE, apsw.SQLITE_NOTICE, apsw.SQLITE_WARNING)
    never_from_our_calls = (apsw.SQLITE_NOTFOUND, apsw.SQLITE_EMPTY)
    known = {code for code in apsw.mapping_result_codes if isinstance(code, int)}
    assert known - set(codes._PRIMARY) <= {*values, *never_from_our_calls}


def test_the_kernels_lock_table_is_read_with_its_odd_lines():
    text = """1: FLOCK  ADVISORY  WRITE 812 fe:00:1057 0 EOF
2: OFDLCK ADVISORY  READ -1 fe:00:1058 128 128
3: POSIX  ADVISORY  READ 900 fe:00:1058 124 124
3: -> POSIX  ADVISORY  WRITE 901 fe:00:1058 124 124
4: LEASE  ACTIVE    READ 902 fe:00:1059 0 EOF
5: something else
"""
    found = list(lockfiles.parse(text))
    assert [(lock.kind, lock.pid, lock.first) for lock in found] == [
        ("FLOCK", 812, 0),
        ("OFDLCK", -1, 128),
        ("POSIX", 900, 124),
        ("LEASE", 902, 0),
    ]
    assert found[0].device == (0xFE, 0)


def test_nobody_is_named_for_a_file_that_is_not_there(tmp_path):
    assert locks.seat_holder(tmp_path / "absent.db") is None
    assert locks.pinners(tmp_path / "absent.db") == []
