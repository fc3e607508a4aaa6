"""What is counted as a secret: each that is shaped like one, and nothing that real logs are full of."""

from __future__ import annotations

import pytest

from holdfast.logs.redact import holds_secret
from secret_corpus import SECRETS


@pytest.mark.parametrize("name", SECRETS)
def test_each_secret_is_counted(name):
    assert holds_secret(f"before {''.join(SECRETS[name])} after")


# From the logs of Codex 0.141 and 0.169.
@pytest.mark.parametrize(
    "text",
    [
        'mask: EventMask(OPEN), cookie: 0, name: Some("ld.so.cache") }',
        "event source with poller: token=Token(140008457866240), interests=READABLE",
        '"rollout_budget.limit_tokens":"unset","rollout_budget.prefill_token_weight":1.0',
        "total_tokens=1200000 max_output_tokens: 100000000",
        "turn 01a1fa07-ad3a-7ea3-bc34-d470e854607e in /home/dev/src/alpha",
        "",
    ],
)
def test_what_logs_are_full_of_is_not(text):
    assert not holds_secret(text)
