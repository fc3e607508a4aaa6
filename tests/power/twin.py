"""The functions of ``os`` that change files, wrapped so that they are written down, and may fail."""

from __future__ import annotations

import builtins
import errno
import io
import os
from typing import TYPE_CHECKING, Any

from disk import SyncFailed, Truncate, Write

if TYPE_CHECKING:  # the recorder imports us
    from recorder import Recorder


class _Raw(io.RawIOBase):
    """What ``open()`` gives for a recorded file: its bytes pass through ``os.write``."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def fileno(self) -> int:
        return self._fd

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return os.lseek(self._fd, offset, whence)

    def write(self, data: Any) -> int:
        return os.write(self._fd, bytes(data))

    def close(self) -> None:
        if not self.closed:
            os.close(self._fd)
        super().close()


_CHANGING = (
    *("open", "write", "pwrite", "close", "dup", "fsync", "fdatasync", "ftruncate", "truncate"),
    *("rename", "replace", "link", "unlink", "remove", "mkdir", "rmdir"),
)


class Twin:
    """The functions of ``os`` that change files, each wrapped in one that writes down what it did."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._fds: dict[int, tuple[int, str]] = {}
        self._real = {name: getattr(os, name) for name in _CHANGING}
        self._io_open = io.open

    def put_on(self) -> None:
        for name in self._real:
            setattr(os, name, getattr(self, name))
        builtins.open = io.open = self.open_file  # type: ignore[assignment]

    def take_off(self) -> None:
        for name, real in self._real.items():
            setattr(os, name, real)
        builtins.open = io.open = self._io_open  # type: ignore[assignment]

    def open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        full = self._full(path)
        if full is None or dir_fd is not None:
            fd = int(self._real["open"](path, flags, mode, dir_fd=dir_fd))
            self._fds.pop(fd, None)  # a number used again
            return fd
        self._may_fail("open", full)
        is_new = flags & os.O_CREAT and not os.path.lexists(full)
        fd = int(self._real["open"](path, flags, mode))
        inode = self._recorder.created(full) if is_new else self._recorder.inode(full)
        if inode is not None:
            self._fds[fd] = inode, full
            if flags & os.O_TRUNC and not is_new:
                self._recorder.note(Truncate(inode, 0))
        return fd

    def open_file(self, file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        if not set(mode) & set("wxa+") or options.get("opener"):
            return self._io_open(file, mode, *args, **options)
        fd = file
        if not isinstance(file, int):
            if self._full(file) is None:
                return self._io_open(file, mode, *args, **options)
            assert "+" not in mode, "not recorded: reading and writing through one file object"
            how = {"w": os.O_TRUNC, "x": os.O_EXCL, "a": os.O_APPEND}[mode[0]]
            fd = self.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | how, 0o666)
        elif fd not in self._fds:
            return self._io_open(file, mode, *args, **options)
        buffered = io.BufferedWriter(_Raw(fd))
        if "b" in mode:
            return buffered
        return io.TextIOWrapper(buffered, encoding=options.get("encoding"), newline=options.get("newline"))

    def write(self, fd: int, data: Any) -> int:
        known = self._fds.get(fd)
        if known is None:
            return int(self._real["write"](fd, data))
        written = int(self._real["write"](fd, self._let_through(known[1], data)))
        self._recorder.note(Write(known[0], os.lseek(fd, 0, os.SEEK_CUR) - written, bytes(data[:written])))
        return written

    def pwrite(self, fd: int, data: Any, offset: int) -> int:
        known = self._fds.get(fd)
        if known is None:
            return int(self._real["pwrite"](fd, data, offset))
        written = int(self._real["pwrite"](fd, self._let_through(known[1], data), offset))
        self._recorder.note(Write(known[0], offset, bytes(data[:written])))
        return written

    def close(self, fd: int) -> None:
        self._fds.pop(fd, None)
        self._real["close"](fd)

    def dup(self, fd: int) -> int:
        copy = int(self._real["dup"](fd))
        if fd in self._fds:
            self._fds[copy] = self._fds[fd]
        return copy

    def fsync(self, fd: int) -> None:
        known = self._fds.get(fd)
        if known is None:
            self._real["fsync"](fd)
            return
        try:
            self._may_fail("sync", known[1])
        except OSError:
            self._recorder.note(SyncFailed(known[0]))
            raise
        self._recorder.synced(*known)

    fdatasync = fsync  # of a file that grew, its new size is synced as well (fdatasync(2))

    def ftruncate(self, fd: int, size: int) -> None:
        known = self._fds.get(fd)
        if known is not None:
            self._may_fail("truncate", known[1])
        self._real["ftruncate"](fd, size)
        if known is not None:
            self._recorder.note(Truncate(known[0], size))

    def truncate(self, path: Any, size: int) -> None:
        if isinstance(path, int):
            self.ftruncate(path, size)
            return
        full = self._full(path)
        self._real["truncate"](path, size)
        if full is not None and (inode := self._recorder.inode(full)) is not None:
            self._recorder.note(Truncate(inode, size))

    def rename(self, path: Any, to: Any) -> None:
        full, full_to = self._full(path), self._full(to)
        if full is not None:
            self._may_fail("rename", full)
        self._real["rename"](path, to)
        if full is not None and full_to is not None:
            self._recorder.renamed(full, full_to)

    replace = rename

    def link(self, path: Any, to: Any, **options: Any) -> None:
        full, full_to = self._full(path), self._full(to)
        if full is not None:
            self._may_fail("rename", full)
        self._real["link"](path, to, **options)
        if full is not None and full_to is not None:
            self._recorder.linked(full, full_to)

    def unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        full = None if dir_fd is not None else self._full(path)
        if full is not None:
            self._may_fail("delete", full)
        self._real["unlink"](path, dir_fd=dir_fd)
        if full is not None:
            self._recorder.unlinked(full)

    remove = unlink

    def mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        full = None if dir_fd is not None else self._full(path)
        self._real["mkdir"](path, mode, dir_fd=dir_fd)
        if full is not None:
            self._recorder.created(full, is_folder=True)

    def rmdir(self, path: Any, *, dir_fd: int | None = None) -> None:
        full = None if dir_fd is not None else self._full(path)
        self._real["rmdir"](path, dir_fd=dir_fd)
        if full is not None:
            self._recorder.unlinked(full)

    def _full(self, path: Any) -> str | None:
        if isinstance(path, int):
            return None
        full = os.path.abspath(os.fsdecode(path))
        return full if self._recorder.covers(full) or full == self._recorder.root else None

    def _let_through(self, path: str, data: Any) -> bytes:
        how = self._recorder.faults.strike("write", path)
        if how == "short" and len(data) > 1:
            return bytes(data[: len(data) // 2])
        if how:
            raise _os_error(how, path)
        return bytes(data)

    def _may_fail(self, kind: str, path: str) -> None:
        if how := self._recorder.faults.strike(kind, path):
            raise _os_error(how, path)


def _os_error(how: str, path: str) -> OSError:
    number = errno.EIO if how == "eio" else errno.ENOSPC
    return OSError(number, os.strerror(number), path)
