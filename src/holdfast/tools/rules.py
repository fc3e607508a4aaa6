"""How a list of tools is written down, and what an agent's own lists of them mean. Pure.

Three shapes are read, each entry by its own: Codex's canonical one (functions,
and namespaces that hold functions), its older flat one (a ``namespace`` in each
entry, ``exposeToContext`` for the opposite of ``deferLoading``), and ours,
which is the flat one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from holdfast.errors import Refused
from holdfast.tools.model import Tool

LIST_BYTES_MAX = 256 * 1024
"""Of one list as JSON: more than a model can be told."""


def encode(tools: Iterable[Tool]) -> str:
    """Return ``tools`` as JSON. Raises ``Refused`` over ``LIST_BYTES_MAX``, or when two have one name."""
    listed = list(tools)
    odd = next((tool for tool in listed if not isinstance(tool, Tool)), None)
    if odd is not None:
        raise Refused(
            f"a tool is a holdfast.Tool, got {type(odd).__name__}", remedy="Make each: holdfast.Tool(name=…, …)."
        )
    names = [(tool.namespace, tool.name) for tool in listed]
    twice = next((name for at, name in enumerate(names) if name in names[:at]), None)
    if twice is not None or any(not tool.name for tool in listed):
        raise Refused(f"two tools are called {twice[1]!r}" if twice is not None else "a tool has no name")
    try:
        text = msgspec.json.encode(listed)
    except (TypeError, ValueError) as error:
        raise Refused(f"these tools are no JSON: {error}") from error
    if len(text) > LIST_BYTES_MAX:
        raise Refused(f"these tools take {len(text):,} bytes as JSON, {LIST_BYTES_MAX:,} is the most")
    return text.decode()


def decode(text: str) -> list[Tool] | None:
    """Return the tools of a JSON list, in its order; None when it is no JSON list. Entries without a name are left out.

    Whatever the rest of an entry holds, it costs that field and no more.
    """
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
    if not isinstance(found, list):
        return None
    return [tool for entry in found if isinstance(entry, dict) for tool in _read(entry)]


def _read(entry: Mapping[str, Any]) -> Iterator[Tool]:
    inner = entry.get("tools")
    if entry.get("type") == "namespace" and isinstance(inner, list):
        namespace, about = _text(entry.get("name")), _text(entry.get("description"))
        for each in inner:
            if isinstance(each, dict):
                yield from _function(each, namespace, about)
    else:
        yield from _function(entry, _text(entry.get("namespace")), _text(entry.get("namespaceDescription")))


def _function(entry: Mapping[str, Any], namespace: str, about: str) -> Iterator[Tool]:
    name = _text(entry.get("name"))
    if name:
        exposed = entry.get("exposeToContext")
        yield Tool(
            name=name,
            description=_text(entry.get("description")),
            input_schema=entry.get("inputSchema", {}),
            namespace=namespace or None,
            namespace_description=about,
            defer_loading=not exposed if isinstance(exposed, bool) else entry.get("deferLoading") is True,
        )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
