"""Write a file that somebody named: whole or not at all, for this user alone, and never over a file of another kind."""

from __future__ import annotations

import os

from holdfast import folders
from holdfast.errors import Refused

_LOOKED_BYTES = 4096


def write(path: str, text: str, *, begins: str) -> None:
    """Give the file ``path`` this content, with mode 0600. Two syncs.

    Raises ``Refused`` for a file that is there and does not begin with ``begins``: it is not one of these, and may be
    anything, a database that is in use among them. Raises ``OSError``.
    """
    refuse_other(path, begins)
    folders.put(os.path.realpath(path), text.encode("utf-8", "replace"))


def refuse_other(path: str, begins: str) -> None:
    """Raise ``Refused`` when ``path`` is there and does not begin so, or is no file. Raises ``OSError``."""
    if os.path.exists(path) and (not os.path.isfile(path) or _is_other(path, begins.encode())):
        raise Refused(f"{path} is there, and is no file that this command wrote", remedy="Name another file.")


def _is_other(path: str, begins: bytes) -> bool:
    with open(path, "rb") as file:  # of a database in use: this process holds no lock that a close could cancel
        return not file.read(_LOOKED_BYTES).startswith(begins)
