"""A screen of a terminal that is drawn again when something changes: q, Ctrl-C, a resize, Ctrl-Z and its return."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

    from holdfast.waking import Changes

_TICK_S = 1.0  # ages and times to go are in seconds
_DRAWS_S = 0.2  # between two, however much happens
_QUIT = b"qQ\x04"  # and Ctrl-D


class LiveScreen:
    """Draws what ``draw(changed)`` returns, on a screen of its own, which is gone afterwards.

    ``changed`` is False where only time went by. Call ``run`` in the main thread.
    """

    def __init__(self, changes: Changes, draw: Callable[[bool], RenderableType]) -> None:
        self._changes = changes
        self._draw = draw
        # Plain flags: a signal's handler may not wait for a lock that the code it interrupts holds.
        self._ends = False
        self._changed = False
        self._suspends = False
        self._code = 0

    def run(self) -> int:
        """Draw until somebody ends it; return the exit code: 0 for q, 128 + its number for a signal."""
        from rich.live import Live

        from holdfast.cli.render import out

        console = out.console()
        while True:
            with self._keyboard(), self._signals(), Live(console=console, screen=True, auto_refresh=False) as live:
                self._changed = True
                while not self._ends and not self._suspends:
                    changed, self._changed = self._changed, False
                    live.update(self._draw(changed), refresh=True)
                    drawn = time.monotonic()
                    self._changed = self._changes.wait(_TICK_S) or self._changed
                    if not self._ends and not self._suspends:
                        time.sleep(max(0.0, drawn + _DRAWS_S - time.monotonic()))
            if self._ends:
                return self._code
            self._suspends = False
            os.kill(os.getpid(), signal.SIGSTOP)  # with the terminal as it was; SIGCONT goes on here

    def end(self, code: int = 0) -> None:
        """End it, from any thread or a signal handler."""
        self._code = code
        self._ends = True
        self._changes.wake()

    @contextmanager
    def _keyboard(self) -> Iterator[None]:
        """Hear single keys, unseen, while this lasts."""
        if not sys.stdin.isatty():
            yield
            return
        keyboard = sys.stdin.fileno()
        before = termios.tcgetattr(keyboard)
        over, tell_over = os.pipe()
        reader = threading.Thread(target=self._read, args=(keyboard, over), name="holdfast-keys", daemon=True)
        tty.setcbreak(keyboard)
        reader.start()
        try:
            yield
        finally:
            os.write(tell_over, b"\0")
            reader.join()
            os.close(over)
            os.close(tell_over)
            termios.tcsetattr(keyboard, termios.TCSADRAIN, before)

    def _read(self, keyboard: int, over: int) -> None:
        while True:
            ready, _, _ = select.select([keyboard, over], [], [])
            if over in ready:
                return
            try:
                typed = os.read(keyboard, 64)
            except OSError:  # the terminal went away
                typed = b""
            if not typed or any(key in _QUIT for key in typed):
                self.end()
                return

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Draw again at a resize, and leave the terminal clean at whatever else comes."""

        def end(number: int, _frame: FrameType | None) -> None:
            self.end(128 + number)

        def resize(number: int, _frame: FrameType | None) -> None:
            self._changed = True
            self._changes.wake()

        def suspend(number: int, _frame: FrameType | None) -> None:
            self._suspends = True
            self._changes.wake()

        handlers: dict[signal.Signals, Callable[[int, FrameType | None], None]]
        handlers = {signal.SIGINT: end, signal.SIGTERM: end, signal.SIGHUP: end}
        handlers |= {signal.SIGWINCH: resize, signal.SIGTSTP: suspend}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                with suppress(TypeError):  # None: it was not set from Python
                    signal.signal(number, handler)
