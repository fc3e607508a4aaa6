"""Find the task that a person means: by its number, its alias, or the beginning of its title."""

from __future__ import annotations

from holdfast.board import catalogue
from holdfast.board.creating import get
from holdfast.board.model import ENDED, Task
from holdfast.board.rows import SQL, task
from holdfast.engine import Read
from holdfast.errors import Refused

_TITLED = SQL["select_task"].fill(which=SQL["which_titled"])
_SHOWN = 5


def find(tx: Read, text: str, *, board: str) -> Task | None:
    """Return the task meant by ``text``, or None. A number is the same on every board; the rest is looked for on this.

    A whole title wins over the beginning of one, and tasks that are not over
    over those that are; upper and lower case are the same. A title costs a
    look at every task of the board. Raises ``Refused`` when several fit.
    """
    number = text.removeprefix("#")
    if number.isascii() and number.isdecimal():
        return get(tx, int(number)) if len(number) < 19 else None
    if (known := get(tx, text, board=board)) is not None:
        return known
    words = {"board_id": catalogue.there(tx, board).board_id, "beginning": text, "length": len(text)}
    found = [task(row) for row in tx.rows(_TITLED, **words, limit=_SHOWN + 1)]
    fitting = [each for each in found if each.title.lower() == text.lower()] or found
    open_ones = [each for each in fitting if each.status not in ENDED]
    if len(fitting) > 1 and len(open_ones) != 1:
        shown = ", ".join(f"{each.task_id} ({each.title[:40]})" for each in fitting[:_SHOWN])
        more = " and more" if len(fitting) > _SHOWN else ""
        raise Refused(f"{text!r} begins the titles of several tasks: {shown}{more}", remedy="Say the number.")
    return next(iter(open_ones or fitting), None)
