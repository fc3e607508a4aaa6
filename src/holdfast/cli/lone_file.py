"""One rollout file, read without any state: for ``threads show --from-file``."""

from __future__ import annotations

import os

from holdfast.cli.failing import NotFound
from holdfast.cli.render.conversation import Shown
from holdfast.errors import HoldfastError
from holdfast.rollouts import find_by_id, read_names, read_transcript, scan
from holdfast.threads.from_files import thread_of

_ROOTS = ("/sessions/", "/archived_sessions/")


class NoRollout(HoldfastError):
    """The file is there, and holds no thread."""

    exit_code = 65  # EX_DATAERR, <sysexits.h>


def read(path: str) -> Shown:
    """Return the conversation in the file at ``path``, plain or ``.zst``. Raises ``NotFound`` or ``NoRollout``.

    When the file lies in a home, the home's names and the files a fork
    continues are looked up there.
    """
    full = os.path.abspath(os.path.expanduser(path))
    home, relative = _split(full)
    scanned = scan(relative, home=home)
    if scanned.status == "gone":
        raise NotFound(f"there is no file {full}")
    transcript = read_transcript(full, resolve_base=lambda base: _file_of(home, base))
    thread = thread_of(home, scanned, read_names(home))
    if thread is None and not transcript.turns:
        why = {"empty": "it is empty", "no-meta": "no line says which thread it is", "not-regular": "it is no file"}
        raise NoRollout(f"{full} holds no thread: {why.get(scanned.status, scanned.detail or scanned.status)}")
    return Shown(thread, transcript.turns, transcript.problems)


def _split(full: str) -> tuple[str, str]:
    """Return the home that ``full`` lies in and the path inside it; outside of one, its folder and name."""
    at = max(full.rfind(root) for root in _ROOTS)
    if at > 0:
        return full[:at], full[at + 1 :]
    return os.path.dirname(full), os.path.basename(full)


def _file_of(home: str, id16: bytes) -> str | None:
    found = find_by_id(home, id16)
    return None if found is None else found.file
