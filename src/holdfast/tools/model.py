"""What a tool is."""

from __future__ import annotations

from typing import Any

import msgspec


class Tool(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One tool that the harness carries out. ``input_schema`` is JSON Schema, as plain values.

    ``namespace`` groups tools; ``defer_loading``: the model is told of it only when it searches for tools.
    """

    name: str
    description: str = ""
    input_schema: Any = msgspec.field(default_factory=dict)
    namespace: str | None = None
    namespace_description: str = ""
    defer_loading: bool = False
