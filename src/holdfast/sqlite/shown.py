"""A database that is in no file: SQLite reads its pages from a function, and nothing is ever written to it.

It is attached beside an open one, so that rows go from one to the other inside
SQLite. What it shows may change between transactions: its first page says so by
the change counter there, and SQLite drops what it kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apsw

NAME = "shown"


class Shown:
    """``pages`` pages of ``page_bytes`` bytes each. ``read`` returns one by its number, always whole."""

    def __init__(self, connection: apsw.Connection, page_bytes: int, pages: int, read: Callable[[int], bytes]) -> None:
        """Attach it to ``connection``, which has no transaction open, as ``shown``."""
        self._vfs = _Vfs(f"holdfast-{NAME}-{id(self)}", page_bytes, pages, read)
        try:
            connection.execute(f"ATTACH ? AS {NAME}", (f"file:pages?vfs={self._vfs.called}&mode=ro",))
            # An exclusive lock would be kept between transactions, and with it the pages.
            connection.execute(f"PRAGMA {NAME}.locking_mode = NORMAL").fetchall()
            # What was looked at by a check is there still when it is copied.
            connection.execute(f"PRAGMA {NAME}.cache_size = -16384").fetchall()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Forget it. The connection was closed before."""
        self._vfs.unregister()


class _Vfs(apsw.VFS):
    def __init__(self, called: str, page_bytes: int, pages: int, read: Callable[[int], bytes]) -> None:
        self.called = called
        self._file = _File(page_bytes, pages, read)
        super().__init__(called, "")

    def xOpen(self, name: Any, flags: list[int]) -> Any:  # noqa: N802
        flags[1] = flags[0]
        return self._file

    def xAccess(self, pathname: str, flags: int) -> bool:  # noqa: N802
        return False  # there is no journal and no log beside it

    def xFullPathname(self, name: str) -> str:  # noqa: N802
        return name


class _File:
    """What SQLite calls of a file. Locks are nobody's business: there is one reader."""

    def __init__(self, page_bytes: int, pages: int, read: Callable[[int], bytes]) -> None:
        self._page_bytes = page_bytes
        self._pages = pages
        self._read = read

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        number, at = divmod(offset, self._page_bytes)
        data = self._read(number + 1)
        return data if at == 0 and amount == len(data) else data[at : at + amount]

    def xFileSize(self) -> int:  # noqa: N802
        return self._page_bytes * self._pages

    def xClose(self) -> None:  # noqa: N802
        pass

    def xLock(self, level: int) -> None:  # noqa: N802
        pass

    def xUnlock(self, level: int) -> None:  # noqa: N802
        pass

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        return False

    def xSectorSize(self) -> int:  # noqa: N802
        return self._page_bytes

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        return 0

    def xFileControl(self, op: int, pointer: int) -> bool:  # noqa: N802
        return False
