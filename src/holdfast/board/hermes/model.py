"""What the reading process says, in this order: ``Began``, ``Cards`` many times, ``FileRead`` many times, ``Ended``."""

from __future__ import annotations

import msgspec

from holdfast.board.exchange.model import BoardFacts, Card, CardFile
from holdfast.findings import Finding


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A board on disk. ``board_json`` and ``attachments`` need not exist."""

    db: str
    slug: str
    board_json: str
    attachments: str


class ReadRequest(msgspec.Struct, kw_only=True):
    """Read this board; ``attachments``: the files, too. ``file_bytes_max``: a larger one is told, not read."""

    place: Place
    attachments: bool
    file_bytes_max: int


class Began(msgspec.Struct, tag=True, kw_only=True):
    """The copy was made and looked over."""

    board: BoardFacts
    tasks: int
    files: int


class Cards(msgspec.Struct, tag=True, kw_only=True):
    """Some tasks, each after its parents, and what was odd about them."""

    cards: list[Card]
    findings: list[Finding]


class FileRead(msgspec.Struct, tag=True, kw_only=True):
    """The bytes of one attachment of the task ``card``, in the order of the tasks."""

    card: str
    file: CardFile
    data: bytes


class Ended(msgspec.Struct, tag=True, kw_only=True):
    """All was read that can be. ``findings``: about what belongs to no task."""

    findings: list[Finding]


class Failed(msgspec.Struct, tag=True, kw_only=True):
    """Nothing more can be read: the class of the error, its message, its remedy."""

    kind: str
    message: str
    remedy: str


Answer = Began | Cards | FileRead | Ended | Failed
