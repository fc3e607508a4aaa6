"""What is to be done to files and rows: values that can be shown, kept, carried out and undone. Pure, of no subject."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class Move(msgspec.Struct, frozen=True, tag="move"):
    """A file gets another name. ``mtime_ns``: the time it is to carry afterwards; None leaves its own."""

    source: str
    target: str
    mtime_ns: int | None = None


class Remove(msgspec.Struct, frozen=True, tag="remove"):
    """A file goes."""

    path: str


class Append(msgspec.Struct, frozen=True, tag="append"):
    """``data`` is written behind the end of a file, which is made when it is not there.

    ``shared``: others append whole lines, too; theirs stay when this is undone.
    """

    path: str
    data: bytes
    shared: bool = False


class Rewrite(msgspec.Struct, frozen=True, tag="rewrite"):
    """A file gets ``data`` for its content, all at once. ``shared`` as for ``Append``, ``mtime_ns`` as for ``Move``,
    but None is the time it is done.
    """

    path: str
    data: bytes
    shared: bool = False
    mtime_ns: int | None = None


class Mode(msgspec.Struct, frozen=True, tag="mode"):
    """Who may read and write a file or a folder: its permission bits, ``before`` and ``after``."""

    path: str
    before: int
    after: int


class Blob(msgspec.Struct, frozen=True, tag="blob"):
    """Bytes in a row: JSON must be able to tell them from text."""

    data: bytes


Value = int | float | str | Blob | None


class Row(msgspec.Struct, frozen=True):
    """One row of a database, found by ``key``: its columns before and after. None: there is no such row.

    What is not in ``loose`` must be as before when this is done, and as after
    when it is undone. Columns in ``loose`` are set along with the others: their
    owner may have set them to something else meanwhile, such as another second.
    """

    table: str
    key: dict[str, Value]
    before: dict[str, Value] | None
    after: dict[str, Value] | None
    loose: tuple[str, ...] = ()


class Rows(msgspec.Struct, frozen=True, tag="rows"):
    """Rows of the database at ``path``, which is another program's, change in one transaction."""

    path: str
    rows: tuple[Row, ...]


class Replace(msgspec.Struct, frozen=True, tag="replace"):
    """The database at ``path`` gets other content, in the file it has: nobody's descriptor goes astray.

    ``members`` are those of its files that there were, itself first. ``what`` says it to a person.
    ``rows``, in its place: all that is other in it, when that is some rows only; undone row by row once somebody
    else has written to the file, or has it open.
    """

    path: str
    members: tuple[str, ...]
    what: str
    rows: tuple[Row, ...] = ()


Change = Move | Remove | Append | Rewrite | Mode | Rows | Replace


class Seen(msgspec.Struct, frozen=True):
    """A file as it was when a plan was made. ``inode`` 0: there was none."""

    path: str
    device: int = 0
    inode: int = 0
    size: int = 0
    mtime_ns: int = 0

    @classmethod
    def of(cls, path: str, info: Any) -> Seen:
        """Return what ``lstat`` said of ``path``; None: there is no such file."""
        if info is None:
            return cls(path)
        return cls(path, info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns)

    @property
    def is_there(self) -> bool:
        """True when there was such a file."""
        return self.inode != 0

    def same_file(self, other: Seen) -> bool:
        """Return True when ``other`` is this very file, whatever it holds by now."""
        return self.is_there and (self.device, self.inode) == (other.device, other.inode)


class Plan(msgspec.Struct, frozen=True):
    """Changes in their order, and what they were decided on.

    ``title`` is a sentence for a person; ``folder`` is the one it is about, and
    ``subjects`` whoever of it is concerned, by id. ``seen`` holds every path
    that a change names, as it was. ``by``: who undoes it, the state whose ``home``
    it is about, or the ``doctor``, who needs no state.
    """

    title: str
    folder: str
    subjects: tuple[str, ...]
    changes: tuple[Change, ...]
    seen: tuple[Seen, ...]
    by: Literal["home", "doctor"] = "home"

    def before(self, path: str) -> Seen:
        """Return how ``path`` was when this was planned."""
        return next(seen for seen in self.seen if seen.path == path)


def paths_of(change: Change) -> tuple[str, ...]:
    """Return the files a change is about: the one it takes something from first.

    None for rows: the file of a database changes all the time, and nothing follows from that.
    """
    match change:
        case Move():
            return change.source, change.target
        case Rows():
            return ()
        case _:
            return (change.path,)
