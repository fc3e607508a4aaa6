"""The only place that knows all parts: opens, wires and closes them."""

from holdfast.state.backing_up import BackupReport, backup
from holdfast.state.handle import State
from holdfast.state.opening import open_state, peek_state
from holdfast.state.rebuilding import RebuildReport, rebuild
from holdfast.state.restoring import RestoreReport, restore
from holdfast.state.threads import Conversation, Threads

__all__ = [
    "BackupReport",
    "Conversation",
    "RebuildReport",
    "RestoreReport",
    "State",
    "Threads",
    "backup",
    "open_state",
    "peek_state",
    "rebuild",
    "restore",
]
