"""Ages, sizes and shares as options: what ``holdfast.quantities`` reads."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Moment:
    """A time: ``ms`` since the epoch, or from now where ``is_relative``."""

    ms: int
    is_relative: bool

    def at(self, now_ms: int) -> int:
        """Return it in ms since the epoch."""
        return now_ms + self.ms if self.is_relative else self.ms


class When(click.ParamType):  # type: ignore[type-arg]
    """A time to come: ``2h`` from now, or a date, local where it names no zone."""

    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Moment:
        """Return the moment."""
        if isinstance(value, Moment):
            return value
        try:
            return Moment(round(quantities.age_s(str(value)) * 1_000), True)
        except Refused:
            pass
        try:
            return Moment(round(dt.datetime.fromisoformat(str(value).strip()).timestamp() * 1_000), False)
        except (ValueError, OverflowError, OSError):
            self.fail(f"{value!r} is no time to come: say 90s, 30m, 2h, 7d, or a date as 2026-11-27T09:00", param, ctx)


class Share(click.ParamType):  # type: ignore[type-arg]
    """A part of the whole: ``75%``, ``0.75``."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the part, 1 for all."""
        text = str(value).strip()
        try:
            found = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            found = -1.0
        if not 0 <= found <= 1:
            self.fail(f"{value!r} is no share: Say 75% or 0.75.", param, ctx)
        return found


class OrNone(click.ParamType):  # type: ignore[type-arg]
    """What ``inner`` reads, or ``none``: ``NONE`` then, for an option that is not given is None already."""

    NONE = object()

    def __init__(self, inner: click.ParamType) -> None:  # type: ignore[type-arg]
        self._inner = inner
        self.name = inner.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return it, or ``NONE``."""
        if value is self.NONE or str(value).strip().lower() == "none":
            return self.NONE
        return self._inner.convert(value, param, ctx)
