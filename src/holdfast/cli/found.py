"""Bare ``holdfast``: what was found on this machine, and what to run next. Creates nothing."""

from __future__ import annotations

import os
import shlex
import time
from typing import TYPE_CHECKING, Any

from holdfast.cli.given import Given
from holdfast.cli.opening import peeked
from holdfast.cli.render import out, safe, words
from holdfast.postgres import is_url, parse

if TYPE_CHECKING:
    from holdfast.state.status import Status


def tell(given: Given) -> None:
    """Say which homes there are, whether each is indexed, where our state is, and what to run."""
    with peeked(given) as state:
        seen = state.status()
        paths = [home.path for home in state.homes]
    homes = [_home(path, seen) for path in dict.fromkeys([*paths, *(home.path for home in seen.homes)])]
    state_exists = os.path.isdir(seen.state_dir)
    next_command = _next(given, homes)
    if given.json:
        document = {"homes": homes, "state_dir": seen.state_dir, "state_exists": state_exists, "next": next_command}
        out.document(document)
        return
    for home in homes:
        out.line(f"Home   {safe.line(words.tilde(home['path']))}")
        out.line(f"       {_what(home)}")
    if not homes:
        out.line("No agent home was found: neither $CODEX_HOME nor ~/.codex is a directory.")
    if seen.database is not None:
        out.line(f"State  {safe.line(seen.database)}")
    else:
        out.line(f"State  {safe.line(words.tilde(seen.state_dir))}" + ("" if state_exists else "  (not made yet)"))
    out.line()
    out.line(f"Next:  {next_command}")
    out.line("       holdfast doctor    (is anything wrong here?)")
    out.line("       holdfast --help")


def _home(path: str, seen: Status) -> dict[str, Any]:
    known = next((home for home in seen.homes if home.path == path), None)
    if known is not None and known.indexed_ms is not None:
        return {
            "path": path,
            "indexed_ms": known.indexed_ms,
            "files": known.files,
            "threads": known.threads,
            "problems": known.problems,
        }
    from holdfast.rollouts import walk

    files = sum(1 for _ in walk(path))
    threads = known.threads if known is not None else 0
    return {"path": path, "indexed_ms": None, "files": files, "threads": threads, "problems": None}


def _what(home: dict[str, Any]) -> str:
    if home["indexed_ms"] is None:
        so_far = f"{home['threads']:,} threads indexed so far" if home["threads"] else "not indexed yet"
        return f"{words.count(home['files'], 'rollout file')}, {so_far}"
    problems = f", {words.count(home['problems'], 'problem')}" if home["problems"] else ""
    ago = words.ago(home["indexed_ms"], time.time_ns() // 1_000_000)
    return f"{words.count(home['threads'], 'thread')}, last change indexed {ago}{problems}"


def _next(given: Given, homes: list[dict[str, Any]]) -> str:
    state = given.state_dir
    if state and is_url(state):
        state = parse(state).shown  # no password on a screen
    start = ["holdfast", *(("--state", state) if state else ())]
    new = [str(home["path"]) for home in homes if home["indexed_ms"] is None]
    if not homes:
        return shlex.join([*start, "index", "HOME"]) + "    (the directory that holds sessions/)"
    if not new:
        return safe.line(shlex.join([*start, "threads", "list"]))
    from holdfast.state.directory import default_home

    is_default = new == [os.path.realpath(default_home())]
    return safe.line(shlex.join([*start, "index", *([] if is_default else new)]))
