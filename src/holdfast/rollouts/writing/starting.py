"""Where a new thread's rollout will lie and what it begins with. Reads only the file a fork continues."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from holdfast import ids
from holdfast.errors import Refused
from holdfast.rollouts import paths
from holdfast.rollouts.find import find_by_id
from holdfast.rollouts.writing.base import history_base
from holdfast.rollouts.writing.meta import session_meta
from holdfast.rollouts.writing.model import HistoryBase


class Start(msgspec.Struct, frozen=True):
    """A thread that is not on the disk yet. ``first_ordinal`` is None for a legacy one."""

    thread_id: str
    path: str
    meta: dict[str, Any]
    first_ordinal: int | None


def start(home: str, meta: Mapping[str, Any], base: HistoryBase | None, now_ms: int) -> Start:
    """Return the start of a new thread of ``home``. Raises ``Refused``, ``Damaged`` (the base) or ``OSError``.

    An id that is given is looked for in the whole home; a new one is nobody's.
    """
    given = meta.get("id")
    id16 = ids.new(now_ms) if given is None else ids.parse(given) if isinstance(given, str) else None
    if id16 is None:
        raise Refused(f"a thread's id is a UUID, got {given!r}")
    if given is not None:
        check_free(home, id16)
    payload = session_meta(meta, thread_id=id16, window_id=ids.new(now_ms), now_ms=now_ms, base=base)
    if base is not None:
        _check(home, base)
    ordinal = None if payload["history_mode"] == "legacy" else base.end_ordinal_exclusive if base else 0
    began = time.localtime(now_ms / 1000)  # as Codex: folders and names are in local time
    folder = f"{paths.SESSIONS}/{began.tm_year}/{began.tm_mon:02}/{began.tm_mday:02}"
    name = f"{paths.PREFIX}{time.strftime('%Y-%m-%dT%H-%M-%S', began)}-{ids.text(id16)}{paths.PLAIN}"
    return Start(ids.text(id16), f"{home}/{folder}/{name}", payload, ordinal)


def check_free(home: str, id16: bytes) -> None:
    """Raise ``Refused`` when a file of ``home`` is already the thread of this id. Walks the home."""
    found = find_by_id(home, id16)
    if found is not None:
        raise Refused(
            f"thread {ids.text(id16)} exists already: {found.file}",
            remedy="Resume that thread, or create one with another id, or with none.",
        )


def _check(home: str, base: HistoryBase) -> None:
    id16 = ids.parse(base.thread_id)
    found = find_by_id(home, id16) if id16 else None
    if found is None:
        raise Refused(f"a fork continues a thread of its home, and {home} has none with the id {base.thread_id}")
    if history_base(found.file, base.end_ordinal_exclusive) != base:
        raise Refused(f"{base} is not where line {base.end_ordinal_exclusive} begins: take it from `history_base`")
