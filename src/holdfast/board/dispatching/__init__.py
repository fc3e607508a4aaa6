"""The dispatcher: gives each ready task to a process of its own, and sees it to its end.

dispatcher = state.board.dispatcher('codex exec "$HOLDFAST_PROMPT"', board="default", running_max=4)
report = dispatcher.run()            # until SIGTERM or SIGINT: the first drains, a second ends at once
dispatcher.run(until_idle=True)      # until nothing is ready and nobody works

state.board.dispatchers()            # -> list[Leader]: who dispatches what, its workers, lanes that are paused
"""

from holdfast.board.dispatching.dispatcher import Dispatcher
from holdfast.board.dispatching.leading import leaders
from holdfast.board.dispatching.model import How, Leader, Paused, Report, Told, Working

__all__ = ["Dispatcher", "How", "Leader", "Paused", "Report", "Told", "Working", "leaders"]
