"""What a disk may hold after the power was cut. Pure: operations in, images out.

Names and files are separate, as in a file system: what was written to a file
is safe once that file was synced; that it has a name, or another, or none any
more, is safe once its *folder* was synced. Everything not yet safe may be there
or not, piece by piece.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b

SECTOR = 512
ROOT = 0


@dataclass(frozen=True, slots=True)
class Create:
    """A new file, or a new folder, ``inode`` under a new name."""

    folder: int
    name: str
    inode: int
    is_folder: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """One more name for a file."""

    folder: int
    name: str
    inode: int


@dataclass(frozen=True, slots=True)
class Unlink:
    folder: int
    name: str


@dataclass(frozen=True, slots=True)
class Rename:
    folder: int
    name: str
    to_folder: int
    to_name: str


@dataclass(frozen=True, slots=True)
class Write:
    inode: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    inode: int
    size: int


@dataclass(frozen=True, slots=True)
class Sync:
    """Of a file: its bytes. Of a folder: the names in it."""

    inode: int


@dataclass(frozen=True, slots=True)
class SyncFailed:
    """A sync that said no. The system takes the pages for clean all the same: read they are still there, and
    they are never written, until somebody writes the same bytes again (fsync(2), "Notes")."""

    inode: int


@dataclass(frozen=True, slots=True)
class Mark:
    """Nothing on the disk: something the workload was promised, or saw."""

    what: str
    value: object = None


Op = Create | Link | Unlink | Rename | Write | Truncate | Sync | SyncFailed | Mark


class Content:
    """The bytes of a file at one moment, hashed at most once."""

    __slots__ = ("_digest", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._digest = b""

    @property
    def digest(self) -> bytes:
        self._digest = self._digest or blake2b(self.data, digest_size=16).digest()
        return self._digest


Image = dict[str, Content | None]
"""Relative path to content; None is a folder."""

_EMPTY = Content(b"")


class _File:
    """One inode: its bytes as a reader sees them now, those that are safe, and what is in between."""

    __slots__ = ("_lossy", "_now", "bytes", "safe", "unsynced")

    def __init__(self) -> None:
        self.bytes = bytearray()
        self.safe = _EMPTY
        self.unsynced: list[Write | Truncate] = []
        self._lossy = False
        self._now: Content | None = None

    def change(self, op: Write | Truncate) -> None:
        _apply(self.bytes, op)
        self.unsynced.append(op)
        self._now = None

    def sync(self) -> None:
        self.safe = self.written
        self.unsynced = []

    def fail(self) -> None:
        self.unsynced = []
        self._lossy = True

    @property
    def now(self) -> Content:
        if self._now is None:
            self._now = Content(bytes(self.bytes))
        return self._now

    @property
    def written(self) -> Content:
        """What a sync would make safe: all, or all but what a failed one lost."""
        return self.survived(lambda op, _: iter((op,))) if self._lossy else self.now

    def survived(self, pieces: Callable[[Write | Truncate, bool], Iterator[Write | Truncate]]) -> Content:
        """Return the safe bytes with those pieces of each later operation that ``pieces`` lets through."""
        if not self.unsynced:
            return self.safe
        found = bytearray(self.safe.data)
        for op in self.unsynced:
            for piece in pieces(op, op is self.unsynced[-1]):
                _apply(found, piece)
        return Content(bytes(found))


class _Entry:
    """One name that began or ceased to lead to an inode. A rename is two: the end of one follows its beginning."""

    __slots__ = ("folder", "inode", "name", "only_with")

    def __init__(self, folder: int, name: str, inode: int | None, only_with: _Entry | None = None) -> None:
        self.folder = folder
        self.name = name
        self.inode = inode
        self.only_with = only_with


Names = dict[int, dict[str, int]]


class Disk:
    """The disk after some operations; ``image`` says what a power cut now may leave of it."""

    def __init__(self) -> None:
        self._files: dict[int, _File] = {}
        self._now: Names = {ROOT: {}}
        self._safe: Names = {ROOT: {}}
        self._unsynced: list[_Entry] = []

    def step(self, op: Op) -> None:
        """Do one operation."""
        match op:
            case Write() | Truncate():
                self._files[op.inode].change(op)
            case Sync(inode) if inode in self._now:
                self._sync_folder(inode)
            case Sync(inode):
                self._files[inode].sync()
            case SyncFailed(inode) if inode in self._files:
                self._files[inode].fail()
            case Create(folder, name, inode, is_folder):
                if is_folder:
                    self._now[inode], self._safe[inode] = {}, {}
                else:
                    self._files[inode] = _File()
                self._enter(_Entry(folder, name, inode))
            case Link(folder, name, inode):
                self._enter(_Entry(folder, name, inode))
            case Unlink(folder, name):
                self._enter(_Entry(folder, name, None))
            case Rename(folder, name, to_folder, to_name):
                begins = _Entry(to_folder, to_name, self._now[folder][name])
                self._enter(begins)
                self._enter(_Entry(folder, name, None, only_with=begins))
            case Mark() | SyncFailed():
                pass

    def image(self, variant: str, seed: int = 0) -> Image:
        """Return what may be left.

        ``all``      the process died, not the machine: everything is there
        ``none``     only what was synced
        ``names``    every name, and of the files only what was synced
        ``bytes``    every byte, and of the names only what was synced: an unlinked file is back
        ``sectors``  each sector of each unsynced write, and each unsynced name, or not, by chance
        ``torn``     everything, but of the last write to each file only the first sectors
        ``junk``     as torn, and the sector at the tear is garbage
        """
        chance = random.Random(f"{variant} {seed}")
        if variant in ("all", "names", "torn", "junk"):
            names = self._now
        elif variant == "sectors":
            names = self._by_chance(chance)
        else:
            names = self._safe
        if variant == "all":
            return self._tree(names, lambda file: file.now)
        if variant == "bytes":
            return self._tree(names, lambda file: file.written)
        if variant in ("none", "names"):
            return self._tree(names, lambda file: file.safe)
        if variant == "sectors":
            return self._tree(names, lambda file: file.survived(lambda op, _: _sectors(op, chance)))
        junk = chance if variant == "junk" else None
        return self._tree(
            names, lambda file: file.survived(lambda op, last: _torn(op, chance, junk) if last else iter((op,)))
        )

    def _enter(self, entry: _Entry) -> None:
        _set(self._now, entry)
        self._unsynced.append(entry)

    def _sync_folder(self, folder: int) -> None:
        left = []
        for entry in self._unsynced:
            # A rename is one step to every file system: where its end is safe, so is its beginning.
            if entry.folder == folder or any(
                other.only_with is entry and other.folder == folder for other in self._unsynced
            ):
                _set(self._safe, entry)
            else:
                left.append(entry)
        self._unsynced = left

    def _by_chance(self, chance: random.Random) -> Names:
        names = {folder: dict(entries) for folder, entries in self._safe.items()}
        kept = set()
        for entry in self._unsynced:
            if chance.random() < 0.5 and (
                entry.only_with is None or entry.only_with in kept or entry.only_with not in self._unsynced
            ):
                kept.add(entry)
                _set(names, entry)
        return names

    def _tree(self, names: Names, content: Callable[[_File], Content]) -> Image:
        image: Image = {}
        seen: dict[int, Content] = {}  # two names of one file lead to the same bytes
        todo = [("", ROOT)]
        while todo:
            prefix, folder = todo.pop()
            for name, inode in sorted(names[folder].items()):
                if inode in names:
                    image[prefix + name] = None
                    todo.append((f"{prefix}{name}/", inode))
                else:
                    if inode not in seen:
                        seen[inode] = content(self._files[inode])
                    image[prefix + name] = seen[inode]
        return image


def _set(names: Names, entry: _Entry) -> None:
    if entry.inode is None:
        names[entry.folder].pop(entry.name, None)
    else:
        names[entry.folder][entry.name] = entry.inode


def _apply(data: bytearray, op: Write | Truncate) -> None:
    if isinstance(op, Truncate):
        if op.size < len(data):
            del data[op.size :]
        else:
            data.extend(bytes(op.size - len(data)))
        return
    if op.offset > len(data):
        data.extend(bytes(op.offset - len(data)))
    data[op.offset : op.offset + len(op.data)] = op.data


def _split(write: Write) -> Iterator[Write]:
    # Sectors are those of the disk: cut at multiples of their size in the file.
    begin, end = 0, len(write.data)
    while begin < end:
        after = min(end, (write.offset + begin) // SECTOR * SECTOR + SECTOR - write.offset)
        yield Write(write.inode, write.offset + begin, write.data[begin:after])
        begin = after


def _sectors(op: Write | Truncate, chance: random.Random) -> Iterator[Write | Truncate]:
    for piece in _split(op) if isinstance(op, Write) else (op,):
        if chance.random() < 0.5:
            yield piece


def _torn(op: Write | Truncate, chance: random.Random, junk: random.Random | None) -> Iterator[Write | Truncate]:
    if isinstance(op, Truncate):
        return
    pieces = list(_split(op))
    tear = chance.randrange(len(pieces))
    yield from pieces[:tear]
    if junk is not None:
        torn = pieces[tear]
        yield Write(torn.inode, torn.offset, junk.randbytes(len(torn.data)))
