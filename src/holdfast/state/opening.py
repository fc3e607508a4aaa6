"""How a state is opened: check, migrate, index, hand over; or only look."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

from holdfast import holds, postgres, schema
from holdfast.clock import Clock, wall_ms
from holdfast.engine import Engine, Read
from holdfast.errors import Refused
from holdfast.ingest import gate
from holdfast.ingest.model import OnProgress
from holdfast.postgres import is_url
from holdfast.sqlite import Store
from holdfast.state import directory, moved, said
from holdfast.state.handle import State
from holdfast.threads import homes as home_rows
from holdfast.threads.model import Home

OneOrMore = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None


def open_state(
    home: OneOrMore = None,
    *,
    own: str | os.PathLike[str] | None = None,
    state: str | None = None,
    state_dir: str | os.PathLike[str] | None = None,
    wait: bool = True,
    refresh: bool = True,
    search: bool = True,
    wait_ms: int = gate.WAIT_MS,
    on_progress: OnProgress | None = None,
    clock: Clock | None = None,
) -> State:
    """Open the state and index ``home``, then hand over: a path, several, or None for the default home.

    ``own`` is the home this program keeps its own transcripts in: made when
    missing, indexed like the others, and the one that ``state.threads.create``,
    ``resume`` and ``fork`` write in. With ``own`` alone no other home is opened.

    ``wait=False`` returns at once: the index goes on in the background, and
    reads are answered from what there is of it, else from the files.
    ``refresh=False`` indexes only a home that never was. ``search`` keeps the
    index of words current in the background. 1 ms, and the index: a home of
    10,000 rollouts takes 2 s the first time and 0.07 s with nothing new.

    ``state`` is the URL of a PostgreSQL database (``postgresql://…``, also as
    the only argument, or in ``HOLDFAST_STATE``), where many machines keep their
    threads and holds; logs, receipts and cache stay in ``state_dir``.

    Raises ``Refused`` (no such home; a state directory inside it), ``Busy``
    (another process still indexes it after ``wait_ms``), ``Damaged``,
    ``Unsupported``, ``Full``.
    """
    if isinstance(home, str) and is_url(home):
        home, state = None, home
    url = directory.database(state, state_dir)
    if state is not None and url is None:
        raise Refused(f"state={state!r} is no URL of a database", remedy="A directory is named with state_dir=.")
    path = directory.real(state_dir)
    paths = [] if home is None and own is not None else real_homes(home)
    own_path = None if own is None else os.path.realpath(os.path.expanduser(own))
    directory.check_outside(path, paths if own_path is None else [*paths, own_path])
    if own_path is not None:
        directory.make_home(own_path)
        if gate.real_home(own_path) not in paths:
            paths.append(own_path)
    directory.prepare(path)
    engine = open_engine(path, url, clock)
    try:
        with engine.read() as tx:
            known = homes_of(tx, paths)
        new = any(each.indexed_ms is None for each in known)
        if new and url is None:
            _go_on_from_snapshot(engine, path)
        opened = State(path, engine, known, own=own_path, read_only=False, search=search)
        opened.promise_missed_snapshot()
        if refresh or new:
            if wait:
                opened.reports = opened.index(on_progress=on_progress, wait_ms=wait_ms)
            else:
                opened.index_in_background(on_progress=on_progress)
                return opened
        if refresh:
            opened.words.feed_in_background(opened)
        return opened
    except BaseException:
        engine.close()
        raise


def open_engine(path: str, url: str | None = None, clock: Clock | None = None) -> Engine:
    """Open and migrate the database of a state: of the state directory ``path``, or at ``url``. Indexes nothing."""
    return _open_database(url, clock) if url else _open_file(path, clock)


def _open_file(path: str, clock: Clock | None) -> Engine:
    db = os.path.join(path, directory.STATE_DB)
    _drop_second_name(path, db)
    engine = Store.open(db, clock=clock or wall_ms)
    try:
        moved.refuse(engine)
        schema.migrate(engine)
        if clock is None:
            engine.clock = schema.anchored_clock(engine)
    except BaseException:
        engine.close()
        raise
    return engine


def _open_database(url: str, clock: Clock | None) -> Engine:
    from holdfast.board.ending import end_all as end_tasks  # which a state in a file does not need to open
    from holdfast.jobs.ending import end_all as end_jobs

    engine = postgres.Store.open(url, clock=clock)
    try:
        moved.refuse(engine)
        schema.migrate(engine)
        holds.know_server(engine, lambda tx: (end_jobs(tx), end_tasks(tx)))
    except BaseException:
        engine.close()
        raise
    return engine


def peek_state(
    home: OneOrMore = None, *, state: str | None = None, state_dir: str | os.PathLike[str] | None = None
) -> State:
    """Look without a trace: nothing is created, migrated, indexed or written.

    Where no state was ever kept, reads are answered from the files. Raises
    ``Refused`` (no such home), ``Damaged``, ``Unsupported`` (a newer file that
    this version cannot read).
    """
    paths = real_homes(home)
    path = directory.real(state_dir)
    known: Sequence[Home] = [Home(0, each) for each in paths]
    url = directory.database(state, state_dir)
    try:
        engine = _peek(os.path.join(path, directory.STATE_DB), url)
    except FileNotFoundError:
        return State(path, None, known, read_only=True, search=False)
    try:
        moved.refuse(engine)
        if not schema.check_readable(engine):  # empty: its creation was cut short, and nothing was ever said
            engine.close()
            return State(path, None, known, read_only=True, search=False)
        if isinstance(engine, Store):
            engine.clock = schema.anchored_clock(engine)
        with engine.read() as tx:
            known = homes_of(tx, paths)
    except BaseException:
        engine.close()
        raise
    return State(path, engine, known, read_only=True, search=False)


def _peek(db: str, url: str | None) -> Store | postgres.Store:
    return Store.peek(db, clock=wall_ms) if url is None else postgres.Store.peek(url)


def _drop_second_name(path: str, db: str) -> None:
    """A restore that was killed halfway left ``state.db`` with a second name, and such a file is not written."""
    with suppress(FileNotFoundError):
        if os.stat(db).st_nlink > 1:
            from holdfast.state import restoring  # which few need

            restoring.tidy(path, db)


def _go_on_from_snapshot(engine: Engine, path: str) -> None:
    """Where the database was lost and made anew, make its fences larger than any it gave; names follow home by home."""
    snapshot = said.newest(path)
    if snapshot is None:
        return
    with engine.write(wait_ms=30_000) as tx:
        if not home_rows.listing(tx):  # nothing was ever held in this one
            said.raise_epoch(tx, snapshot)


def real_homes(home: OneOrMore) -> list[str]:
    """Return the real paths of one home, several, or the default one, each once. Raises ``Refused``."""
    if home is None:
        home = directory.default_home()
    if isinstance(home, str | os.PathLike):
        home = [home]
    return list(dict.fromkeys(gate.real_home(each) for each in home))


def homes_of(tx: Read, paths: Sequence[str]) -> list[Home]:
    """Return the homes at these real paths; those never indexed with id 0."""
    return [home_rows.get(tx, path) or Home(0, path) for path in paths]
