"""``holdfast threads set``: git and memory, as a person says them."""

from __future__ import annotations

import click

from holdfast.cli.failing import no_thread
from holdfast.cli.given import Given, shared
from holdfast.cli.opening import opened


@click.command("set", short_help="Say where a thread's work stands in git, or whether it may be remembered.")
@click.argument("thread")
@click.option("--git-branch", metavar="NAME", help="The branch; an empty one takes it away.")
@click.option("--git-sha", metavar="SHA", help="The commit; an empty one takes it away.")
@click.option("--git-origin", metavar="URL", help="Where the repository comes from; an empty one takes it away.")
@click.option("--memory-mode", type=click.Choice(["enabled", "disabled", "polluted"]), help="May it be remembered?")
@shared
def set_thread(
    given: Given,
    thread: str,
    git_branch: str | None,
    git_sha: str | None,
    git_origin: str | None,
    memory_mode: str | None,
) -> None:
    """Say something of THREAD that its rollout does not. What is not given stays.

    Kept in holdfast's own state. Nothing is written to the home.

    \b
    Examples:
      holdfast threads set 019df488-d910 --git-branch fix/login
      holdfast threads set "login bug" --git-sha "" --memory-mode disabled
    """
    from holdfast.cli.threads_change import tell

    given_git = {"branch": git_branch, "sha": git_sha, "origin_url": git_origin}
    git = {name: value or None for name, value in given_git.items() if value is not None}
    if not git and memory_mode is None:
        raise click.UsageError("nothing to set: give --git-branch, --git-sha, --git-origin or --memory-mode")
    with opened(given) as state:
        found = state.threads.resolve(thread)
        if found is None:
            raise no_thread(thread)
        changed = found
        if git:
            changed = state.threads.set_git(found.id, **git) or found
        if memory_mode is not None:
            changed = state.threads.set_memory_mode(found.id, memory_mode) or found
    tell(given, [changed], "is set:")
