"""Where Codex itself would put, cut or mark the files of a thread: looked at, decided, and not done.

What comes out are changes and what they were decided on; ``receipts`` does
them. Whoever asks holds the thread's writer lock, and the lock of the names
file for what changes that.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from holdfast import ids
from holdfast.changes import Append, Change, Move, Plan, Remove, Rewrite, Rows, Seen, paths_of
from holdfast.errors import Refused
from holdfast.rollouts import names, paths
from holdfast.rollouts.dialects.loose import Broken
from holdfast.rollouts.find import walk
from holdfast.rollouts.reading import scan, verify
from holdfast.rollouts.stream import whole_lines

MEMORY_MODES = ("enabled", "disabled")


def plan(title: str, home: str, subjects: Iterable[bytes], changes: Iterable[Change]) -> Plan:
    """Return the plan of these changes, with how each file looks now."""
    changes = tuple(changes)
    named = dict.fromkeys(path for change in changes for path in paths_of(change))
    for path in (*named, *(change.path for change in changes if isinstance(change, Rows))):
        if not paths.is_text(path):
            raise Refused(f"{path!r} is not UTF-8: no receipt could hold it, so it is not touched")
    seen = tuple(_seen(path) for path in named)
    return Plan(title, home, tuple(map(ids.text, subjects)), changes, seen)


def archive(home: str, id16: bytes, file: str) -> tuple[Change, ...]:
    """Return what moves an active thread to the archived ones; ``file`` is its rollout. Both spellings move.

    Raises ``Refused`` when Codex would not take the file for that thread's, or a file is there already.
    """
    target = _root(home, paths.ARCHIVED)
    return tuple(_move(each, target) for each in _both(home, paths.SESSIONS, id16, file))


def unarchive(home: str, id16: bytes, file: str, now_ns: int) -> tuple[Change, ...]:
    """Return what moves an archived thread back to its day, which the file's name says, as written ``now_ns``."""
    found = _both(home, paths.ARCHIVED, id16, file)
    date = paths.name_date(os.path.basename(file))
    if date is None:
        raise Refused(f"{file} cannot be put back: its name does not say of which day it is")
    target = "/".join((_root(home, paths.SESSIONS), *date))
    return tuple(_move(each, target, now_ns) for each in found)


def delete(home: str, thread_ids: Iterable[bytes]) -> dict[bytes, tuple[Change, ...] | Refused]:
    """Return, for each thread, what removes all its files, active and archived, in both spellings; or why not.

    A thread without files has no changes. A file that is named for the thread
    and says it is another's stays. Walks the home once: 50,000 files 0.4 s.
    """
    found: dict[bytes, tuple[Change, ...] | Refused] = dict.fromkeys(thread_ids, ())
    for entry in walk(home):
        id16 = paths.name_id(entry.path)
        before = found.get(id16) if id16 is not None else None
        if id16 is None or before is None or isinstance(before, Refused):
            continue
        file = f"{home}/{entry.path}{paths.ZST if entry.zst else ''}"
        if verify(file) in (id16, None):
            root = paths.ARCHIVED if entry.archived else paths.SESSIONS
            try:
                found[id16] = before + tuple(Remove(each) for each in _both(home, root, id16, file))
            except Refused as why:
                found[id16] = why
    return found


def forget_names(home: str, thread_ids: Iterable[bytes]) -> tuple[Change, ...]:
    """Return what takes the names of these threads out of the names file; lines that cannot be read stay."""
    file = _names_file(home)
    content = _content(file)
    gone = set(thread_ids)
    kept = [line for line in re.findall(rb"[^\n]*\n|[^\n]+", content) if names.named_id(line) not in gone]
    left = b"".join(kept)
    return () if left == content else (Rewrite(file, left, shared=True),)


def rename(home: str, id16: bytes, name: str, now_ms: int) -> tuple[Change, ...]:
    """Return what gives the thread a name: a line in the names file. Raises ``Refused`` for an empty name."""
    name = name.strip()
    if not name:
        raise Refused(
            "a name cannot be taken away in the home: Codex has no way to say that",
            remedy="Give another one, or take it away without --in-home.",
        )
    line = {"id": ids.text(id16), "thread_name": name, "updated_at": _iso(now_ms)}
    file = _names_file(home)
    return (Append(file, _on_a_new_line(file, msgspec.json.encode(line)), shared=True),)


def mark(
    home: str,
    id16: bytes,
    file: str,
    now_ms: int,
    *,
    git: Mapping[str, str | None] | None = None,
    memory_mode: str | None = None,
) -> tuple[Change, ...]:
    """Return what sets git facts (``sha``, ``branch``, ``origin_url``; None clears one) or the memory mode.

    As Codex does it in legacy rollouts: a copy of the first line, changed, at
    the end. Raises ``Refused`` for a paginated thread, a compressed one, and an
    unknown mode. Folds the file once, to keep what is not set.
    """
    root = paths.ARCHIVED if _lies_at(file).startswith(f"{_root(home, paths.ARCHIVED)}/") else paths.SESSIONS
    found = _both(home, root, id16, file)
    facts = scan(file).facts
    if facts is None or facts.thread_id != id16:
        raise Refused(f"{file} cannot be read as the rollout of thread {ids.text(id16)}")
    if facts.history_mode != "legacy":
        raise Refused(
            f"thread {ids.text(id16)} is {facts.history_mode}: Codex keeps this of it in its own database only",
            remedy="Say it without --in-home: then it is kept beside the home.",
        )
    if len(found) != 1 or file.endswith(paths.ZST):
        raise Refused(f"{file} is compressed: nothing can be appended to it", remedy="Resume it in Codex first.")
    if memory_mode is not None:
        check_memory_mode(memory_mode)
    meta = _first_meta(file, id16)
    meta.pop("git", None)
    meta["memory_mode"] = memory_mode or facts.memory_mode
    if git is not None:
        known = {"sha": facts.git_sha, "branch": facts.git_branch, "origin_url": facts.git_origin_url}
        resolved = {_GIT_KEYS[key]: value for key, value in {**known, **git}.items() if value is not None}
        meta["git"] = resolved
    line = {"timestamp": _iso(now_ms), "type": "session_meta", "payload": meta}
    return (Append(found[0], _on_a_new_line(found[0], msgspec.json.encode(line))),)


def check_memory_mode(mode: str) -> None:
    """Raise ``Refused`` for a mode that Codex does not know."""
    if mode not in MEMORY_MODES:
        raise Refused(f"{mode!r} is not one of: {', '.join(MEMORY_MODES)}")


_GIT_KEYS = {"sha": "commit_hash", "branch": "branch", "origin_url": "repository_url"}


def _both(home: str, root: str, id16: bytes, file: str) -> list[str]:
    """Return the spellings of a thread's file that exist, by their real paths, or refuse."""
    name = os.path.basename(file)
    text = ids.text(id16)
    if not name.endswith((f"{text}{paths.PLAIN}", f"{text}{paths.PLAIN}{paths.ZST}")):
        raise Refused(f"{file} is not named for thread {text}: Codex would not touch it, and neither do we")
    top = _root(home, root)
    plain = paths.logical(_lies_at(file))
    if not plain.startswith(f"{top}/"):
        raise Refused(f"{file} really lies at {plain}, which is not below {top}")
    found = [each for each in (plain, plain + paths.ZST) if os.path.lexists(each)]
    if not found:
        raise Refused(f"{file} is gone: it was moved or deleted just now", remedy="Give the command again.")
    for each in found:
        if os.path.islink(each):
            raise Refused(f"{each} is a symbolic link: what it leads to is not touched")
    return found


def _move(source: str, folder: str, mtime_ns: int | None = None) -> Move:
    target = f"{folder}/{os.path.basename(source)}"
    for each in (paths.logical(target), paths.logical(target) + paths.ZST):
        if os.path.lexists(each):
            raise Refused(f"{each} is there already; it would be replaced", remedy="Look which of the two you want.")
    there = folder
    while not os.path.lexists(there):
        there = os.path.dirname(there)
    if os.stat(there).st_dev != os.stat(source).st_dev:
        raise Refused(f"{folder} lies on another disk than {source}: Codex could not move it there either")
    return Move(source, target, mtime_ns)


def _root(home: str, part: str) -> str:
    # `sessions` itself may be a link to anywhere: what lies below that is the home's.
    return os.path.realpath(f"{home}/{part}")


def _lies_at(file: str) -> str:
    """Return the path with every link on the way to it followed; the file itself may still be one."""
    return os.path.join(os.path.realpath(os.path.dirname(file)), os.path.basename(file))


def _names_file(home: str) -> str:
    file = os.path.realpath(f"{home}/{names.FILE}")
    if os.path.dirname(file) != os.path.realpath(home):
        raise Refused(f"{home}/{names.FILE} is a link out of the home, to {file}")
    return file


def _on_a_new_line(file: str, line: bytes) -> bytes:
    return (b"" if _ends_a_line(file) else b"\n") + line + b"\n"


def _ends_a_line(file: str) -> bool:
    try:
        with open(file, "rb") as opened:
            if not opened.seek(0, os.SEEK_END):
                return True
            opened.seek(-1, os.SEEK_END)
            return opened.read(1) == b"\n"
    except FileNotFoundError:
        return True


def _first_meta(file: str, id16: bytes) -> dict[str, Any]:
    for meta in _metas(file):
        if ids.parse(str(meta.get("id"))) == id16:
            return meta
    raise Refused(f"{file} has no line that says which thread it is")


def _metas(file: str) -> Iterator[dict[str, Any]]:
    for line, _ in whole_lines(file):
        if b'"session_meta"' not in line[:200]:
            continue
        try:
            found = msgspec.json.decode(line)
        except Broken:
            continue
        if isinstance(found, dict) and isinstance(found.get("payload"), dict):
            yield found["payload"]


def _content(file: str) -> bytes:
    try:
        with open(file, "rb") as opened:
            return opened.read()
    except FileNotFoundError:
        return b""


def _seen(path: str) -> Seen:
    try:
        return Seen.of(path, os.lstat(path))
    except (FileNotFoundError, NotADirectoryError):
        return Seen(path)


def _iso(ms: int) -> str:
    import datetime as dt

    return dt.datetime.fromtimestamp(ms // 1000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03}Z"
