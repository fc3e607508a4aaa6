"""Boards as a table for a person, as lines for a pipe, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.cli.render import out, safe, words

if TYPE_CHECKING:
    from holdfast.board import Board, Stats
