"""What each column of Codex's ``threads`` gets when its rows are rebuilt from rollouts: one table, and what it means.

Decides on values, reads nothing. That the file says what Codex itself derives is
shown by the homes of ``tests/oracle.py``, column by column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum

from holdfast.changes import Value
from holdfast.rollouts import ThreadFacts

Record = dict[str, Value]


class Policy(StrEnum):
    """Who is right when the row and the file differ. What the file does not say never takes anything away."""

    FILE = "file"
    """The file: the row gets what it says."""
    FILL = "fill"
    """The row, unless it is empty: a person or Codex may have set it to something that no file says."""
    LATER = "later"
    """The later of the two: Codex also moves these on without writing a line."""
    PLACE = "place"
    """The folder the file lies in."""
    ROW = "row"
    """The row, always; a new row gets what the file says, or the default of the column."""


POLICIES: dict[str, Policy] = {
    "rollout_path": Policy.PLACE,  # only when there is no file of the thread at the one it has
    "archived": Policy.PLACE,
    "archived_at": Policy.PLACE,
    "created_at": Policy.FILE,
    "created_at_ms": Policy.FILE,
    "updated_at": Policy.LATER,
    "updated_at_ms": Policy.LATER,
    "recency_at": Policy.LATER,
    "recency_at_ms": Policy.LATER,
    "source": Policy.FILE,
    "thread_source": Policy.FILE,
    "agent_nickname": Policy.FILE,
    "agent_role": Policy.FILE,
    "agent_path": Policy.FILE,
    "originator": Policy.FILE,
    "model_provider": Policy.FILE,
    "model": Policy.FILE,
    "reasoning_effort": Policy.FILE,
    "cli_version": Policy.FILE,
    "sandbox_policy": Policy.FILE,
    "approval_mode": Policy.FILE,
    "tokens_used": Policy.FILE,
    "first_user_message": Policy.FILL,
    "preview": Policy.FILL,  # an empty one hides the thread from every list
    "title": Policy.FILL,  # of a legacy thread it is the name a person gave
    "cwd": Policy.FILL,  # `reroot` may have moved it
    "git_sha": Policy.FILL,
    "git_branch": Policy.FILL,
    "git_origin_url": Policy.FILL,
    "name": Policy.ROW,  # `restore-names` brings it back
    "memory_mode": Policy.ROW,  # `polluted` stands in no file
    "history_mode": Policy.ROW,  # Codex moves a thread to the newer one, never back
    "has_user_event": Policy.ROW,
    "is_pinned": Policy.ROW,
    "thread_section_id": Policy.ROW,
    "section_position": Policy.ROW,
    "section_entered_at_ms": Policy.ROW,
    "project_id": Policy.ROW,
    "daybreak_enabled": Policy.ROW,
    "creator_user_id": Policy.ROW,
    "creator_account_id": Policy.ROW,
    "attached_thread_parent_id": Policy.ROW,
}
"""Of every column that we know, but for ``id``. One that is not here is a newer Codex's: as ``ROW``."""

_NEAR = {"created_at_ms": 1_000, "updated_at_ms": 2_000, "recency_at_ms": 2_000,
         "created_at": 1, "updated_at": 2, "recency_at": 2}  # fmt: skip
"""Codex stamps these with its own clock, a little before or after it writes the line they belong to."""

_UNSAID: dict[str, Value] = {
    "tokens_used": 0, "sandbox_policy": ThreadFacts().sandbox_policy, "approval_mode": ThreadFacts().approval_mode,
}  # fmt: skip
"""What stands for no word in the file."""

_SECONDS = {"created_at_ms": "created_at", "updated_at_ms": "updated_at", "recency_at_ms": "recency_at"}

_TEXTS: dict[str, Callable[[ThreadFacts], Value]] = {
    "source": lambda facts: facts.source,
    "thread_source": lambda facts: facts.thread_source,
    "agent_nickname": lambda facts: facts.agent_nickname,
    "agent_role": lambda facts: facts.agent_role,
    "agent_path": lambda facts: facts.agent_path,
    "originator": lambda facts: facts.originator,
    "model_provider": lambda facts: facts.model_provider or "",
    "model": lambda facts: facts.model,
    "reasoning_effort": lambda facts: facts.reasoning_effort,
    "cli_version": lambda facts: facts.cli_version,
    "sandbox_policy": lambda facts: facts.sandbox_policy,
    "approval_mode": lambda facts: facts.approval_mode,
    "tokens_used": lambda facts: facts.tokens_used,
    "first_user_message": lambda facts: facts.first_user_message,
    "preview": lambda facts: facts.preview,
    "title": lambda facts: facts.title,
    "cwd": lambda facts: facts.cwd,
    "git_sha": lambda facts: facts.git_sha,
    "git_branch": lambda facts: facts.git_branch,
    "git_origin_url": lambda facts: facts.git_origin_url,
    "memory_mode": lambda facts: facts.memory_mode,
    "history_mode": lambda facts: facts.history_mode,
    "created_at_ms": lambda facts: facts.created_ms,
    "updated_at_ms": lambda facts: facts.updated_ms or facts.created_ms,
    "recency_at_ms": lambda facts: facts.recency_ms or facts.created_ms,
}


def told(facts: ThreadFacts, *, path: str, archived: bool, written_ms: int, name: str | None) -> Record:
    """Return what a rollout at ``path`` says of each column. ``name``: what the names file calls the thread."""
    found: Record = {column: of(facts) for column, of in _TEXTS.items()}
    for column, seconds in _SECONDS.items():
        found[seconds] = _whole(found[column]) // 1000
    found |= {"rollout_path": path, "archived": int(archived), "archived_at": written_ms // 1000 if archived else None}
    found["name"] = name or facts.name
    return found


def new_row(thread_id: str, said: Record, columns: Iterable[str]) -> Record:
    """Return the row of a thread that has none, for a table with these columns."""
    known = set(columns)
    row = {"id": thread_id, **{column: value for column, value in said.items() if column in known}}
    name = said["name"]
    if name and name_column(row, known) == "title":
        row["title"] = name
        row.pop("name", None)
    return row


def name_column(row: Mapping[str, Value], columns: Iterable[str]) -> str:
    """Return where Codex keeps the name of a thread: a paginated one has a column for it, of others it is the title."""
    return "name" if row.get("history_mode") == "paginated" and "name" in set(columns) else "title"


def set_right(row: Record, said: Record, *, lies_elsewhere: bool) -> Record:
    """Return the columns of ``row`` that are wrong, with what they get. ``lies_elsewhere``: it names no file."""
    found: Record = {}
    for column, policy in POLICIES.items():
        if column not in row or column not in said or f"{column}_ms" in row:
            continue
        has, says = row[column], said[column]
        match policy:
            case Policy.FILE if column in _NEAR:
                wrong = bool(says) and abs(_whole(has) - _whole(says)) > _NEAR[column]
            case Policy.FILE:
                wrong = says not in (None, "", _UNSAID.get(column)) and has != says
            case Policy.FILL:
                wrong = has in (None, "") and says not in (None, "")
            case Policy.LATER:
                wrong = _whole(says) > _whole(has) + _NEAR[column]
            case Policy.PLACE:
                wrong = lies_elsewhere if column == "rollout_path" else has != says
                if column == "archived_at":
                    wrong = row.get("archived") != said["archived"]
            case Policy.ROW:
                wrong = False
        if wrong:
            found[column] = says
            # Together with their milliseconds: one of Codex's triggers follows who sets the seconds alone.
            if (seconds := _SECONDS.get(column)) in row:
                found[str(seconds)] = said[str(seconds)]
    return found


def _whole(value: Value) -> int:
    return value if isinstance(value, int) else 0
