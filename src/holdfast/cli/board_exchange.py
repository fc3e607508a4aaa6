"""``holdfast board import`` and ``holdfast board export``."""

from __future__ import annotations

import os
import sys

import click

from holdfast.cli import board_given as at
from holdfast.cli.given import Given, shared
from holdfast.cli.render import out

_OF_HERMES = (".db", ".sqlite", ".sqlite3")


@click.command("import", short_help="Bring in a board, of ours or of Hermes.")
@click.argument("source", metavar="PATH")
@click.option("--board", metavar="SLUG", help="The board it becomes here; default the one it was.")
@click.option("--format", "kind", type=click.Choice(["json", "hermes"]), help="Default by the name of PATH.")
@click.option("--no-attachments", is_flag=True, help="Of a board of Hermes: leave its files out.")
@click.option("--dry-run", is_flag=True, help="Say what would come in; change nothing.")
@shared
def import_board(
    given: Given, source: str, board: str | None, kind: str | None, no_attachments: bool, dry_run: bool
) -> None:
    """Bring in what `export` wrote (JSON lines; - is stdin), or a board of Hermes: a kanban.db, or a folder of them.

    Hermes may be running: nothing of its files changes. What was brought in
    before is left as it is here, so the same again brings what is new.

    \b
    Examples:
      holdfast board import ~/.hermes/kanban.db --board hermes --dry-run
      holdfast board import ~/.hermes
      holdfast board import board.jsonl
    """
    from holdfast.board import exchange
    from holdfast.cli.render import board_exchange as render
    from holdfast.cli.render.progress import exchange_bar

    kind = kind or ("hermes" if os.path.isdir(source) or source.lower().endswith(_OF_HERMES) else "json")
    if no_attachments and kind == "json":
        raise click.UsageError("--no-attachments is for boards of Hermes")
    with at.opened(given) as state, exchange_bar() as on_progress:
        engine = state.engine_to_write()
        if kind == "hermes":
            reports = exchange.import_hermes(
                engine, source, board=board, dry_run=dry_run, attachments=not no_attachments, on_progress=on_progress
            )
        else:
            read = sys.stdin.buffer if source == "-" else source
            reports = [exchange.import_json(engine, read, board=board, dry_run=dry_run, on_progress=on_progress)]
    if given.json:
        out.document({"boards": [render.import_document(report) for report in reports]})
        return
    for report in reports:
        for line in render.import_lines(report, verbose=given.verbose):
            out.line(line)


@click.command("export", short_help="Write a board as JSON, or as Markdown to read.")
@click.argument("target", metavar="[PATH]", default="-")
@at.ON_BOARD
@click.option("--format", "kind", type=click.Choice(["json", "markdown"]), help="Default by the name of PATH.")
@click.option("--no-attachments", is_flag=True, help="Only the names of files, not what is in them.")
@click.option("--replace", is_flag=True, help="Also where there is something at PATH already.")
@shared
def export_board(
    given: Given, target: str, board: str | None, kind: str | None, no_attachments: bool, replace: bool
) -> None:
    """Write a board, as it is at one moment, into PATH; without one, or with -, to stdout.

    JSON lines are for `import`. Markdown is for people: one file when PATH
    ends in .md, else a folder with a file for each task.

    \b
    Examples:
      holdfast board export board.jsonl
      holdfast board export board.md
      holdfast board export report --format markdown --board website
    """
    from holdfast.board import exchange
    from holdfast.cli.render import board_exchange as render
    from holdfast.cli.render.progress import exchange_bar

    kind = kind or ("markdown" if target.lower().endswith(".md") else "json")
    if no_attachments and kind == "markdown":
        raise click.UsageError("--no-attachments is for JSON")
    if target == "-" and given.json:
        raise click.UsageError("--json would mix with the board on stdout; name a PATH")
    written = sys.stdout.buffer if target == "-" else target
    sys.stdout.flush()
    with at.kept(given) as state, exchange_bar() as on_progress:
        assert state.engine is not None
        with state.read() as tx:
            slug = at.board_of(tx, board).slug
        if kind == "markdown":
            report = exchange.export_markdown(
                state.engine, written, board=slug, replace=replace, on_progress=on_progress
            )
        else:
            report = exchange.export_json(
                state.engine,
                written,
                board=slug,
                attachments="none" if no_attachments else "inline",
                replace=replace,
                on_progress=on_progress,
            )
    if given.json:
        out.document(render.export_document(report))
    else:
        out.note(render.export_line(report))
