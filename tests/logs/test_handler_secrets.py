"""No secret of the shapes we name is stored in clear; what is no secret stays as it was."""

from __future__ import annotations

import msgspec
import pytest

from holdfast.logs import redact

_A = "a1B2c3D4e5F6g7H8i9J0"
_HEX = "0123456789abcdef" * 4
# Put together here, so that no scanner of sources takes them for real.
SECRETS = {
    "bearer": ("Bearer ", _A),
    "authorization": ("Authorization: ", "token " + _A),
    "proxy": ("Proxy-Authorization: Basic ", _A),
    "basic": ("sent Basic ", "dXNlcjpwYXNzd29yZA=="),
    "cookie": ("Cookie: ", "session=" + _A),
    "set-cookie": ("set-cookie: ", "sid=" + _A + "; HttpOnly"),
    "userinfo": ("https://", "ann:hunter22" + "@host/x"),
    "database": ("postgres://", "app:hunter22" + "@db:5432/x"),
    "redis": ("redis://", ":hunter22" + "@cache"),
    "password": ("password=", "hunter22"),
    "json": ('{"db_password": "', "hunter22"),
    "passphrase": ("passphrase: ", "hunter22"),
    "api-key": ("X-Api-Key: ", _A),
    "env": ("OPENAI_API_KEY=", _A),
    "aws": ("aws_secret_access_key = ", _A + _A),
    "option": ("--token ", _A),
    "client": ("client_secret=", _A),
    "azure": ("AccountKey=", _A + "=="),
    "sas": ("https://x.blob/y?sv=1&sig=", _A),
    "openai": ("key ", "sk-" + _A),
    "openai-project": ("", "sk-proj-" + _A + "_" + _A),
    "anthropic": ("", "sk-ant-api03-" + _A),
    "stripe": ("", "sk_live_" + _A),
    "stripe-restricted": ("", "rk_test_" + _A),
    "github": ("", "ghp_" + _A + _A),
    "github-app": ("", "ghs_" + _A + _A),
    "github-fine": ("", "github_pat_" + _A + _A),
    "gitlab": ("", "glpat-" + _A),
    "slack": ("", "xoxb-123456789012-" + _A),
    "slack-app": ("", "xapp-1-" + _A),
    "slack-hook": ("https://hooks.slack.com/services/", "T000/B000/" + _A),
    "discord": ("https://discord.com/api/webhooks/", "123/" + _A),
    "aws-id": ("", "AKIA" + "ABCDEFGHIJKLMNOP"),
    "google": ("", "AIza" + _A + _A),
    "google-oauth": ("", "ya29." + _A),
    "google-client": ("", "GOCSPX-" + _A + _A),
    "jwt": ("", "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIx." + _A),
    "npm": ("", "npm_" + _A + _A),
    "pypi": ("", "pypi-" + _A + _A),
    "hugging": ("", "hf_" + _A + _A),
    "databricks": ("", "dapi" + _HEX[:32]),
    "sendgrid": ("", "SG." + _A + "." + _A),
    "digitalocean": ("", "dop_v1_" + _HEX),
    "shopify": ("", "shpat_" + _HEX[:32]),
    "linear": ("", "lin_api_" + _A + _A),
    "sentry": ("", "sntrys_" + _A + _A),
    "vault": ("", "hvs." + _A + _A),
    "doppler": ("", "dp.pt." + _A + _A),
    "age": ("", "AGE-SECRET-KEY-1" + _A.upper() + _A.upper()),
    "facebook": ("", "EAA" + _A + _A + _A),
    "square": ("", "sq0atp-" + _A + _A),
    "mailgun": ("", "key-" + _HEX[:32]),
    "xai": ("", "xai-" + _A + _A),
    "groq": ("", "gsk_" + _A + _A),
    "replicate": ("", "r8_" + _A + _A),
    "telegram": ("bot", "/" + "123456789:AA" + _A + _A),
    "figma": ("", "figd_" + _A + _A),
    "quoted": ('password="', "hunter22 is 'my' hunter22"),
    "bytes": ("password=b'", "hunter22"),
    "json-in-json": ('{\\"api_key\\": \\"', "hunter22 " + _A + '\\"}'),
    "json-escaped": ('{"password": "', 'x\\"hunter22'),
    "dict": ("{'secret': '", "hunter22"),
    "arrow": ("password => ", "hunter22"),
    "connection": ("Server=db;Uid=app;Pwd=", "hunter22;"),
    "shared": ("Endpoint=sb://x/;SharedAccessKey=", _A + "=;"),
    "env-pg": ("PGPASSWORD=", "hunter22"),
    "env-mysql": ("MYSQL_PWD=", "hunter22"),
    "amz": ("https://b.s3/x?X-Amz-Signature=", _HEX),
    "query": ("https://x/y?a=1&access_token=", _A),
    "header-json": ('{"Authorization": "', "Bearer " + _A),
    "proxy-url": ("HTTPS_PROXY=http://", "ann:hunter22" + "@proxy:3128"),
    "token-url": ("https://", _A + _A + "@host/x"),
    "php": ("PHPSESSID=", _A),
    "gitlab-runner": ("", "glrt-" + _A),
    "google-refresh": ("", "1//0" + _A + _A),
    "twilio": ("", "SK" + _HEX[:32]),
    "mailchimp": ("", _HEX[:32] + "-us12"),
    "docker": ("", "dckr_pat_" + _A + _A),
    "postman": ("", "PMAK-" + _A + _A),
    "grafana": ("", "glsa_" + _A + _A),
    "notion": ("", "ntn_" + _A + _A),
    "planetscale": ("", "pscale_tkn_" + _A + _A),
    "discord-bot": ("", "M" + _A + "MTIzNA.GhIjKl." + _A + _A),
    "huggingface-org": ("", "api_org_" + _A + _A),
    "pgp": ("", "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n" + _A + "\n-----END PGP PRIVATE KEY BLOCK-----"),
    "ssh": ("", "-----BEGIN OPENSSH PRIVATE KEY-----\n" + _A + "\n-----END OPENSSH PRIVATE KEY-----"),
    "putty": ("Private-Lines: 2\n", _A + "\n" + _A),
    "pem": ("", "-----BEGIN RSA PRIVATE KEY-----\nMIIE" + _A + "\n-----END RSA PRIVATE KEY-----"),
    "pem-cut": ("", "-----BEGIN PRIVATE KEY-----\nMIIE" + _A),
}
# Of each of them a part.
PARTS = ("hunter22", _A, _A.upper(), _HEX[:32], "dXNlcjpw", "ABCDEFGHIJKLMNOP")


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
