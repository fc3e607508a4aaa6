"""PostgreSQL, for many machines: the same ``Engine``, behind a pooler, too. Knows the server, knows no subject."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.errors import Unsupported
from holdfast.postgres.address import Address, is_url, parse

if TYPE_CHECKING:
    from holdfast.postgres.settings import Limits
    from holdfast.postgres.store import Store, StoreStatus
    from holdfast.postgres.transactions import Reading, Writing

__all__ = ["Address", "Limits", "Reading", "Store", "StoreStatus", "Writing", "is_url", "parse"]

_FROM = {"Limits": "settings", "Store": "store", "StoreStatus": "store", "Reading": "transactions"}
_FROM["Writing"] = "transactions"


def __getattr__(name: str) -> Any:
    # Late: psycopg is an extra, and takes 60 ms to import.
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    try:
        return getattr(import_module(f"{__name__}.{_FROM[name]}"), name)
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] != "psycopg":
            raise
        # Not there, or there without the library it stands on.
        raise Unsupported(
            f"PostgreSQL needs psycopg, which cannot be imported: {error}", remedy="pip install 'holdfast[postgres]'"
        ) from error
