"""A bar on a terminal while something takes long; nothing anywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from holdfast.cli.render import safe, words

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from holdfast.board.exchange.model import ExchangeProgress
    from holdfast.board.exchange.model import OnProgress as OnExchanged
    from holdfast.doctor.applying import OnProgress as OnMended
    from holdfast.doctor.examining import Looked
    from holdfast.doctor.repairs.repair import RepairPlan
    from holdfast.ingest.model import OnProgress, Progress
    from holdfast.memory.model import OnProgress as OnRemembered
    from holdfast.memory.model import Progress as MemoryProgress
    from holdfast.search.model import FeedProgress
    from holdfast.search.model import OnProgress as OnFeedProgress
    from holdfast.sqlite.copying import OnProgress as OnCopied
    from holdfast.state.compressing import CompressProgress
    from holdfast.state.compressing import OnProgress as OnCompressed
    from holdfast.state.moving import MoveProgress
    from holdfast.state.moving import OnProgress as OnMoved

_QUIET_S = 0.3  # a bar that is gone before it is read is only flicker
_HOME_CHARS = 24  # with a bar and the numbers beside it that fits 80 columns
_FEW = 1_000  # files or threads: as many are done in that time


@contextmanager
def bar() -> Iterator[OnProgress | None]:
    """Yield what to pass as ``on_progress`` to whatever indexes homes; None when nobody looks."""
    with _shown() as shown:
        yield None if shown is None else shown.index


@contextmanager
def words_bar() -> Iterator[OnFeedProgress | None]:
    """Yield what to pass as ``on_progress`` to whatever indexes words; None when nobody looks."""
    with _shown() as shown:
        yield None if shown is None else shown.feed


@contextmanager
def copy_bar() -> Iterator[OnCopied | None]:
    """Yield what to pass as ``on_progress`` to whatever copies a database; None when nobody looks."""
    with _shown() as shown:
        yield None if shown is None else shown.copy


@contextmanager
def move_bar() -> Iterator[OnMoved | None]:
    """Yield what to pass as ``on_progress`` to whatever moves a state; None when nobody looks."""
    with _shown() as shown:
        yield None if shown is None else shown.move


@contextmanager
def compress_bar() -> Iterator[OnCompressed | None]:
    """Yield what to pass as ``on_progress`` to whatever compresses rollouts; None when nobody looks."""
    with _shown() as shown:
        yield None if shown is None else shown.compress


@contextmanager
def exchange_bar() -> Iterator[OnExchanged | None]:
    """Yield what to pass as ``on_progress`` to whatever carries boards in or out; None when nobody looks."""
    with _shown() as shown:
        yield None if shown is None else shown.exchange


@contextmanager
def memory_bar() -> Iterator[OnRemembered | None]:
    """Yield what to pass as ``on_progress`` to whatever has a model read threads; None when nobody looks."""
    with _shown() as shown:
        yield None if shown is None else shown.remember


@contextmanager
def look_bar() -> Iterator[Looked | None]:
    """Yield what to pass as ``on_progress`` to the doctor; None when nobody looks."""
    with _shown() as shown:
        yield None if shown is None else shown.look


@contextmanager
def mend_bar(plan: RepairPlan) -> Iterator[OnMended | None]:
    """Yield what to pass as ``on_progress`` to whatever carries out a plan; None when nobody looks."""
    with _shown() as shown:
        yield None if shown is None else partial(shown.mend, {step.number: step.action.repair for step in plan.steps})


@contextmanager
def _shown() -> Iterator[_Bar | None]:
    if not sys.stderr.isatty():
        yield None
        return
    shown = _Bar()
    try:
        yield shown
    finally:
        shown.close()


class _Bar:
    """Appears when there is enough to wait for, and is gone afterwards."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._rich: RichProgress | None = None
        self._tasks: dict[str, TaskID] = {}

    def index(self, progress: Progress) -> None:
        home = words.tail(progress.home, _HOME_CHARS)
        text = f"Indexing {home}" if progress.by is None else f"Waiting for {progress.by} to index {home}"
        self._show(progress.home, text, progress.percent, progress.files_done, progress.files, progress.by is not None)

    def feed(self, progress: FeedProgress) -> None:
        self._show("", "Indexing words", progress.percent, progress.threads_done, progress.threads, False)

    def copy(self, done: int, total: int) -> None:
        self._show("", "Copying", done * 100 // max(total, 1), done >> 20, total >> 20, False)

    def move(self, progress: MoveProgress) -> None:
        text = f"Waiting for {progress.by}" if progress.by else f"Moving {progress.table}"
        percent = progress.rows_done * 100 // max(progress.rows, 1)
        if progress.by or progress.step == "copying":
            self._show("", text, percent, progress.rows_done, progress.rows, progress.by is not None)
        elif progress.step == "checking":
            self._show("", f"Comparing {progress.table}", 100, 0, 0, False)

    def remember(self, progress: MemoryProgress) -> None:
        text = "Reading threads" if progress.phase == "extract" else "Putting notes together"
        percent = progress.done * 100 // max(progress.due, 1)
        self._show(progress.phase, text, percent, progress.done, progress.due, False)

    def exchange(self, progress: ExchangeProgress) -> None:
        done, of = progress.done, progress.total
        text = f"{progress.step.capitalize()} {progress.board}".strip()
        self._show(f"{progress.board} {progress.step}", text, done * 100 // max(of, 1), done, of, False)

    def compress(self, progress: CompressProgress) -> None:
        done, of = progress.files_done, progress.files
        text = f"Compressing {words.tail(progress.home, _HOME_CHARS)}"
        self._show(progress.home, text, done * 100 // max(of, 1), done, of, False)

    def look(self, probe: str, path: str, done: int, of: int) -> None:
        self._show("", f"Looking: {probe}", done * 100 // max(of, 1), done, of, True)

    def mend(self, names: dict[int, str], number: int, point: str, done: int, total: int) -> None:
        text = f"{number} of {len(names)} {names.get(number, '')}: {point}"
        self._show(str(number), text, done * 100 // max(total, 1), done, total, True)

    def close(self) -> None:
        if self._rich is not None:
            self._rich.stop()

    def _show(self, task: str, text: str, percent: int, done: int, total: int, at_once: bool) -> None:
        if self._rich is None:
            if not at_once and total < _FEW and time.monotonic() - self._began < _QUIET_S:
                return
            self._rich = _start()
        count = f"{done:,} of {total:,}" if total else ""
        if task not in self._tasks:
            self._tasks[task] = self._rich.add_task("", total=100, count="")
        self._rich.update(self._tasks[task], completed=percent, description=safe.line(text), count=count)


def _start() -> RichProgress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    rich = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TaskProgressColumn(),
        TextColumn("{task.fields[count]}", markup=False),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    rich.start()
    return rich
