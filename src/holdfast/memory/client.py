"""A model behind any server of OpenAI's chat API. Needs ``httpx`` (``pip install 'holdfast[memory]'``).

The key goes into one header of one request, and nowhere else: not into
errors, not into ``repr``, not to another address (redirects are refused).
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from holdfast.errors import Busy, Full, HoldfastError, Refused, Unsupported
from holdfast.logs import redact
from holdfast.memory.model import NotThisThread, Prompt, Unavailable
from holdfast.memory.rules import bad_answer
from holdfast.memory.serializing import BYTES_PER_TOKEN

_WRONG = {401, 403, 404}  # the key or the address: no other prompt would do better
_AGAIN = {408, 409, 425, 429}  # and whatever the server calls its own failure, from 500 on
_ERROR_BYTES_MAX = 4_096
_ERROR_CHARS_SHOWN = 300
_RETRY_FIRST_S = 0.5
_RETRY_MAX_S = 60.0


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    total_tokens: int = 0


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    usage: _Usage | None = None


class _Again(Exception):
    """The server may answer a second time. ``after_s``: as it asked itself."""

    def __init__(self, what: str, after_s: float | None = None) -> None:
        super().__init__(what)
        self.after_s = after_s


class _WrongServer(Refused, NotThisThread):
    """The key or the address is wrong."""


class _NoAnswer(Busy, Unavailable):
    """Nobody there, an overload, a timeout: after all tries."""


class OpenAICompatible:
    """Call it with a ``Prompt``: returns the text of the answer. Threads may share it; close it when done.

    ``base_url`` is what comes before ``/chat/completions``. One call takes at
    most ``deadline_s``, all tries, waits and slow answers together; it tries
    ``attempts_max`` times when the server is busy or gone, and waits as long
    as ``Retry-After`` says. ``tokens_budget`` bounds all calls together, what
    is asked and what is answered. An answer over ``answer_bytes_max`` is cut
    off and thrown away.

    Raises ``Busy`` (try later: the server, the net, an answer that cannot be
    used), ``Full`` (the budget is used up), ``Refused`` (the server says the
    request, the key or the address is wrong), ``Unsupported`` (no ``httpx``).
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        key: str | None = None,
        *,
        deadline_s: float = 300.0,
        connect_s: float = 10.0,
        attempts_max: int = 4,
        answer_bytes_max: int = 4 * 1024 * 1024,
        answer_tokens_max: int = 16_000,
        tokens_budget: int | None = None,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        try:
            import httpx
        except ImportError:
            raise Unsupported(
                "a model is reached with httpx, which is not installed", remedy="pip install 'holdfast[memory]'"
            ) from None
        if not base_url.startswith(("http://", "https://")):
            raise Refused("the address of a model begins with http:// or https://")
        if key is not None and (not key.isascii() or not key.isprintable()):
            raise Refused("the key holds characters that no HTTP header can carry")
        self._httpx = httpx
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._model = model
        self._key = key
        self._deadline_s = deadline_s
        self._connect_s = connect_s
        self._attempts_max = attempts_max
        self._answer_bytes_max = answer_bytes_max
        self._answer_tokens_max = answer_tokens_max
        self._budget = tokens_budget
        self._pause = pause
        self._lock = threading.Lock()
        self.tokens_used = 0
        """What the server says was used; where it does not say, what the bytes come to."""
        # No connection is kept: each call sees its own being made, and can cut it off at its deadline.
        self._client = httpx.Client(follow_redirects=False, limits=httpx.Limits(max_keepalive_connections=0))

    def __repr__(self) -> str:
        return f"OpenAICompatible({redact.text(self._url)!r}, {self._model!r})"

    def __enter__(self) -> OpenAICompatible:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the sockets up."""
        self._client.close()

    def __call__(self, prompt: Prompt) -> str:
        """Return the model's whole answer to ``prompt``."""
        body = msgspec.json.encode(
            {
                "model": self._model,
                "messages": [
                    {"role": "system", "content": prompt.system},
                    {"role": "user", "content": prompt.user},
                ],
                "max_tokens": self._answer_tokens_max,
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": prompt.schema_name, "strict": True, "schema": prompt.schema},
                },
            }
        )
        reserved = len(body) // BYTES_PER_TOKEN + self._answer_tokens_max
        self._spend(reserved)
        spent = 0
        try:
            text, spent = self._ask(body)
            return text
        finally:
            self._settle(reserved, spent)

    def _spend(self, tokens: int) -> None:
        with self._lock:
            if self._budget is not None and self.tokens_used + tokens > self._budget:
                raise Full(
                    f"the budget of {self._budget:,} tokens is used up: {self.tokens_used:,} were used or are"
                    f" under way, this call may take {tokens:,}",
                    remedy="Run again with a new budget.",
                )
            self.tokens_used += tokens

    def _settle(self, reserved: int, spent: int) -> None:
        with self._lock:
            self.tokens_used += spent - reserved

    def _ask(self, body: bytes) -> tuple[str, int]:
        ends = time.monotonic() + self._deadline_s
        for attempt in range(1, self._attempts_max + 1):
            try:
                return self._once(body, ends)
            except _Again as again:
                wait_s = again.after_s
                if wait_s is None:
                    wait_s = min(_RETRY_MAX_S, _RETRY_FIRST_S * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0)
                if attempt == self._attempts_max or time.monotonic() + wait_s >= ends:
                    tries = "1 try" if attempt == 1 else f"{attempt} tries"
                    asked = "" if again.after_s is None else f"; it asked to be left alone for {again.after_s:,.0f} s"
                    error = _NoAnswer(
                        f"no answer from {self!r} after {tries}: {again}{asked}",
                        remedy="It is tried again later; ask the server's own status page.",
                    )
                    error.retry_in_ms = int((again.after_s or 0) * 1000)
                    raise error from None
                self._pause(wait_s)
        raise AssertionError("attempts_max is 1 or more")

    def _once(self, body: bytes, ends: float) -> tuple[str, int]:
        httpx = self._httpx
        left_s = max(ends - time.monotonic(), 0.001)
        streams: list[Any] = []

        def note(event: str, info: dict[str, Any]) -> None:
            if event.endswith(("connect_tcp.complete", "start_tls.complete")):
                streams.append(info["return_value"])

        # A server that sends a byte now and then passes every timeout of one read: the call's own end cuts it off.
        cutter = threading.Timer(left_s, _cut_off, [streams])
        cutter.daemon = True
        cutter.start()
        try:
            with self._client.stream(
                "POST",
                self._url,
                content=body,
                headers=self._headers(),
                timeout=httpx.Timeout(left_s, connect=min(self._connect_s, left_s)),
                extensions={"trace": note},
            ) as response:
                return self._read(response, len(body))
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise _Again(type(error).__name__) from None
        except httpx.TimeoutException:
            raise _Again("it did not answer in time") from None
        except httpx.HTTPError as error:
            late = time.monotonic() >= ends
            raise _Again("it did not answer in time" if late else f"{type(error).__name__}") from None
        finally:
            cutter.cancel()

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "identity"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        return headers

    def _read(self, response: Any, asked_bytes: int) -> tuple[str, int]:
        status = response.status_code
        if status != 200:
            raise self._failed(status, response)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise bad_answer("it came compressed, which was not asked for")
        kind = response.headers.get("Content-Type", "").split(";")[0].strip().lower()
        if kind != "application/json":
            raise bad_answer(f"it is {self._shown(kind) or 'of no type'}, not application/json")
        raw = self._body(response, self._answer_bytes_max)
        if raw is None:
            raise bad_answer(f"it takes more than {self._answer_bytes_max:,} bytes")
        try:
            found = msgspec.json.decode(raw, type=_Completion)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            raise bad_answer("it is not what a chat completion looks like") from None
        if not found.choices or not found.choices[0].message.content:
            raise bad_answer("it is empty")
        if found.choices[0].finish_reason not in ("stop", None):
            raise bad_answer(f"it ended early ({self._shown(found.choices[0].finish_reason or '')})")
        counted = found.usage.total_tokens if found.usage is not None else 0
        return found.choices[0].message.content, counted if counted > 0 else (asked_bytes + len(raw)) // BYTES_PER_TOKEN

    def _failed(self, status: int, response: Any) -> HoldfastError | _Again:
        if status in _AGAIN or status >= 500:
            return _Again(f"status {status}", _after_s(response.headers.get("Retry-After")))
        if 300 <= status < 400:
            return _WrongServer(
                f"{self!r} sends us elsewhere (status {status}), and the key goes to no other address",
                remedy="Name the address it really has as base_url.",
            )
        body = self._body(response, _ERROR_BYTES_MAX, short=True) or b""
        if len(body) == _ERROR_BYTES_MAX:
            body = body[: -_ERROR_BYTES_MAX // 4]  # the end may be half a key, which looks like none
        said = self._shown(body.decode(errors="replace"))
        wrong = _WrongServer if status in _WRONG else Refused
        return wrong(f"{self!r} refused: status {status}: {said}", remedy="Check base_url, model and key.")

    def _body(self, response: Any, bytes_max: int, *, short: bool = False) -> bytes | None:
        """Return the body, or None when it is longer than ``bytes_max``; ``short``: then its beginning."""
        found = bytearray()
        for piece in response.iter_raw(64 * 1024):
            found += piece
            if len(found) > bytes_max:
                return bytes(found[:bytes_max]) if short else None
        return bytes(found)

    def _shown(self, text: str) -> str:
        """Return ``text`` of the server's as an error may show it: one short line without the key, or secrets."""
        if self._key:
            text = text.replace(self._key, redact.GONE)
        line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
        return redact.text(line)[:_ERROR_CHARS_SHOWN]


def _cut_off(streams: list[Any]) -> None:
    for stream in streams:
        try:
            sock = stream.get_extra_info("socket")
            sock.shutdown(2)
        except (OSError, AttributeError):
            pass  # over already


def _after_s(text: str | None) -> float | None:
    """Return how long ``Retry-After`` asks us to wait: seconds, or a date (RFC 9110 §10.2.3)."""
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            when = parsedate_to_datetime(text)
        except (ValueError, TypeError):
            return None
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        seconds = (when - datetime.now(UTC)).total_seconds()
    return seconds if 0 <= seconds < 1e9 else None if seconds != seconds or seconds >= 1e9 else 0.0
