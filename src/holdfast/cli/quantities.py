"""Ages and sizes, as people type them."""

from __future__ import annotations

import re
from typing import Any

import click

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}
_BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}


class Age(click.ParamType):  # type: ignore[type-arg]
    """Seconds: ``30m``, ``12h``, ``7d``."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the seconds."""
        found = re.fullmatch(r"(\d{1,9})([smhdw])", str(value))
        if found is None:
            self.fail(f"{value!r} is no age: say 7d, 12h, 30m, 0s", param, ctx)
        return int(found[1]) * _SECONDS[found[2]]


class Size(click.ParamType):  # type: ignore[type-arg]
    """Bytes: ``500kB``, ``20MB``, ``1GiB``."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the bytes."""
        found = re.fullmatch(r"(\d{1,12})\s?(k|m|g|ki|mi|gi|)b?", str(value).lower())
        if found is None:
            self.fail(f"{value!r} is no size: say 20MB, 500kB, 1GiB, or a number of bytes", param, ctx)
        return int(found[1]) * _BYTES[found[2]]
