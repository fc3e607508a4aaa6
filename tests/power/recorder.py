"""Everything a program does to the files under one folder, written down in order.

SQLite's files pass through a VFS of our own, registered as the default, so
``Store`` and ``holdfast.open`` run on it as they are. The VFS is a thin layer on
the real one: locks and shared memory are real, so is WAL mode. What our code
writes itself passes through ``os``, whose functions are wrapped meanwhile.
``-shm`` files are not recorded: they are memory, and made again.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import apsw
from disk import ROOT, Create, Link, Mark, Op, Rename, Sync, SyncFailed, Truncate, Unlink, Write
from faults import Faults
from twin import Twin

_SYNC_FOLDER = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL
_numbers = itertools.count(1)


class Recorder:
    """The log of one folder. ``deaf`` names files whose syncs are not heard: code that forgot them."""

    def __init__(self, root: str, *, deaf: Callable[[str], bool] = lambda _path: False) -> None:
        self.root = os.path.realpath(root)
        self.ops: list[Op] = []
        self.faults = Faults()
        self.recording = True
        self._deaf = deaf
        self._inodes = {self.root: ROOT}
        self._next = itertools.count(1)
        self._lock = threading.RLock()
        for folder, folders, files in os.walk(self.root):
            for name in folders:
                self.created(os.path.join(folder, name), is_folder=True)
            for name in files:
                path = os.path.join(folder, name)
                inode = self.created(path)
                with open(path, "rb") as file:
                    self.note(Write(inode, 0, file.read()))
                self.note(Sync(inode))
            self.note(Sync(self._inodes[folder]))
        self.begin = len(self.ops)
        """From this operation on the power may fail."""

    def mark(self, what: str, value: object = None) -> None:
        """Note that something was promised, or seen, by now."""
        self.note(Mark(what, value))

    def note(self, op: Op) -> None:
        with self._lock:
            if self.recording:
                self.ops.append(op)

    # --- what happened, by path -------------------------------------------------

    def covers(self, path: str) -> bool:
        return path.startswith(self.root + "/") and not path.endswith("-shm")

    def inode(self, path: str) -> int | None:
        return self._inodes.get(path)

    def created(self, path: str, *, is_folder: bool = False) -> int:
        with self._lock:
            inode = self._inodes[path] = next(self._next)
            self.note(Create(*self._place(path), inode, is_folder))
            return inode

    def linked(self, path: str, to: str) -> None:
        with self._lock:
            self._inodes[to] = self._inodes[path]
            self.note(Link(*self._place(to), self._inodes[path]))

    def unlinked(self, path: str) -> None:
        with self._lock:
            if self._inodes.pop(path, None) is not None:
                self.note(Unlink(*self._place(path)))

    def renamed(self, path: str, to: str) -> None:
        with self._lock:
            self.note(Rename(*self._place(path), *self._place(to)))
            for known in [each for each in self._inodes if each == path or each.startswith(path + "/")]:
                self._inodes[to + known[len(path) :]] = self._inodes.pop(known)

    def synced(self, inode: int, path: str) -> None:
        if not self._deaf(path):
            self.note(Sync(inode))

    def synced_folder(self, folder: str) -> None:
        self.synced(self._inodes[folder], folder)

    def _place(self, path: str) -> tuple[int, str]:
        folder, name = os.path.split(path)
        return self._inodes[folder], name


# --- SQLite's files ---------------------------------------------------------------


def _raise(kind: int, how: str) -> None:
    error = apsw.exception_for(apsw.SQLITE_FULL if how in ("full", "short") else kind)
    error.is_ours = True  # type: ignore[attr-defined]
    raise error


class _Connection(apsw.Connection):
    def close(self, force: bool = False) -> None:
        # SQLite's last close ignores what fails in it, and so it is with a VFS in C: a fault of ours, or
        # the exclusive lock that a read-only descriptor cannot have. apsw hands on what a VFS in Python
        # raised meanwhile; the connection is closed all the same.
        try:
            super().close(force)
        except apsw.Error as error:
            if not (getattr(error, "is_ours", False) or isinstance(error, apsw.IOError)):
                raise


class _File(apsw.VFSFile):
    def __init__(self, recorder: Recorder, base: str, path: str, flags: list[int]) -> None:
        self._recorder = recorder
        self._path = path
        self._is_ours = recorder.covers(path)
        self._inode = -1
        # SQLite's own rule (os_unix.c): the first sync of a journal or log syncs its folder, too.
        self._folder_too = bool(flags[0] & apsw.SQLITE_OPEN_CREATE and flags[0] & _SYNC_FOLDER)
        is_new = self._is_ours and not os.path.exists(path)
        super().__init__(base, path, flags)
        if self._is_ours:
            known = recorder.inode(path)
            self._inode = recorder.created(path) if is_new or known is None else known

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        if self._is_ours and (how := self._recorder.faults.strike("read", self._path)):
            _raise(apsw.SQLITE_IOERR_READ, how)
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        if not self._is_ours:
            return super().xWrite(data, offset)
        how = self._recorder.faults.strike("write", self._path)
        if how and how != "short":
            _raise(apsw.SQLITE_IOERR_WRITE, how)
        written = bytes(data[: len(data) // 2] if how else data)
        super().xWrite(written, offset)
        self._recorder.note(Write(self._inode, offset, written))
        if how:
            _raise(apsw.SQLITE_IOERR_WRITE, how)
        return None

    def xTruncate(self, size: int) -> None:  # noqa: N802
        if self._is_ours and (how := self._recorder.faults.strike("truncate", self._path)):
            _raise(apsw.SQLITE_IOERR_TRUNCATE, how)
        super().xTruncate(size)
        if self._is_ours:
            self._recorder.note(Truncate(self._inode, size))

    def xSync(self, flags: int) -> None:  # noqa: N802
        if not self._is_ours:
            return super().xSync(flags)
        if how := self._recorder.faults.strike("sync", self._path):
            self._recorder.note(SyncFailed(self._inode))
            _raise(apsw.SQLITE_IOERR_FSYNC, how)
        self._recorder.synced(self._inode, self._path)
        if self._folder_too:
            self._folder_too = False
            self._recorder.synced_folder(os.path.dirname(self._path))
        return None


class _Vfs(apsw.VFS):
    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._base = apsw.vfs_names()[0]
        super().__init__(f"recorder-{next(_numbers)}", self._base, makedefault=True)

    def excepthook(self, *_error: object) -> None:
        """Say nothing: a fault that SQLite could not report was ours."""

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        if path is None:
            return apsw.VFSFile(self._base, name, flags)
        if self._recorder.covers(path) and (how := self._recorder.faults.strike("open", path)):
            _raise(apsw.SQLITE_CANTOPEN, how)
        return _File(self._recorder, self._base, path, flags)

    def xDelete(self, name: str, sync_folder: bool) -> None:  # noqa: N802
        if not self._recorder.covers(name):
            return super().xDelete(name, sync_folder)
        if how := self._recorder.faults.strike("delete", name):
            _raise(apsw.SQLITE_IOERR_DELETE, how)
        super().xDelete(name, sync_folder)
        self._recorder.unlinked(name)
        if sync_folder:
            self._recorder.synced_folder(os.path.dirname(name))
        return None


@contextmanager
def recorded(root: str | os.PathLike[str], **options: Any) -> Iterator[Recorder]:
    """Record what this process does under ``root``. Every database opened meanwhile must be closed in here."""
    recorder = Recorder(os.fspath(root), **options)
    vfs = _Vfs(recorder)
    twin = Twin(recorder)
    real_connection = apsw.Connection
    apsw.Connection = _Connection  # type: ignore[misc]
    twin.put_on()
    try:
        yield recorder
    finally:
        recorder.faults.lift()
        apsw.Connection = real_connection  # type: ignore[misc]
        twin.take_off()
        vfs.unregister()
