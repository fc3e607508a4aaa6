"""What is known of files, processes and places without opening a database. Values.

``None`` always means that it could not be told, or is not there; never zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from holdfast.doctor.model import Database

Key = tuple[int, int]
"""Which file it is: device and inode. Names are only where to look for one."""


@dataclass(frozen=True, slots=True)
class File:
    """One file, as ``stat`` has it; a symlink was followed, and ``link`` says where it points."""

    path: str
    key: Key
    kind: str
    """``file``, ``folder``, or ``other``."""
    size: int
    bytes: int
    """On the disk; a sparse file has fewer than its size."""
    mode: int
    uid: int
    gid: int
    names: int
    """Hard links."""
    mtime_ns: int
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Header:
    """The first 100 bytes of a database (sqlite.org/fileformat2.html, "The Database Header")."""

    page_bytes: int
    in_wal_mode: bool
    pages: int
    free_pages: int
    auto_vacuum: str
    """``none``, ``full``, ``incremental``."""
    changes: int
    written_by: int
    """The version number of the SQLite that wrote it last, as 3_051_003 for 3.51.3."""


@dataclass(frozen=True, slots=True)
class Log:
    """A -wal file. ``live_frames``: up to its last commit of this generation, None when that was too far to look."""

    page_bytes: int
    checkpoints: int
    """How often it was begun anew."""
    salts: bytes
    frames: int
    """That fit into the file, of whatever generation."""
    live_frames: int | None


@dataclass(frozen=True, slots=True)
class Index:
    """A -shm file: what connections know of the log. Read marks are None when unused."""

    frames: int
    """``mxFrame``: how many frames of the log count."""
    copied: int
    """``nBackfill``: how many of them are in the database, too."""
    marks: tuple[int | None, ...]
    salts: bytes
    changes: int
    pages: int
    page_bytes: int
    is_whole: bool
    """Both copies of its head agree; when not, somebody was writing it, or died so."""


@dataclass(frozen=True, slots=True)
class Family:
    """A database and what lies beside it."""

    database: Database
    path: str
    """Its real path: that beside which SQLite makes -wal and -shm."""
    main: File | None
    wal: File | None
    shm: File | None
    journal: File | None
    header: Header | None
    log: Log | None
    index: Index | None
    unread: str = ""
    """Why bytes of it could not be read; empty when they could."""

    @property
    def keys(self) -> dict[Key, str]:
        """Return which files these are, each with its ending (``""``, ``-wal``, ``-shm``, ``-journal``)."""
        files = (("", self.main), ("-wal", self.wal), ("-shm", self.shm), ("-journal", self.journal))
        return {file.key: ending for ending, file in files if file is not None}

    @property
    def frame_bytes(self) -> int:
        """Return what one frame of the log takes."""
        said = (known.page_bytes for known in (self.log, self.index, self.header) if known is not None)
        return 24 + next(filter(None, said), 4_096)  # an index that nobody wrote yet says 0

    @property
    def live_bytes(self) -> int | None:
        """Return how many bytes of the log count: its index says it when it is of this log, else its frames do."""
        frames = self.log.live_frames if self.log is not None else None if self.wal is None or self.wal.size else 0
        if self.index is not None and (self.log is None or self.index.salts == self.log.salts or self._begins_anew):
            frames = self.index.frames
        return None if frames is None else 32 + frames * self.frame_bytes

    @property
    def _begins_anew(self) -> bool:
        """Whether the next writer begins the log anew: the index has its first salt raised already, and no frames."""
        assert self.index is not None and self.log is not None
        salts = int.from_bytes(self.index.salts[:4], "big"), int.from_bytes(self.log.salts[:4], "big")
        return not self.index.frames and salts[0] == (salts[1] + 1) % (1 << 32)


@dataclass(frozen=True, slots=True)
class Opened:
    """A file of a target that a process has open. ``name`` is the kernel's, without its ``(deleted)``."""

    pid: int
    fd: int
    """-1 for a file that is mapped and maybe not open."""
    key: Key
    name: str
    deleted: bool
    size: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Lock:
    """A kernel lock on a file of a target. ``pid`` is None where the kernel does not tell (an OFD lock of others)."""

    pid: int | None
    key: Key
    ofd: bool
    first: int
    last: int

    def covers(self, byte: int) -> bool:
        """Whether this byte is locked by it."""
        return self.first <= byte <= self.last


@dataclass(frozen=True, slots=True)
class Mark:
    """A directory or file that a process has the kernel watch. ``path`` when it is one the look knows."""

    pid: int
    fd: int
    key: Key
    mask: int
    path: str | None


@dataclass(frozen=True, slots=True)
class Library:
    """A SQLite that a process has mapped. ``version`` as 3_051_003; None when its file does not say."""

    path: str
    version: int | None


@dataclass(frozen=True, slots=True)
class Process:
    """A process. ``began_ticks`` tells it from a later one of the same number."""

    pid: int
    uid: int
    command: str
    state: str
    """A letter, as in ps(1)."""
    began_ticks: int
    age_s: float
    parent: int
    cpu_ticks: int
    fds: int | None = None
    """And what else follows: told only of those who have to do with a target."""
    fds_max: int | None = None
    """Its soft limit."""
    written_bytes: int | None = None
    """Given to disks since it began."""
    libraries: tuple[Library, ...] = ()
    inotify_fds: int | None = None
    """None: not all of its descriptors were looked at."""
    watches: int | None = None

    @property
    def is_stopped(self) -> bool:
        """Whether it stands still until somebody has it go on."""
        return self.state in "Tt"


@dataclass(frozen=True, slots=True)
class Processes:
    """One look at the processes. What is in ``left`` was not looked at: then "nobody" means "nobody that was seen"."""

    all: dict[int, Process] = field(default_factory=dict)
    opened: tuple[Opened, ...] = ()
    locks: tuple[Lock, ...] = ()
    marks: tuple[Mark, ...] = ()
    left: tuple[str, ...] = ()
    """Sentences: what was not looked at, and why."""
    unreadable: int = 0
    """Processes, mostly of others, whose descriptors we may not see. Their locks are among ``locks``."""
    watches_max: int | None = None
    instances_max: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether every process was looked at, all of it."""
        return not self.left

    def holders(self, family: Family) -> dict[int, tuple[Opened, ...]]:
        """Return who has a file of ``family`` open, by its identity, and which."""
        found: dict[int, list[Opened]] = {}
        for each in self.opened:
            if each.key in family.keys:
                found.setdefault(each.pid, []).append(each)
        return {pid: tuple(files) for pid, files in found.items()}

    def lockers(self, family: Family) -> set[int | None]:
        """Return who has locks on a file of ``family``, also those whose descriptors may not be looked at."""
        return {lock.pid for lock in (*self.locks_on(family.main), *self.locks_on(family.shm))}

    def is_open(self, family: Family) -> bool:
        """Whether anybody was seen to have it open."""
        return bool(self.holders(family) or self.lockers(family))

    def users(self, family: Family) -> dict[int, tuple[Opened, ...]]:
        """Return as ``holders``, without the forks that merely have what their parent has, under the same numbers."""
        found = self.holders(family)
        users = {}
        for pid, files in found.items():
            process = self.all.get(pid)
            parent = found.get(process.parent, ()) if process is not None else ()
            if not {(file.fd, file.key) for file in files} <= {(file.fd, file.key) for file in parent}:
                users[pid] = files
        return users

    def locks_on(self, file: File | None) -> tuple[Lock, ...]:
        """Return the locks on ``file``."""
        return () if file is None else tuple(lock for lock in self.locks if lock.key == file.key)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a folder lies, and whether it can take more. ``kind``: of its filesystem, as mountinfo has it."""

    folder: str
    kind: str
    trusted: bool
    """Whether SQLite's locks and shared memory hold there."""
    read_only: bool
    writable: bool
    """By this user."""
    free_bytes: int
    total_bytes: int
    free_inodes: int
    total_inodes: int
