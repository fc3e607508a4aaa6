"""Where things lie in a state directory of holdfast. The names are those of ``state/directory.py``, a room above."""

from __future__ import annotations

import os
from typing import Final

from holdfast.doctor.homes.look import SqlLook
from holdfast.doctor.model import Database

STATE_DB: Final = "state.db"
SEARCH_DB: Final = "search.db"
CACHE_DB: Final = "cache.db"
BACKUPS: Final = "backups"
RECEIPTS: Final = "receipts"
LOGS: Final = "logs"


def database(look: SqlLook, name: str) -> Database | None:
    """Return the database of this name, None when the directory has none."""
    return next((each for each in look.target.databases if os.path.basename(each.path) == name), None)


def folder(look: SqlLook, name: str) -> str:
    """Return where the folder of this name lies, whether or not it is there."""
    return os.path.join(look.target.path, name)
