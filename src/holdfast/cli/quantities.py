"""Ages and sizes as options: what ``holdfast.quantities`` reads."""

from __future__ import annotations

from typing import Any

import click

from holdfast import quantities
from holdfast.errors import Refused


class Age(click.ParamType):  # type: ignore[type-arg]
    """Seconds: ``30m``, ``12h``, ``7d``."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the seconds."""
        try:
            return int(quantities.age_s(value))
        except Refused as refused:
            self.fail(f"{refused}: {refused.remedy}", param, ctx)


class Size(click.ParamType):  # type: ignore[type-arg]
    """Bytes: ``500kB``, ``20MB``, ``1GiB``."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the bytes."""
        try:
            return quantities.size_bytes(value)
        except Refused as refused:
            self.fail(f"{refused}: {refused.remedy}", param, ctx)
