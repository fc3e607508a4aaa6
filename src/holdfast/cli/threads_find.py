"""``holdfast threads find``."""

from __future__ import annotations

import click

from holdfast.cli.failing import no_thread
from holdfast.cli.given import Given, shared
from holdfast.cli.opening import opened
from holdfast.cli.render import out


@click.command(short_help="Print where a thread's rollout file is.")
@click.argument("thread")
@click.option("--archived/--active", default=None, help="Only if it is, or is not, archived.")
@shared
def find(given: Given, thread: str, archived: bool | None) -> None:
    """Print the path of the rollout file of THREAD: an id, the beginning of one, a name or a title.

    The file is opened and its own id compared: what is printed is the
    thread's file, also when the index was wrong.

    \b
    Examples:
      holdfast threads find 019df488-d910
      less "$(holdfast threads find 'fix the login')"
      holdfast threads find 019df488-d910 --json
    """
    with opened(given, only_look=True) as state:
        found = state.threads.find(thread, archived=archived)
        if found is None:
            known = state.threads.resolve(thread) if archived is None else None
            raise no_thread(thread, known)
    if given.json:
        from holdfast.cli.render.threads import found_document

        out.document(found_document(found))
        return
    if not found.verified:
        out.note(f"{found.file} could not be checked: it carries no id of its own")
    # A path must work as it is, so it is not made safe on a pipe.
    out.path(found.file)
