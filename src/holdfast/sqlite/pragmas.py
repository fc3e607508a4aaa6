"""Which PRAGMA does what on a connection that shares its file: one table, and a sentence for what is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass

from holdfast.sqlite import settings
from holdfast.sqlite.exceptions import NotSupportedError

_PRAGMA = re.compile(
    r"PRAGMA\s+(?:[\"`\[]?(\w+)[\"`\]]?\s*\.\s*)?(\w+)\s*(?:=\s*(.+?)|\(\s*(.*?)\s*\))?\s*;?\s*$",
    re.IGNORECASE | re.DOTALL,
)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_OFF = frozenset(("0", "off", "no", "false"))
_ON = frozenset(("1", "on", "yes", "true"))

# Answered by the file, and asked of it.
ASKED = frozenset(
    (
        *("table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list"),
        *("foreign_key_check", "integrity_check", "quick_check", "database_list", "collation_list", "function_list"),
        *("module_list", "pragma_list", "compile_options", "page_count", "freelist_count", "data_version"),
        *("schema_version", "user_version", "application_id", "page_size", "encoding", "auto_vacuum"),
    )
)
# Of these the value is what they are asked about.
CALLED = frozenset(
    (
        *("table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list"),
        *("foreign_key_check", "integrity_check", "quick_check"),
    )
)
# Written into the file.
WRITTEN = frozenset(("user_version", "application_id", "incremental_vacuum", "optimize", "defer_foreign_keys"))
# Of a file that exists they change nothing without VACUUM; SQLite takes them silently, too.
_SILENT = frozenset(
    (
        *("page_size", "encoding", "auto_vacuum", "max_page_count", "cache_size", "cache_spill", "temp_store"),
        *("threads", "soft_heap_limit", "hard_heap_limit", "analysis_limit", "automatic_index"),
    )
)


@dataclass(frozen=True, slots=True)
class _Fixed:
    """A setting that is as it is: its value, what it may be set to all the same, whether SQLite answers a set."""

    value: object
    allowed: frozenset[str]
    answers: bool
    why: str


_SHARED = "the connection is shared by everything in this process that uses the file"
_FIXED = {
    "journal_mode": _Fixed("wal", frozenset(("wal",)), True, "the file is shared through its write-ahead log"),
    "locking_mode": _Fixed("normal", frozenset(("normal",)), True, "other processes use the file, too"),
    "mmap_size": _Fixed(0, frozenset(("0",)), True, "a mapped file that shrinks ends the process with SIGBUS"),
    "secure_delete": _Fixed(0, _OFF, True, _SHARED),
    "trusted_schema": _Fixed(0, _OFF, False, "a schema from elsewhere could call what the program can"),
    "cell_size_check": _Fixed(1, _ON, False, "damage must be noticed before it spreads"),
    "writable_schema": _Fixed(0, _OFF | {"reset"}, False, "one wrong word in the schema makes the file unreadable"),
    "ignore_check_constraints": _Fixed(0, _OFF, False, _SHARED),
    "case_sensitive_like": _Fixed(0, _OFF, False, _SHARED),
    "recursive_triggers": _Fixed(0, _OFF, False, _SHARED),
    "reverse_unordered_selects": _Fixed(0, _OFF, False, _SHARED),
    "read_uncommitted": _Fixed(0, _OFF, False, _SHARED),
    "legacy_alter_table": _Fixed(0, _OFF, False, _SHARED),
    "query_only": _Fixed(0, _OFF, False, _SHARED),
    "wal_autocheckpoint": _Fixed(settings.AUTOCHECKPOINT_PAGES, frozenset(), True, ""),
    "journal_size_limit": _Fixed(settings.JOURNAL_BYTES_KEPT, frozenset(), True, ""),
}
# The store bounds the log itself, whatever is asked for.
_ANY_VALUE = frozenset(("wal_autocheckpoint", "journal_size_limit"))


@dataclass(frozen=True, slots=True)
class Pragma:
    """``PRAGMA name = value``; the value without quotes, None when it only asks."""

    name: str
    value: str | None

    @property
    def on(self) -> bool:
        """Whether the value says yes."""
        return self.value in _ON


def read(sql: str) -> Pragma:
    """Return what a PRAGMA says. Raises ``NotSupportedError`` for one of an attached or temporary database."""
    found = _PRAGMA.match(_COMMENT.sub(" ", sql).strip(" \t\r\n;"))
    if found is None:
        raise NotSupportedError(f"this PRAGMA cannot be read: {sql.strip()[:80]!r}")
    schema, name, set_to, called_with = found.groups()
    if schema and schema.lower() != "main":
        raise NotSupportedError(f"PRAGMA {schema}.{name}: the file has one schema, main")
    value = set_to if set_to is not None else called_with
    return Pragma(name.lower(), value.strip("\"'").lower() if value is not None else None)


def number(pragma: Pragma) -> int:
    """Return the value as a number of 0 or more. Raises ``NotSupportedError`` when it is none."""
    if pragma.value is None or not pragma.value.isdigit():
        raise NotSupportedError(f"PRAGMA {pragma.name} = {pragma.value}: a number is wanted")
    return int(pragma.value)


def settled(pragma: Pragma, durability: str) -> list[tuple[object, ...]]:
    """Answer a PRAGMA whose value is not the caller's to change. Raises ``NotSupportedError`` with the reason."""
    if pragma.name == "synchronous":
        return _synchronous(pragma, durability)
    if pragma.name in _SILENT:
        return []
    fixed = _FIXED.get(pragma.name)
    if fixed is None:
        raise NotSupportedError(f"PRAGMA {pragma.name} is not known to holdfast.sqlite.connect, and was not run")
    if pragma.value is None:
        return [(fixed.value,)]
    if pragma.value not in fixed.allowed and pragma.name not in _ANY_VALUE:
        raise NotSupportedError(f"PRAGMA {pragma.name} = {pragma.value} is refused: {fixed.why}")
    return [(fixed.value,)] if fixed.answers else []


def _synchronous(pragma: Pragma, durability: str) -> list[tuple[object, ...]]:
    if pragma.value is None:
        return [(2 if durability == "full" else 1,)]
    if pragma.value in _OFF:
        raise NotSupportedError("PRAGMA synchronous = OFF is refused: a power cut could damage the file")
    if durability != "full" and pragma.value not in ("1", "normal"):
        raise NotSupportedError(
            f"PRAGMA synchronous = {pragma.value} is refused: the file is open in this process with "
            f"durability={durability!r}; open it with durability='full'"
        )
    return []  # as asked, or safer
