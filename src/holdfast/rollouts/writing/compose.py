"""The items of one turn, as Codex 0.169 writes them in either history mode, so that it reads, lists and resumes them.

Words are written twice: as a ``response_item``, which the model is sent again,
and as an event, which people are shown and threads are listed by. A harness
with items of its own needs none of this: any ``{"type": …, "payload": …}`` goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from holdfast import ids
from holdfast.clock import Clock, wall_ms

Item = dict[str, Any]

READ_ONLY: Mapping[str, Any] = {"type": "read-only"}


class Turn:
    """One turn of a thread: each method returns the items to append."""

    def __init__(
        self, thread_id: str, *, history_mode: str = "paginated", turn_id: str | None = None, clock: Clock = wall_ms
    ) -> None:
        self.thread_id = thread_id
        self.turn_id = turn_id or ids.text(ids.new(clock()))
        self._legacy = history_mode == "legacy"
        self._clock = clock
        self._started_ms: int | None = None
        self._said: str | None = None

    def started(self, *, model_context_window: int | None = None) -> list[Item]:
        """Return the start of the turn."""
        self._started_ms = self._clock()
        return [
            self._event(
                "task_started",
                turn_id=self.turn_id,
                root_turn_id=self.turn_id,
                started_at=self._started_ms // 1000,
                model_context_window=model_context_window,
                collaboration_mode_kind="default",
            )
        ]

    def context(
        self,
        *,
        cwd: str,
        model: str,
        approval_policy: str = "on-request",
        sandbox_policy: Mapping[str, Any] = READ_ONLY,
        effort: str | None = None,
        **more: Any,
    ) -> list[Item]:
        """Return what the turn runs with. ``more`` are further keys of a ``turn_context``."""
        settings = {"model": model, "reasoning_effort": effort, "developer_instructions": None}
        payload: Item = {
            "turn_id": self.turn_id,
            "root_turn_id": self.turn_id,
            "cwd": cwd,
            "approval_policy": approval_policy,
            "model": model,
            "collaboration_mode": {"mode": "default", "settings": settings},
            **({"effort": effort} if effort else {}),
            "summary": "auto",
            "sandbox_policy": dict(sandbox_policy),
            **more,
        }
        return [{"type": "turn_context", "payload": payload}]

    def user_message(self, text: str, images: Sequence[str] = ()) -> list[Item]:
        """Return what the user said; ``images`` are URLs, ``data:`` URLs among them."""
        content: list[Item] = [{"type": "input_text", "text": text}] if text else []
        content += [{"type": "input_image", "image_url": url} for url in images]
        sent = self._message("user", content)
        if self._legacy:
            shown = self._event("user_message", message=text, images=list(images), local_images=[], text_elements=[])
        else:
            words: list[Item] = [{"type": "text", "text": text, "text_elements": []}] if text else []
            words += [{"type": "image", "image_url": url} for url in images]
            shown = self._completed("UserMessage", self._id(), content=words)
        return [sent, shown]

    def assistant_message(self, text: str, *, is_final: bool = True) -> list[Item]:
        """Return what the model said: its answer, or a remark on the way to it."""
        self._said = text if is_final else self._said
        phase = "final_answer" if is_final else "commentary"
        id = f"msg_{self._id()}"
        if self._legacy:
            shown = self._event("agent_message", message=text, phase=phase, memory_citation=None)
        else:
            shown = self._completed("AgentMessage", id, content=[{"type": "Text", "text": text}], phase=phase)
        return [shown, self._message("assistant", [{"type": "output_text", "text": text}], id=id, phase=phase)]

    def reasoning(self, summary: str, *, encrypted_content: str | None = None) -> list[Item]:
        """Return what the model showed of its thinking; it is sent again only with its ``encrypted_content``."""
        id = f"rs_{self._id()}"
        if self._legacy:
            found = [self._event("agent_reasoning", text=summary)]
        else:
            found = [self._completed("Reasoning", id, summary_text=[summary], raw_content=[])]
        if encrypted_content is not None:
            found.append(
                self._response(
                    "reasoning",
                    id=id,
                    summary=[{"type": "summary_text", "text": summary}],
                    content=None,
                    encrypted_content=encrypted_content,
                )
            )
        return found

    def function_call(self, name: str, arguments: str, *, call_id: str) -> list[Item]:
        """Return a call of a tool; ``arguments`` is JSON text."""
        return [self._response("function_call", name=name, arguments=arguments, call_id=call_id)]

    def function_call_output(self, output: str, *, call_id: str) -> list[Item]:
        """Return what the tool answered."""
        return [self._response("function_call_output", call_id=call_id, output=output)]

    def token_count(
        self, total: Mapping[str, int], last: Mapping[str, int] | None = None, *, context_window: int | None = None
    ) -> list[Item]:
        """Return the tokens used: by the thread so far, and by the last answer; ``tokens`` makes the mappings."""
        info = {
            "total_token_usage": dict(total),
            "last_token_usage": dict(last if last is not None else total),
            "model_context_window": context_window,
        }
        return [self._event("token_count", info=info, rate_limits=None)]

    def completed(self) -> list[Item]:
        """Return the end of the turn, with the last answer in it."""
        return [self._event("task_complete", **self._ends(last_agent_message=self._said))]

    def aborted(self, reason: str = "interrupted") -> list[Item]:
        """Return the end of a turn that was cut short."""
        return [self._event("turn_aborted", **self._ends(reason=reason))]

    def _ends(self, **how: Any) -> Item:
        now_ms = self._clock()
        began_ms = now_ms if self._started_ms is None else self._started_ms
        return {
            "root_turn_id": self.turn_id,
            "turn_id": self.turn_id,
            **how,
            "started_at": began_ms // 1000,
            "completed_at": now_ms // 1000,
            "duration_ms": max(0, now_ms - began_ms),
        }

    def _id(self) -> str:
        return ids.text(ids.new(self._clock()))

    def _event(self, kind: str, **fields: Any) -> Item:
        return {"type": "event_msg", "payload": {"type": kind, **fields}}

    def _response(self, kind: str, **fields: Any) -> Item:
        return {"type": "response_item", "payload": {"type": kind, **fields}}

    def _message(self, role: str, content: list[Item], **more: Any) -> Item:
        return self._response("message", role=role, content=content, **more)

    def _completed(self, kind: str, id: str, **fields: Any) -> Item:
        now_ms = self._clock()
        return self._event(
            "item_completed",
            thread_id=self.thread_id,
            turn_id=self.turn_id,
            item={"type": kind, "id": id, **fields},
            started_at_ms=now_ms,
            completed_at_ms=now_ms,
        )


def tokens(*, input: int, output: int, cached: int = 0, cache_write: int = 0, reasoning: int = 0) -> dict[str, int]:
    """Return a count of tokens as Codex spells it; its total is input and output."""
    return {
        "input_tokens": input,
        "cached_input_tokens": cached,
        "cache_write_input_tokens": cache_write,
        "output_tokens": output,
        "reasoning_output_tokens": reasoning,
        "total_tokens": input + output,
    }
