"""The three files of one database: are they still those we opened?

A commit into a file without a name would be acknowledged and lost.
"""

from __future__ import annotations

import os

from holdfast.errors import Busy, Damaged, Refused


def size_of(path: str) -> int:
    """Return how long a file is; 0 when there is none."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


class Files:
    """The database at ``path``, its -wal and its -shm."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._wal, self._shm = f"{path}-wal", f"{path}-shm"
        self._db_id: tuple[int, int] | None = None
        self._wal_id: tuple[int, int] = (0, 0)
        self._shm_id: tuple[int, int] = (0, 0)
        self.damaged = ""
        """What is wrong, once they were not ours: from then on nothing is written."""

    @property
    def known(self) -> bool:
        """Whether they were opened before."""
        return self._db_id is not None

    def remember(self) -> None:
        """Take them as they are, just opened. Raises ``Damaged`` when the database is another than before."""
        try:
            db, wal, shm = os.stat(self.path), os.stat(self._wal), os.stat(self._shm)
        except FileNotFoundError as error:
            # Once: a journal that a power cut brought back has just taken WAL mode back.
            raise Busy(f"{error.filename} was not there when {self.path} was opened") from error
        if self._db_id not in (None, (db.st_dev, db.st_ino)):
            raise self.changed(f"{self.path} is another file now")
        self._db_id = (db.st_dev, db.st_ino)
        self._wal_id = (wal.st_dev, wal.st_ino)
        self._shm_id = (shm.st_dev, shm.st_ino)

    def look(self) -> int:
        """Return the bytes of the -wal; raise ``Damaged`` if one is another file now, ``Refused`` at a second name.

        Three stat calls, 5 us.
        """
        try:
            db, wal, shm = os.stat(self.path), os.stat(self._wal), os.stat(self._shm)
        except FileNotFoundError as error:
            raise self.changed(f"{error.filename} is gone") from error
        except OSError as error:
            raise self.changed(f"{error.filename} cannot be looked at ({error.strerror})") from error
        if (db.st_dev, db.st_ino) != self._db_id:
            raise self.changed(f"{self.path} is another file now")
        if db.st_nlink != 1:
            raise Refused(
                f"{self.path} has {db.st_nlink} names (hard links); who opens it by another has a second log",
                remedy="End what has it open by another name, remove that name, close and open again.",
            )
        if (wal.st_dev, wal.st_ino) != self._wal_id:
            raise self.changed(f"{self._wal} is another file now")
        if (shm.st_dev, shm.st_ino) != self._shm_id:
            raise self.changed(f"{self._shm} is another file now")
        return wal.st_size

    def changed(self, what: str) -> Damaged:
        """Return the error for files that are not ours any more, and remember it."""
        self.damaged = f"{what}: somebody moved, replaced or deleted a database file that is in use; no more is written"
        return Damaged(self.damaged)
