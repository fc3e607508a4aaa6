"""Where output goes: results to stdout, everything else to stderr; rich only where a person looks."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from holdfast.cli.render import safe

if TYPE_CHECKING:
    from rich.console import Console


def is_terminal() -> bool:
    """Return True when a person reads stdout."""
    return sys.stdout.isatty()


def console() -> Console:
    """Return a rich console on stdout. Ask ``is_terminal`` first: importing rich costs 40 ms."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def styles(*sequences: str) -> tuple[str, ...]:
    """Return these escape sequences where a person wants colours, else as many empty texts."""
    wanted = is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return sequences if wanted else ("",) * len(sequences)


def line(text: str = "") -> None:
    """Print one line of a result. ``text`` must be safe already."""
    sys.stdout.write(text + "\n")


def fields(*texts: str) -> None:
    """Print one line of tab-separated fields, each made safe."""
    line("\t".join(map(safe.line, texts)))


def path(file: str) -> None:
    """Print a path: as it is for a program, whatever its bytes; made safe for a terminal."""
    if is_terminal():
        line(safe.line(file))
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(os.fsencode(file) + b"\n")


def note(text: str) -> None:
    """Say something beside the result, on stderr, made safe."""
    sys.stdout.flush()  # or what was said first would be read last
    sys.stderr.write(safe.block(text) + "\n")


def document(value: Any) -> None:
    """Print ``value`` (plain dicts, lists, texts and numbers) as one JSON document: indented for a person."""
    line(_json(value, sys.stdout, indent=2 if is_terminal() else None))


def json_line(value: Any) -> None:
    """Print ``value`` as one line of JSON, also on a terminal: one of many."""
    line(_json(value, sys.stdout, indent=None))


def error_json(value: Any) -> None:
    """Print ``value`` as one line of JSON on stderr."""
    sys.stderr.write(_json(value, sys.stderr, indent=None) + "\n")


def _json(value: Any, stream: Any, *, indent: int | None) -> str:
    encoding = str(getattr(stream, "encoding", "") or "utf-8").lower().replace("-", "")
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return safe.json_text(text, ascii_only=encoding != "utf8")
