"""A git worktree for a task: made, taken up again, and removed when nothing in it would be lost.

Only ``git worktree`` is used, never ``--force`` on one a worker ever was in. A file
beside the worktree says that it was made whole: without it, nobody worked there yet.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
from contextlib import suppress

_TIMEOUT_S = 600  # a large repository, a slow disk
_WHOLE = ".whole"
_LOCK = ".lock"


class CannotBeMade(Exception):
    """There is no workspace, and why. Nothing of anybody's was changed."""


def prepare(repository: str, path: str, branch: str) -> None:
    """Have ``branch`` checked out at ``path``, as a worktree of ``repository``. One that is there stays as it is.

    A branch that is not there begins at the repository's HEAD. Raises ``CannotBeMade``.
    """
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    # Git has this lock, too: one that a dispatcher left at it when it died is waited for.
    with open(path + _LOCK, "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(path + _WHOLE) and os.path.isdir(path):
            return
        # Somebody deleted it, or we died while it was made (git calls it locked then), and no worker was ever in it.
        _git(repository, "worktree", "remove", "--force", "--force", path)
        _drop_empty(path)
        _unmark(path)
        has_branch = _git(repository, "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}").returncode == 0
        which = [path, branch] if has_branch else ["-b", branch, path]
        made = _git(repository, "worktree", "add", *which, lock=lock.fileno())
        if made.returncode != 0:
            raise CannotBeMade(f"git worktree add of {branch} in {repository} failed: {_said(made)}")
        with open(path + _WHOLE, "w", encoding="utf-8"):
            pass


def remove(path: str) -> str:
    """Remove the worktree, if all that is in it is on a branch; return why it stays, "" when it is gone.

    Files that git was told to ignore go with it.
    """
    if not os.path.isdir(path):
        _unmark(path)
        return ""
    at = _git(path, "symbolic-ref", "--quiet", "HEAD")
    if at.returncode != 0:
        return "no branch is checked out in it"
    common = _git(path, "rev-parse", "--path-format=absolute", "--git-common-dir")
    repository = common.stdout.strip()
    if common.returncode != 0 or not repository:
        return f"git does not know it: {_said(common)}"
    # Refuses what is changed or not known to git, and one with submodules.
    gone = _git(repository, "worktree", "remove", path)
    if gone.returncode != 0:
        return _said(gone)
    _unmark(path)
    return ""


def _unmark(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path + _WHOLE)


def _drop_empty(path: str) -> None:
    if not os.path.exists(path):
        return
    try:
        os.rmdir(path)
    except OSError as error:
        raise CannotBeMade(f"something that is no worktree is at {path}: {error.strerror}") from error


def _git(folder: str, *words: str, lock: int | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    environment["GIT_TERMINAL_PROMPT"] = "0"
    try:
        return subprocess.run(
            ["git", "-C", folder, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment,
            encoding="utf-8",
            errors="replace",
            timeout=_TIMEOUT_S,
            pass_fds=() if lock is None else (lock,),
            check=False,
        )
    except FileNotFoundError as error:
        raise CannotBeMade("git is not installed on this machine") from error
    except subprocess.TimeoutExpired as error:
        raise CannotBeMade(f"git {words[0]} in {folder} took longer than {_TIMEOUT_S} s") from error


def _said(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join((done.stderr or done.stdout).split())[-400:] or f"exit code {done.returncode}"
