"""The only place that knows all parts: opens, wires and closes them."""

from holdfast.state.handle import State
from holdfast.state.opening import open_state, peek_state
from holdfast.state.rebuilding import RebuildReport, rebuild
from holdfast.state.threads import Conversation, Threads

__all__ = ["Conversation", "RebuildReport", "State", "Threads", "open_state", "peek_state", "rebuild"]
