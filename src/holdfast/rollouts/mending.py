"""What a torn rollout looks like once it is whole again: decided on bytes, in memory. Writes nothing.

Every line that can be read stays as it is, to the byte, and where it is: what
cannot be read becomes blanks of the same length, for Codex keeps offsets into
its rollouts in a database of its own, and passes over blank lines. Only what
follows the last newline is cut off, and only two whole items that a lost newline
glued together move what lies behind them, by one byte.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator

import msgspec

from holdfast.errors import Refused
from holdfast.rollouts import pieces
from holdfast.rollouts.compressing import packed
from holdfast.rollouts.dialects.loose import Broken
from holdfast.rollouts.lines import LINE_BYTES_MAX
from holdfast.rollouts.opening import open_file
from holdfast.rollouts.paths import ZST

BYTES_MAX = 64 << 20
"""Of the text of one rollout: it is held in memory a few times over, and stands in the receipt."""

_BEGINNING = re.compile(rb'\{"(?:timestamp|ordinal|type)"')
_BEGINNINGS_MAX = 256  # in one line that cannot be read: one is half a line with a whole one behind it


class Mend(msgspec.Struct, frozen=True):
    """One place that was mended: ``offset`` and ``length`` in bytes of the text as it was."""

    what: str
    offset: int
    length: int


class Mended(msgspec.Struct, frozen=True):
    """What a file is to hold. ``moved``: offsets behind the first glued lines are not what they were."""

    data: bytes
    mends: tuple[Mend, ...]
    moved: bool = False


def mended_file(path: str) -> Mended | None:
    """Return what the file at ``path``, plain or ``.zst``, is to hold; None when nothing is wrong with it.

    Raises ``OSError``, ``NotRegular``, and ``Refused`` for more than ``BYTES_MAX`` of text.
    """
    fd, began = open_file(path)
    try:
        if not path.endswith(ZST):
            found = mended(_whole(path, pieces.plain(fd, 0, began.st_size)))
            return found if found.mends else None
        frames = pieces.Zst(fd)
        found = mended(_whole(path, frames))
    finally:
        os.close(fd)
    broken = (Mend(f"the compressed file is {frames.damage}", len(found.data), 0),) if frames.damage else ()
    if not broken and not found.mends:
        return None
    return Mended(packed(found.data), (*broken, *found.mends), found.moved)


def mended(text: bytes) -> Mended:
    """Return ``text`` with all that is no line of a rollout blanked out, and its end cut to a whole line."""
    out: list[bytes] = []
    mends: list[Mend] = []
    moved = False
    at = 0
    for line in _lines(text):
        whole = line.endswith(b"\n")
        body = line[:-1] if whole else line
        if not body.strip() or len(body) > LINE_BYTES_MAX or (whole and _is_item(body)):
            out.append(line)
        else:
            fixed, found, grew = _fixed(body, at, is_tail=not whole)
            out.append(fixed + b"\n" if whole or fixed else b"")
            mends += found
            moved = moved or grew
        at += len(line)
    return Mended(b"".join(out), tuple(mends), moved)


def _lines(text: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(text):
        end = text.find(b"\n", at) + 1 or len(text)
        yield text[at:end]
        at = end


def _fixed(body: bytes, at: int, *, is_tail: bool) -> tuple[bytes, list[Mend], bool]:
    """Return what is to stand for a line that is no item as it is, what was mended, and whether it grew."""
    if is_tail and _is_item(body):
        return body, [Mend("the last line lacked its newline", at + len(body), 0)], False
    if is_tail and not body.strip(b"\0"):
        return b"", [Mend("NUL bytes behind the last line", at, len(body))], False
    parts: list[tuple[bytes, str]] = []
    for part, kind in _parts(body):
        if kind == "none" and parts and parts[-1][1] == "none":
            parts[-1] = (parts[-1][0] + part, "none")
        else:
            parts.append((part, kind))
    mends: list[Mend] = []
    out: list[bytes] = []
    grew = False
    offset = at
    for number, (part, kind) in enumerate(parts):
        last = number == len(parts) - 1
        if kind == "item":
            if out and out[-1].strip():  # two items and nothing between them
                out.append(b"\n")
                mends.append(Mend("two lines without the newline between them", offset, 0))
                grew = True
            clean = _clean(part)
            if clean != part:
                mends.append(Mend("bytes that are no UTF-8, or NUL, in a line", offset, len(part)))
            out.append(clean)
        elif is_tail and last:
            mends.append(Mend("a line that was never written to its end", offset, len(part)))
        else:
            mends.append(Mend("bytes that are no line", offset, len(part)))
            # One of the blanks may be the newline that is missing.
            out.append(b" " * (len(part) - 1) + (b"\n" if not last and number else b" "))
        offset += len(part)
    fixed = b"".join(out)
    return fixed if fixed.strip() or not is_tail else b"", mends, grew


def _parts(body: bytes) -> Iterator[tuple[bytes, str]]:
    """Cut a line into whole items and what is none, at the places where an item may begin."""
    begins = [found.start() for found in _BEGINNING.finditer(body)]
    if len(begins) > _BEGINNINGS_MAX:
        begins = []
    ends = [*begins[1:], len(body)]
    at = 0
    while at < len(body):
        begin = next((each for each in begins if each >= at), None)
        # NUL bytes or blanks before a whole item go with it: they become blanks in its line.
        starts = [at] if begin is None or not body[at:begin].strip(b"\0 \t\r") else []
        end = next((end for end in ends if end > at and starts and _is_item(_clean(body[at:end]))), None)
        if end is not None:
            yield body[at:end], "item"
            at = end
            continue
        stop = next((each for each in begins if each > at), len(body))
        yield body[at:stop], "none"
        at = stop


def _clean(part: bytes) -> bytes:
    """Return a part with NUL bytes around it as blanks, and each byte that is no UTF-8 as ``?``: as long as it was."""
    begin = len(part) - len(part.lstrip(b"\0"))
    end = len(part.rstrip(b"\0"))
    part = b" " * begin + part[begin:end] + b" " * (len(part) - end) if begin < end else b" " * len(part)
    try:
        part.decode()
    except UnicodeDecodeError:
        text = part.decode("utf-8", "surrogateescape")
        part = "".join("?" if "\udc80" <= letter <= "\udcff" else letter for letter in text).encode()
    return part


def _is_item(line: bytes) -> bool:
    """Return True for a JSON object in UTF-8, whatever it says: what only we do not understand stays."""
    try:
        line.decode()
        return isinstance(msgspec.json.decode(line), dict)
    except RecursionError:
        return True  # too deep for us; maybe not for whoever wrote it
    except Broken:
        return False


def _whole(path: str, stream: Iterable[bytes]) -> bytes:
    found: list[bytes] = []
    size = 0
    for piece in stream:
        found.append(piece)
        size += len(piece)
        if size > BYTES_MAX:
            raise Refused(
                f"{path} holds more than {BYTES_MAX >> 20} MiB of text: too much for a receipt, so it is left alone",
                remedy="Resume its thread: whoever goes on with a rollout mends its end first.",
            )
    return b"".join(found)
