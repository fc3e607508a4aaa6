"""A new ``state.db`` in place of a damaged one: from the homes, from what people said, and with jobs and memories.

Nothing is deleted: the damaged files are moved aside, and stay until somebody
removes them.
"""

from __future__ import annotations

import os

import msgspec

from holdfast import schema
from holdfast.clock import wall_ms
from holdfast.engine import Write
from holdfast.ingest import gate
from holdfast.ingest.model import IndexReport, OnProgress
from holdfast.sqlite import Store
from holdfast.state import aside, bringing, directory, said
from holdfast.state.opening import OneOrMore, real_homes
from holdfast.threads.model import Home


class RebuildReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a rebuild did. ``moved_to`` is None when there was no file; ``said_from`` says where names came from.

    ``brought``: rows of jobs and memories that came from the old file, by
    table; ``not_all_of``: the tables of which some could not be read, or are
    of threads that are in no home any more. They are still in the old file.
    """

    moved_to: str | None
    homes: tuple[str, ...]
    said: int
    """Threads whose name or archive mark was said again."""
    said_from: str
    """``database`` (it could still be read), ``snapshot``, or ``nowhere``."""
    reports: tuple[IndexReport, ...]
    brought: dict[str, int]
    not_all_of: tuple[str, ...]


def rebuild(
    home: OneOrMore = None,
    *,
    state_dir: str | os.PathLike[str] | None = None,
    on_progress: OnProgress | None = None,
) -> RebuildReport:
    """Move ``state.db`` aside and make it again. Takes as long as a first index.

    Homes are those the old file or the newest snapshot knew, and ``home``.
    Fences go on above all that were ever issued; jobs and memories are brought
    over as far as they can be read, and claims end. Raises ``Busy`` while any
    process has the file open, ``Refused`` when it is another program's.
    """
    wanted = real_homes(home)
    directory.refuse_database(state_dir, "rebuild", "Run `holdfast index --full`: every file is folded again.")
    path = directory.real(state_dir)
    directory.check_outside(path, wanted)
    directory.prepare(path)
    db = os.path.join(path, directory.STATE_DB)
    aside.refuse_when_in_use(db, remedy="End those processes, then run `holdfast index --rebuild` again.")
    aside.refuse_when_not_ours(db)
    old, came_from = aside.salvage(db, path)
    moved_to = aside.move(db, path, "damaged")
    homes = list(dict.fromkeys([*wanted, *(each for each in (old.homes if old else ()) if os.path.isdir(each))]))
    with Store.open(db, clock=wall_ms) as engine:
        schema.migrate(engine)
        engine.clock = schema.anchored_clock(engine)
        with engine.write() as tx:
            said.raise_epoch(tx, old)
        before = None if moved_to is None else os.path.join(moved_to, directory.STATE_DB)
        if before is not None:
            bringing.keep_numbers(before, engine, homes)
        restored = []

        def say_again(tx: Write, home: Home) -> None:
            if old is not None:
                restored.append(said.restore(tx, old, home))

        reports = tuple(gate.index(engine, each, on_progress=on_progress, at_first=say_again) for each in homes)
        brought, not_all_of = ({}, ()) if before is None else bringing.bring(before, engine)
        said.save(engine, path, before=old)
    return RebuildReport(
        moved_to=moved_to,
        homes=tuple(homes),
        said=sum(restored),
        said_from=came_from,
        reports=reports,
        brought=brought,
        not_all_of=not_all_of,
    )
