"""``holdfast threads children|tools``: whom a thread spawned, and what it may call."""

from __future__ import annotations

import click

from holdfast.cli.failing import no_thread
from holdfast.cli.given import Given, shared
from holdfast.cli.opening import opened
from holdfast.cli.render import out


@click.command(short_help="Show which threads a thread spawned.")
@click.argument("thread")
@click.option("--all", "below", is_flag=True, help="Also those that they spawned, and so on; the nearest first.")
@click.option("--status", type=click.Choice(["open", "closed"]), help="Only those that are open, or closed.")
@shared
def children(given: Given, thread: str, below: bool, status: str | None) -> None:
    """Show which threads THREAD spawned, as it was said, else as their rollouts say.

    A line each, fields between tabs: id, parent, status, said or rollout, and
    the name or title, if it has a rollout yet.

    \b
    Examples:
      holdfast threads children 019df488-d910
      holdfast threads children 019df488-d910 --all --status open --json
    """
    import msgspec

    with opened(given, only_look=True) as state:
        ask = state.threads.descendants if below else state.threads.children
        found = ask(thread, status)
        if found is None:
            raise no_thread(thread)
        known = {each.id: state.threads.get(each.id) for each in found}
    labels = {id: None if child is None else child.label for id, child in known.items()}
    if given.json:
        out.document({"children": [{**msgspec.to_builtins(each), "label": labels[each.id]} for each in found]})
        return
    for each in found:
        out.fields(each.id, each.parent_id, each.status, "said" if each.said else "rollout", labels[each.id] or "")


@click.command(short_help="Show which tools the harness offers in a thread.")
@click.argument("thread")
@shared
def tools(given: Given, thread: str) -> None:
    """Show the tools that the harness offers in THREAD, beside those its agent brings along.

    A line each, fields between tabs: namespace, name, description.

    \b
    Examples:
      holdfast threads tools 019df488-d910
      holdfast threads tools 019df488-d910 --json | jq '.tools[].name'
      holdfast threads tools "login bug"
    """
    with opened(given, only_look=True) as state:
        if state.threads.resolve(thread) is None:
            raise no_thread(thread)
        found = state.threads.tools(thread)
    if given.json:
        listed = None if found is None else [
            {
                "name": tool.name,
                "description": tool.description,
                "input_schema": tool.input_schema,
                "namespace": tool.namespace,
                "namespace_description": tool.namespace_description,
                "defer_loading": tool.defer_loading,
            }
            for tool in found
        ]  # fmt: skip
        out.document({"tools": listed})
        return
    if found is None:
        out.note("Nobody says which tools it has.")
    for tool in found or []:
        out.fields(tool.namespace or "", tool.name, tool.description)
