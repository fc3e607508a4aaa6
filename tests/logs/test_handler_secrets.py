"""No secret of the shapes we name is stored in clear; what is no secret stays as it was."""

from __future__ import annotations

import msgspec
import pytest

from holdfast.logs import redact
from secret_corpus import PARTS, SECRETS


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_replaced_and_what_stands_around_it_stays(name):
    before, secret = SECRETS[name]
    line = redact.text(f"calling {before}{secret} now")

    assert not [part for part in PARTS if part in line]
    assert line.startswith("calling ") and redact.GONE in line


@pytest.mark.parametrize(
    "line",
    [
        "commit 9fceb02d0ae598e95dc970b74767f19372d61af8 by ann",
        "thread 0199a213-81c0-7800-8aa1-bbab2a035a53, session_id=0199a213-81c0-7800-8aa1-bbab2a035a53",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "<Event: wd=1, mask=IN_CREATE, cookie=0, name=a.txt> cookie=0x1f, len=16",
        'input_tokens=12345 output_tokens: 678, total_tokens=13,023; {"max_tokens": 4096}',
        "password=None, token: null, has_secret=true, 'api_key': None}",
        "PWD=/home/ann/project OLDPWD=/tmp pwd: ~/x",
        "git clone ssh://git@example.org/a.git and ann@example.org",
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
        "GET /static/main-3f2a9c1b.chunk.js?v=20260101 200 in 12 ms",
        '  File "/usr/lib/python3.11/site-packages/tokenizers/key_value_store_implementation.py", line 7',
        "arn:aws:iam::123456789012:role/deploy-production-eu-central-1",
        "2026-01-01T00:00:00.000Z INFO codex_core::session_manager_implementation: keyboard_interrupt_handler",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0 ann@host, keys: 3",
        "12,345 tokens used, 3 left; max_tokens: 4",
        "key error in sketch.py: no such risk-level",
        "https://example.org/a:b/c?q=1 took 12 ms",
        "monkey=banana, keyboard: us, pass 3 of 4",
        "the secret of good tests is patience",
        "task-00000001 done; disk-usage-of-the-machine fine",
    ],
)
def test_what_is_no_secret_stays(line):
    assert redact.text(line) == line


def test_counts_of_tokens_and_numbers_of_events_stay_in_fields_and_secrets_go():
    clean = {
        "total_tokens": 12345,
        "token": None,
        "has_secret": True,
        "cookie": 77,
        "pwd": "/home/ann",
        "session_id": "s1",
    }
    clean["tokens"] = {"in": 5}
    secret = {"password": 123456, "Cookie": "a=b", "pwd": "hunter22", "token": "abc", "api-key": ["x"]}

    assert redact.value(clean, redact.text) == clean
    assert redact.value({"in": [secret]}, redact.text) == {"in": [dict.fromkeys(secret, redact.GONE)]}


def test_no_secret_is_stored_wherever_in_a_record_it_stands(make_logger, lines):
    logger, handler = make_logger()
    for n, (before, secret) in enumerate(SECRETS.values()):
        said = before + secret
        logger.info(f"{n} {said}")
        logger.info("%d args %s", n, said)
        logger.info("%d extra", n, extra={"said": said, "deep": {"in": [{"it": said}]}, said: 1})
        try:
            raise ValueError(said)
        except ValueError:
            logger.exception("%d raised", n)
        logger.info({"event": f"{n} structlog", "said": said})
    handler.flush()

    assert len(SECRETS) >= 80 and len(lines.host) == 5 * len(SECRETS)
    for line in lines.host:
        stored = msgspec.json.encode(line).decode()
        assert redact.GONE in stored
        assert not [part for part in PARTS if part in stored]
