"""DESIGN §4: imports point down, never sideways; the pure files stay pure."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from modules import PACKAGE, Module, imports, modules

ROWS = (
    ("errors", "ids", "clock", "origin", "findings", "changes", "folders"),
    ("sql", "lockfiles", "quantities", "columns", "backoff", "waking"),
    ("engine", "submit"),
    ("sqlite", "postgres", "rollouts", "receipts"),
    ("schema",),
    ("holds",),
    ("threads", "tools", "jobs", "logs", "board", "watch", "cache"),
    ("ingest", "memory", "search"),
    ("doctor",),
    ("state",),
    ("cli", "web", "mcp", "adapters", "testing"),
)
ROW = {room: row for row, rooms in enumerate(ROWS) for room in rooms}
ROW[""] = ROW["state"]  # `import holdfast` is the face of the wiring
ROW["__main__"] = ROW["cli"]
SAME_ROOM = {"": "state", "__main__": "cli"}

PURE_ROLES = {"model", "rules", "lines", "items", "parse", "fold", "blocks", "facts", "paths"}
PURE_FOLDERS = ("holdfast.rollouts.dialects",)
# Pure files whose name does not say so.
PURE_MODULES = {
    "holdfast.backoff", "holdfast.board.gates", "holdfast.board.moves", "holdfast.changes", "holdfast.columns",
    "holdfast.logs.feedback", "holdfast.logs.redact", "holdfast.logs.repeats", "holdfast.quantities",
    "holdfast.rollouts.workers.frames", "holdfast.search.trigrams", "holdfast.search.words",
    "holdfast.threads.cursors",
}  # fmt: skip

# What a pure file may import from outside: nothing here opens, waits, asks the time or draws a number.
PURE_IMPORTS = {
    "__future__", "abc", "base64", "bisect", "collections", "collections.abc", "dataclasses", "datetime", "decimal",
    "enum", "functools", "hashlib", "heapq", "itertools", "json", "math", "msgspec", "operator", "posixpath", "re",
    "string", "struct", "types", "typing", "unicodedata", "urllib.parse",
}  # fmt: skip

# Ours that a pure file may import besides pure files, and why.
PURE_OURS = {
    "holdfast.errors": "words",
    "holdfast.findings": "words",
    "holdfast.ids": "words; only `new` draws random bytes, and a pure file may not call it",
    "holdfast.rollouts": "the face: Entry, Scan and ThreadFacts are values, whoever makes them",
}

APSW_OUTSIDE = {"holdfast.state.status": "asks for its version, opens nothing"}

IMPURE_CALLS = {"open", "print", "input", "exec", "eval", "__import__"}
IMPURE_METHODS = {"now", "utcnow", "today", "new"}  # datetime.now(), date.today(), ids.new()

VAGUE_NAMES = {"utils", "util", "helpers", "helper", "manager", "managers", "misc", "common", "core_utils"}


def check_rooms(src: Path) -> list[str]:
    """Complain of every import that does not point down."""
    known = modules(src)
    complaints = []
    for module in known.values():
        if module.room not in ROW:
            complaints.append(f"{module.name}: no row of DESIGN §4 has a room {module.room!r}")
            continue
        for found in imports(module, known):
            if found.module.split(".")[0] != PACKAGE:
                continue
            target = known.get(found.module)
            room = [*found.module.split("."), ""][1]
            here = f"{module.name}:{found.line} imports {found.module}"
            if target is None:
                complaints.append(f"{here}, which does not exist")
            elif room not in ROW:
                complaints.append(f"{here}, which has no row in DESIGN §4")
            elif SAME_ROOM.get(room, room) == SAME_ROOM.get(module.room, module.room):
                continue
            elif ROW[room] == ROW[module.room]:
                complaints.append(f"{here}: sideways, both are in row {ROW[room]}")
            elif ROW[room] > ROW[module.room]:
                complaints.append(f"{here}: up, from row {ROW[module.room]} to row {ROW[room]}")
    return complaints


def is_pure(module: Module) -> bool:
    """Return True when the name of the file promises that it is pure."""
    return module.role in PURE_ROLES or module.name in PURE_MODULES or module.name.startswith(PURE_FOLDERS)


def check_pure(src: Path) -> list[str]:
    """Complain of a pure file that could do I/O, read a clock, draw a number or start a thread."""
    known = modules(src)
    complaints = []
    for module in filter(is_pure, known.values()):
        for found in imports(module, known):
            here = f"{module.name}:{found.line} is pure and imports {found.module}"
            if found.module.split(".")[0] != PACKAGE:
                if found.module not in PURE_IMPORTS:
                    complaints.append(here)
            elif found.module not in PURE_OURS and not (found.module in known and is_pure(known[found.module])):
                complaints.append(f"{here}, which is not")
        complaints += [f"{module.name}:{line} is pure and calls {name}()" for line, name in _impure_calls(module)]
    return complaints


def _impure_calls(module: Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            match node.func:
                case ast.Name(id=name) if name in IMPURE_CALLS:
                    yield node.lineno, name
                case ast.Attribute(attr=name) if name in IMPURE_METHODS:
                    yield node.lineno, name


def check_sqlite3(src: Path) -> list[str]:
    """Complain of the standard library's sqlite3: two SQLites on one file cancel each other's locks."""
    known = modules(src)
    return [
        f"{module.name}:{found.line} imports {found.module}; use holdfast.sqlite"
        for module in known.values()
        for found in imports(module, known)
        if found.module.split(".")[0] in ("sqlite3", "_sqlite3")
    ]


def check_apsw(src: Path) -> list[str]:
    """Complain of apsw outside of ``sqlite/``: nothing else opens a connection."""
    known = modules(src)
    return [
        f"{module.name}:{found.line} imports {found.module}; only holdfast.sqlite opens a database"
        for module in known.values()
        for found in imports(module, known)
        if found.module.split(".")[0] == "apsw" and module.room != "sqlite" and module.name not in APSW_OUTSIDE
    ]


RAW_OPENS = re.compile(r"(io\.|os\.)?open|os\.(fdopen|truncate)|shutil\..*|.*\.(read|write)_(bytes|text)")
RAW_OPENS_HARMLESS = (
    "'/proc/",  # not a database
    "f'/proc/",
    ".seat'",  # a lock file of ours
    "os.O_EXCL",  # a file that is new: nobody has it open
    "os.sep",  # a directory
)
RAW_OPENS_KNOWN = {
    "holdfast.sqlite.wal",  # after a failed sync, the -wal alone, on which lie no locks (`write_again`)
    "holdfast.sqlite.taking",  # another program's, in a process that has nothing else open (`taken` sees to it)
}


def check_raw_opens(src: Path) -> list[str]:
    """Complain of a database file opened past SQLite: closing it cancels the locks of the whole process."""
    return [
        f"{module.name}:{node.lineno} opens a file past SQLite: {ast.unparse(node)}"
        for module in modules(src).values()
        if module.name not in RAW_OPENS_KNOWN
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and RAW_OPENS.fullmatch(ast.unparse(node.func))
        and (module.room == "sqlite" or any(f"{word}'" in ast.unparse(node) for word in ("-wal", "-shm", ".db")))
        and not any(word in ast.unparse(node) for word in RAW_OPENS_HARMLESS)
    ]


def check_names(src: Path) -> list[str]:
    """Complain of file names that say nothing."""
    paths = [*(src / PACKAGE).rglob("*.py"), *(path for path in (src / PACKAGE).rglob("*") if path.is_dir())]
    return [
        f"{path.relative_to(src)}: name it for what it knows; {path.stem!r} could hold anything"
        for path in sorted(paths)
        if VAGUE_NAMES & set(path.stem.split("_"))
    ]


def check_sleeps(tests: Path) -> list[str]:
    """Complain of ``sleep`` in a test, also in the code a test hands to a child process."""
    complaints = []
    for path in sorted(tests.rglob("*.py")):
        if path.is_relative_to(Path(__file__).parent):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_call = isinstance(node, ast.Call) and "time.sleep" in ast.unparse(node.func)
            is_import = isinstance(node, ast.ImportFrom) and node.module == "time" and "sleep" in ast.unparse(node)
            is_text = isinstance(node, ast.Constant) and isinstance(node.value, str) and "time.sleep" in node.value
            if is_call or is_import or is_text:
                complaints.append(f"{path.name}:{node.lineno} sleeps; wait for what is to happen instead")
    return complaints
