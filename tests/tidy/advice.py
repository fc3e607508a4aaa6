"""What the doctor says to people: no sentence of it may hold a command that destroys something, ready to be pasted."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from modules import Module, modules

# Whoever reads these sentences has a full disk and little time, and a `*.sqlite-wal` that somebody has open.
DESTROYS = tuple(
    re.compile(shape)
    for shape in (
        r"(?<![\w-])rm\s+(-|/|~|\$|\*|[\w.{]+)",
        r"(?<![\w-])(unlink|shred|wipefs)\s+[-/~$\w.{]",
        r"(?<![\w-])kill\s+(?!-CONT\b)(-|\d|%|\$|\{)",
        r"(?<![\w-])(pkill|killall|fuser\s+-\w*k)\b",
        r"(?i)\bdelete\s+from\b|\bdrop\s+(table|trigger|index|view)\b|\bupdate\s+\w+\s+set\b|\binsert\s+into\b",
        r"(?i)\bwritable_schema\b|\bpragma\s+journal_mode\s*=|\bvacuum\s*;",
        r"(?<![\w-])(mv|ln)\s+([-/~${]|[\w.]+\s+[-/~${\w.])|(?<![\w-])(cp|rsync)\s.*\.(sqlite|db)(-wal|-shm)?[`'\"]?$",
        r"(?<![\w-])truncate\s+-|(?<![\w-])dd\s+\w+=|(^|[\s`;])(:\s*)?>\s*[/~$\w.{]+\.(sqlite|db|jsonl)",
        r"(?<![\w-])chmod\s+(-R\s+)?(0?[0-7]?[0-7][0-7][2367]|[ao]*\+\w*w)",
        r"-delete\b|-exec\b|\bxargs\b",
        r"(?<![\w-])sqlite3\s+[-/~$\w.{]",
    )
)
SAID = {"measured", "expected", "cause", "remedy", "what", "keeps", "said", "why", "notes", "message"}


def check_advice(src: Path) -> list[str]:
    """Complain of every text of the doctor, and of every word a repair says, that holds such a command.

    In ``probes`` and ``homes`` each text counts; elsewhere, where there are statements and shapes, those that people
    are told.
    """
    complaints = []
    for module in modules(src).values():
        if not module.name.startswith("holdfast.doctor."):
            continue
        texts = _all(module) if _only_looks(module) else _told(module)
        for line, text in texts:
            found = next((each for shape in DESTROYS if (each := shape.search(text))), None)
            if found:
                complaints.append(f"{module.name}:{line} tells people {found.group()!r}: {text!r}")
    return complaints


def _only_looks(module: Module) -> bool:
    return module.name.split(".")[2] in ("probes", "homes")


def _all(module: Module) -> Iterator[tuple[int, str]]:
    inner = {id(part) for node in ast.walk(module.tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    documented = {id(text) for text in _docstrings(module.tree)}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.JoinedStr | ast.Constant) and id(node) not in inner | documented:
            text = _text(node)
            if text:
                yield node.lineno, text


def _told(module: Module) -> Iterator[tuple[int, str]]:
    names = {
        target.id: node.value
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call):
            continue
        of_error = isinstance(node.func, ast.Name) and node.func.id[:1].isupper()
        said = [keyword.value for keyword in node.keywords if keyword.arg in SAID] + (node.args if of_error else [])
        for value in said:
            for part in [value, *(names[each.id] for each in ast.walk(value) if _is_name(each, names))]:
                for text in ast.walk(part):
                    if isinstance(text, ast.JoinedStr | ast.Constant) and _text(text):
                        yield node.lineno, _text(text)


def _is_name(node: ast.AST, names: dict[str, ast.expr]) -> bool:
    return isinstance(node, ast.Name) and node.id in names


def _docstrings(tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.value


def _text(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(part) if isinstance(part, ast.Constant) else "{}" for part in parts)
    return ""
