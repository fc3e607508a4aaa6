"""What Codex itself derived of the recorded homes, and where we differ on purpose."""

from __future__ import annotations

import json
from typing import Any

from homes import FIXTURES

VERSIONS = ("0.141", "0.169")

SAME = {
    "agent_nickname": "agent_nickname",
    "agent_path": "agent_path",
    "agent_role": "agent_role",
    "approval_mode": "approval_mode",
    "cli_version": "cli_version",
    "cwd": "cwd",
    "first_user_message": "first_user_message",
    "git_branch": "git_branch",
    "git_origin_url": "git_origin_url",
    "git_sha": "git_sha",
    "history_mode": "history_mode",
    "memory_mode": "memory_mode",
    "model": "model",
    "model_provider": "model_provider",
    "originator": "originator",
    "preview": "preview",
    "reasoning_effort": "reasoning_effort",
    "sandbox_policy": "sandbox_policy",
    "source": "source",
    "thread_source": "thread_source",
    "title": "title",
    "tokens_used": "tokens_used",
}
"""Column of Codex -> fact of ours that must be the same; a ``Thread`` calls them the same."""

NEAR_MS = {
    "created_at_ms": ("created_ms", 30),
    "updated_at_ms": ("updated_ms", 1_000),
    "recency_at_ms": ("recency_ms", 40),
}
"""Codex stamps these with its own clock, a little before or after it writes the line they belong to."""

ELSEWHERE = {
    "archived",  # the folder says it
    "archived_at",  # when Codex moved the file
    "attached_thread_parent_id",
    "creator_account_id",
    "creator_user_id",
    "daybreak_enabled",
    "created_at",  # seconds; the ms columns are compared
    "has_user_event",  # unused
    "id",
    "is_pinned",  # said by a person, in the database only
    "name",  # from session_index.jsonl
    "project_id",
    "recency_at",
    "rollout_path",
    "section_entered_at_ms",
    "section_position",
    "thread_section_id",
    "updated_at",
}

DIFFERENT = {
    # Before 0.169 a name replaced the title; ours keeps both.
    ("0.141", "01a1fa0a-1d76-7011-813e-9da0467c1b57", "title"),
    ("0.141", "01a1fa0a-73e2-79c0-9571-d05477c37ec2", "title"),
    ("0.141", "01a1fa0a-7679-7e52-9c16-df83c6d2b598", "title"),
    # Codex keeps a title of any length; ours ends at 512 characters.
    ("0.169", "01a1fa07-caae-7b92-9139-68b48e49cc4f", "title"),
    # Patched through the API: Codex wrote that into its database only.
    ("0.169", "01a1fa08-1b0f-7521-bbfc-b63efb3a9c41", "git_branch"),
    # Named through the API, which touches the thread without writing a line.
    ("0.169", "01a1fa08-2e8d-7381-8ab6-5571539eb5ea", "updated_at_ms"),
}


def rows(version: str) -> list[dict[str, Any]]:
    """Return the rows of Codex's own ``threads`` table."""
    return json.loads((FIXTURES / f"oracle-{version}.json").read_text())


def listed(version: str) -> set[tuple[str, str, str]]:
    """Return the differences (version, thread, column) that are known and meant."""
    return {each for each in DIFFERENT if each[0] == version}
