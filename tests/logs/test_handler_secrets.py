"""No secret of the shapes we name is stored in clear; what is no secret stays as it was."""

from __future__ import annotations

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
    "pem": ("", "-----BEGIN RSA PRIVATE KEY-----\nMIIE" + _A + "\n-----END RSA PRIVATE KEY-----"),
    "pem-cut": ("", "-----BEGIN PRIVATE KEY-----\nMIIE" + _A),
}


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_replaced_and_what_stands_around_it_stays(name):
    before, secret = SECRETS[name]
    line = redact.text(f"calling {before}{secret} now")

    for part in ("hunter22", _A, _A.upper(), _HEX[:32], "dXNlcjpw", "ABCDEFGHIJKLMNOP"):
        assert part not in line
    assert line.startswith("calling ") and redact.GONE in line


@pytest.mark.parametrize(
    "line",
    [
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
