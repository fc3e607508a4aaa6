"""Whether SQLite's locks and shared memory can be trusted where a file lies.

WAL needs shared memory between processes and honest POSIX locks. Network and
virtual-machine mounts have one or neither: on virtiofs a database was malformed
within a minute, on ext4 thirty minutes were clean.
"""

from __future__ import annotations

import os
import sys

from holdfast.errors import Unsupported

OVERRIDE = "HOLDFAST_ALLOW_FILESYSTEM"

_REFUSED = frozenset(
    (
        *("afs", "afpfs", "cifs", "coda", "davfs", "ncpfs", "nfs", "nfs4", "smb2", "smb3", "smbfs", "webdav"),
        *("beegfs", "ceph", "glusterfs", "gpfs", "lustre"),
        *("9p", "drvfs", "grpcfuse", "osxfs", "prl_fs", "v9fs", "vboxsf", "virtiofs", "vmhgfs"),
    )
)
# f_type of statfs(2): for what a bind mount or a container hides from mountinfo.
_MAGIC = {
    0x6969: "nfs",
    0x517B: "smbfs",
    0xFF534D42: "cifs",
    0xFE534D42: "smb2",
    0x01021997: "9p",
    0x00C36400: "ceph",
    0x5346414F: "afs",
    0x0BD00BD0: "lustre",
    0x786F4256: "vboxsf",
    0xBACBACBC: "vmhgfs",
}
# FUSE of block devices: local disks, of which the kernel says "fuseblk" or its driver's name.
_LOCAL_FUSE = frozenset(("fuseblk", "fuse.ntfs-3g", "fuse.exfat"))


def check(path: str) -> None:
    """Raise ``Unsupported`` when the file at ``path`` would lie on a mount that cannot keep it. 0.1 ms.

    ``HOLDFAST_ALLOW_FILESYSTEM=1`` in the environment lets everything pass.
    """
    if sys.platform != "linux" or os.environ.get(OVERRIDE) == "1":
        return
    kind = kind_at(_existing(path))
    if is_refused(kind):
        raise Unsupported(
            f"{path} is on a {kind} mount, which does not keep SQLite's locks and shared memory",
            remedy=(
                "Put the state directory on a local disk (HOLDFAST_STATE=/local/path), or set "
                f"{OVERRIDE}=1 if only one machine and one process will ever use it."
            ),
        )


def kind_at(folder: str) -> str:
    """Return the type of the filesystem that the directory at real path ``folder`` is on; Linux only."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        kind = kind_of_mount(file.read(), folder)
    return kind if is_refused(kind) else _kind_by_magic(folder) or kind


def is_refused(kind: str) -> bool:
    """Whether a filesystem of this name, as mountinfo spells it, cannot be trusted."""
    if kind in _REFUSED or kind.rpartition(".")[2] in _REFUSED:
        return True
    return kind.startswith("fuse") and kind not in _LOCAL_FUSE


def kind_of_mount(mountinfo: str, path: str) -> str:
    """Return the filesystem type of the mount ``path`` is on, or an empty text. Pure.

    ``mountinfo`` is the text of /proc/self/mountinfo (proc(5)); of two mounts on
    the same point the later hides the earlier.
    """
    best, kind = "", ""
    for line in mountinfo.splitlines():
        left, dash, right = line.partition(" - ")
        fields = left.split()
        if not dash or len(fields) < 5:
            continue
        point = _unescape(fields[4])
        inside = point == "/" or path == point or path.startswith(point + "/")
        if inside and len(point) >= len(best):
            best, kind = point, right.split()[0]
    return kind


def _unescape(text: str) -> str:
    # Space, tab, newline and backslash are written in octal.
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text


def _existing(path: str) -> str:
    folder = os.path.dirname(os.path.realpath(path))
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    return folder


def _kind_by_magic(folder: str) -> str:
    # Imported here: only an open pays it. os.statvfs does not tell f_type.
    import ctypes

    buffer = (ctypes.c_long * 32)()  # struct statfs is 120 bytes; f_type comes first
    libc = ctypes.CDLL(None)
    if libc.statfs(os.fsencode(folder), ctypes.byref(buffer)) != 0:
        return ""
    return _MAGIC.get(buffer[0] & 0xFFFFFFFF, "")
