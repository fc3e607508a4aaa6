"""The client of a model, against a real server that is slow, broken, huge, busy or hostile."""

from __future__ import annotations

import logging

import pytest

from holdfast.errors import Busy, Full, Refused
from holdfast.memory.client import OpenAICompatible
from holdfast.memory.model import NotThisThread, Prompt, Unavailable
from model_server import ModelServer, breaks_off, completion, drips, hangs, is_huge, says, serving

KEY = "no-shape-of-a-secret-0123456789"
ASKED = Prompt("be brief", "what is it?", {"type": "object"}, "thing")
OK = says(completion("an answer", usage={"total_tokens": 12}))


@pytest.fixture
def client():
    """Make a client of a server that plays this script; the pauses it made are in ``client.pauses``."""
    with_them = []

    def make(*script, **options):
        model = ModelServer(*script)
        server = serving(model)
        url = server.__enter__()
        pauses = []
        made = OpenAICompatible(url, "test-model", KEY, pause=pauses.append, **options)
        made.server, made.pauses = model, pauses
        with_them.append((made, server))
        return made

    yield make
    for made, server in with_them:
        made.close()
        server.__exit__(None, None, None)


def test_it_asks_in_the_words_of_the_api_and_returns_the_answer(client):
    asked = client(OK)
    assert asked(ASKED) == "an answer"
    (body,), (headers,) = asked.server.requests, asked.server.headers
    assert body["model"] == "test-model"
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["response_format"]["json_schema"] == {"name": "thing", "strict": True, "schema": {"type": "object"}}
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert asked.tokens_used == 12


@pytest.mark.parametrize("status", [408, 429, 500, 501, 502, 503, 529])
def test_a_busy_server_is_asked_again(client, status):
    asked = client(says(b"busy", status), says(b"busy", status), OK)
    assert asked(ASKED) == "an answer"
    assert len(asked.pauses) == 2
    assert 0.25 <= asked.pauses[0] <= 0.5 <= asked.pauses[1] <= 1.0


def test_a_storm_of_errors_ends_after_so_many_tries(client):
    asked = client(says(b"busy", 500), attempts_max=3)
    with pytest.raises(Busy, match="after 3 tries: status 500") as raised:
        asked(ASKED)
    assert isinstance(raised.value, Unavailable)
    assert raised.value.retry_in_ms == 0
    assert len(asked.server.requests) == 3
    assert asked.tokens_used == 0


def test_it_waits_as_long_as_the_server_asks(client):
    asked = client(says(b"", 429, Retry_After="7"), says(b"", 429, Retry_After="Thu, 01 Jan 1970 00:00:00 GMT"), OK)
    assert asked(ASKED) == "an answer"
    assert asked.pauses == [7.0, 0.0]


@pytest.mark.parametrize("after", ["1e400", "nan", "-inf", "soon", "", "Thu, 99 Foo"])
def test_a_wait_that_is_none_is_not_believed(client, after):
    asked = client(says(b"", 429, Retry_After=after), OK)
    assert asked(ASKED) == "an answer"
    assert 0 <= asked.pauses[0] <= 0.5


def test_a_wait_beyond_the_deadline_is_not_begun(client):
    asked = client(says(b"", 429, Retry_After="301"), OK)
    with pytest.raises(Busy, match="after 1 try: status 429; it asked to be left alone for 301 s") as raised:
        asked(ASKED)
    assert raised.value.retry_in_ms == 301_000
    assert asked.pauses == []


@pytest.mark.parametrize("step", [hangs, drips])
def test_a_server_that_never_ends_is_cut_off_at_the_deadline(client, step):
    asked = client(step, deadline_s=0.3)
    with pytest.raises(Unavailable, match="did not answer in time"):
        asked(ASKED)
    assert asked.tokens_used == 0


def test_an_answer_that_breaks_off_is_asked_for_again(client):
    asked = client(breaks_off, OK)
    assert asked(ASKED) == "an answer"


def test_a_huge_answer_is_thrown_away(client):
    with pytest.raises(Busy, match="more than 1,000,000 bytes"):
        client(is_huge, answer_bytes_max=1_000_000)(ASKED)


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (says(b"<html>", content_type="text/html"), "text/html"),
        (says(b"not json"), "not what a chat completion looks like"),
        (says(b'{"choices": []}'), "empty"),
        (says(b'{"choices": [{"message": {"content": null}}]}'), "empty"),
        (says(b"[" * 100_000), "not what a chat completion looks like"),
        (says(b'{"choices": "\xff\xfe"}'), "not what a chat completion looks like"),
        (says(completion('{"half', finish="length")), "ended early"),
        (says(completion("x", finish="content_filter")), "ended early"),
        (says(b"\x1f\x8b", Content_Encoding="gzip"), "compressed"),
    ],
)
def test_what_is_no_answer_is_not_taken_for_one(client, step, why):
    with pytest.raises(Busy, match=why):
        client(step)(ASKED)


def test_the_key_follows_no_redirect(client):
    elsewhere = client(OK)
    asked = client(says(b"", 302, Location=elsewhere._url))
    with pytest.raises(Refused, match="sends us elsewhere"):
        asked(ASKED)
    assert elsewhere.server.requests == []


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_wrong_key_or_address_is_wrong_for_every_thread(client, status):
    with pytest.raises(NotThisThread):
        client(says(b"no", status))(ASKED)


@pytest.mark.parametrize("status", [400, 500])
def test_what_may_be_the_prompt_s_own_fault_is_not_said_of_every_thread(client, status):
    with pytest.raises((Refused, Busy)) as raised:
        client(says(b"no", status), attempts_max=1)(ASKED)
    assert not isinstance(raised.value, NotThisThread)


def test_nobody_there_is_no_thread_s_fault():
    asked = OpenAICompatible("http://127.0.0.1:1/v1", "m", attempts_max=1)
    with asked, pytest.raises(Busy, match="no answer") as raised:
        asked(ASKED)
    assert isinstance(raised.value, Unavailable)


def test_an_error_shows_neither_the_key_nor_another_secret(client, caplog):
    caplog.set_level(logging.DEBUG)
    body = f'{{"error": "bad key {KEY} \x1b[31m password=hunter2secret"}}'.encode()
    asked = client(says(body, 401))
    with pytest.raises(Refused, match="status 401") as raised:
        asked(ASKED)
    shown = f"{raised.value!s} {raised.value!r} {asked!r} {caplog.text}"
    assert "0123456789" not in shown
    assert "hunter2" not in shown
    assert "\x1b" not in shown
    assert len(asked.server.requests) == 1


def test_half_a_key_at_the_end_of_a_long_error_is_not_shown(client):
    asked = client(says(b" " * (4_096 - 10) + KEY.encode(), 400))
    with pytest.raises(Refused) as raised:
        asked(ASKED)
    assert KEY[:10] not in str(raised.value)


def test_the_budget_is_kept_before_anything_is_sent(client):
    asked = client(OK, tokens_budget=1_000, answer_tokens_max=900)
    assert asked(ASKED) == "an answer"
    with_little = client(OK, tokens_budget=100, answer_tokens_max=900)
    with pytest.raises(Full, match="the budget of 100 tokens"):
        with_little(ASKED)
    assert with_little.server.requests == []


def test_nobody_there_is_no_traceback():
    with (
        OpenAICompatible("http://127.0.0.1:9/v1", "m", attempts_max=1) as asked,
        pytest.raises(Busy, match="ConnectError"),
    ):
        asked(ASKED)


@pytest.mark.parametrize(("url", "key"), [("ftp://x", None), ("http://x", "a\nb"), ("http://x", "schlüssel")])
def test_what_cannot_be_meant_is_refused(url, key):
    with pytest.raises(Refused):
        OpenAICompatible(url, "m", key)
