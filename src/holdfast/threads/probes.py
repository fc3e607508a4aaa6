"""What must be true of the rows of ``threads``. Looks only.

A thread whose file is gone, with ``missing_since_ms`` set, is no finding: that
is what its row is for. Neither is an unreadable file: what was known of its
thread stays until the file can be read again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast import ids, sql
from holdfast.engine import Read
from holdfast.findings import Finding

_SQL = sql.load("holdfast.threads")
_REFOLD = "`holdfast threads reindex` folds every file again; names and archive marks stay."


def probes(tx: Read) -> list[Finding]:
    """Return what is wrong with the threads, at most 100 of each kind. Scans them: 50,000 take 0.05 s."""
    found = [_wrong_file(row) for row in tx.rows(_SQL["odd_files"])]
    found += [
        Finding(
            "thread-file-shared",
            f"file {row['home']}/{row['path']}",
            measured=f"{row['threads']} threads have it as theirs",
            expected="one thread for each file",
            remedy=_REFOLD,
        )
        for row in tx.rows(_SQL["shared_files"])
    ]
    found += [
        Finding(
            "thread-preview-not-inherited",
            _subject(row),
            measured="a preview of its own",
            expected=f"the first words of the thread it continues, {ids.text(row['base_thread_id'])}",
            remedy=_REFOLD,
        )
        for row in tx.rows(_SQL["disinherited"])
    ]
    found += [
        Finding(
            "thread-label-missing",
            _subject(row),
            measured="one of its labels (source, model, directory, ...) has no text",
            expected="a text for every label",
            remedy=_REFOLD,
        )
        for row in tx.rows(_SQL["dangling_labels"])
    ]
    found += [
        Finding(
            "said-still-waiting",
            _subject(row),
            measured="what was said of it waits for a row, and it has one",
            expected="said as soon as there is a row",
            remedy=_REFOLD,
        )
        for row in tx.rows(_SQL["waited_in_vain"])
    ]
    found += [
        Finding(
            "thread-from-the-future",
            _subject(row),
            measured=f"changed in revision {row['revision']}, the last one is {row['last']}",
            expected=f"at most {row['last']}",
            remedy="An older copy of a table was put back: who follows revisions may miss changes."
            f" Raise the counter `revision` to {row['revision']}.",
        )
        for row in tx.rows(_SQL["future_revisions"])
    ]
    found += [
        Finding(
            "thread-spawn-circle",
            f"thread {ids.text(row['child_id'])}",
            measured="spawned, in the end, by itself",
            expected="a parent that it did not spawn",
            remedy="Say again who spawned it: `state.threads.spawned(parent, child)`.",
        )
        for row in tx.rows(_SQL["spawn_circles"])
    ]
    return found


def _wrong_file(row: Mapping[str, Any]) -> Finding:
    path = f"{row['home']}/{row['path']}"
    if row["file_home_id"] != row["home_id"]:
        code, measured, expected = "thread-file-of-another-home", f"its file is {path}", "a file of its own home"
    elif row["missing_since_ms"] is not None:
        code, measured, expected = "thread-missing-yet-there", f"missing, and {path} was read", "not missing"
    elif row["status"] == "gone":
        code, measured, expected = "thread-file-gone", f"{path} is gone", "missing, since then"
    elif row["status"] == "duplicate":
        code, measured, expected = "thread-file-copy", f"{path} counts as a copy", "the file that speaks for it"
    else:
        other = "no thread" if row["file_thread_id"] is None else f"thread {ids.text(row['file_thread_id'])}"
        code, measured, expected = "thread-file-of-another", f"{path} holds {other}", "a file that holds this thread"
    return Finding(code, _subject(row), measured=measured, expected=expected, remedy=_REFOLD)


def _subject(row: Mapping[str, Any]) -> str:
    return f"thread {ids.text(row['thread_id'])}"
