"""How figures become sentences."""

from __future__ import annotations

from collections.abc import Iterable


def sentence(text: str) -> str:
    """Return ``text`` with a capital and a full stop."""
    return text[:1].upper() + text[1:].rstrip(".") + "."


def some(found: Iterable[object], most: int = 5) -> str:
    """Return the first of these in a list, and how many more there are."""
    all_of_them = [str(each) for each in found]
    more = len(all_of_them) - most
    return ", ".join(all_of_them[:most]) + (f" and {more} more" if more > 0 else "")
