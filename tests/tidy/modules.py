"""The modules of a package, read and never run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "holdfast"


@dataclass(frozen=True)
class Module:
    """One file: its dotted name, and what is written in it."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def room(self) -> str:
        """The folder of DESIGN §4 it lies in; the package's own face is ``""``."""
        return [*self.name.split("."), ""][1]

    @property
    def role(self) -> str:
        """Its file name: ``model``, ``rules``, ``store``."""
        return self.path.stem


@dataclass(frozen=True)
class Import:
    """One import: where it stands, which module it names, and which word of it."""

    line: int
    module: str
    word: str


def modules(src: Path) -> dict[str, Module]:
    """Return the modules of ``src/holdfast`` by dotted name."""
    found = {}
    for path in sorted((src / PACKAGE).rglob("*.py")):
        parts = path.relative_to(src).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = Module(name, path, ast.parse(path.read_text(encoding="utf-8"), str(path)))
    return found


def imports(module: Module, known: dict[str, Module]) -> Iterator[Import]:
    """Yield every import, also those inside functions and under TYPE_CHECKING. Modules are named in full."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(node.lineno, alias.name, "")
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(module, node)
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield Import(node.lineno, full, "") if full in known else Import(node.lineno, base, alias.name)


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    if module.role != "__init__":
        parts = parts[:-1]
    parts = parts[: len(parts) - node.level + 1]
    return ".".join([*parts, node.module] if node.module else parts)
