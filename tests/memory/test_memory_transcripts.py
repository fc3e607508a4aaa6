"""A rollout as a model gets to see it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from holdfast.errors import Busy
from holdfast.memory.serializing import BYTES_PER_TOKEN, serialize


def line(kind, **payload):
    return json.dumps({"timestamp": "2026-11-21T12:00:00Z", "type": kind, "payload": payload})


def said(text, who="user_message"):
    return line("event_msg", type=who, message=text)


def output(text):
    return line("response_item", type="function_call_output", call_id="c", output=text)


def written(tmp_path, *lines):
    path = tmp_path / "rollout.jsonl"
    path.write_text("".join(f"{each}\n" for each in lines), encoding="utf-8")
    return str(path)


def entries(text):
    return [json.loads(each) for each in text.splitlines()]


def test_it_holds_what_was_said_and_done_without_thoughts_and_secrets(tmp_path):
    path = written(
        tmp_path,
        said("fix it, the password=hunter2secret"),
        said("# AGENTS.md instructions for /x\nbe nice"),
        line("response_item", type="reasoning", summary=[{"type": "summary_text", "text": "hmm"}]),
        line("response_item", type="function_call", name="shell", arguments='{"cmd": "ls"}', call_id="c"),
        output("AKIAABCDEFGHIJKLMNOP"),
        "{broken",
        said("done", "agent_message"),
    )
    found = entries(serialize(path, 1_000))
    assert [entry["who"] for entry in found] == ["user", "call shell", "output", "agent"]
    assert found[0]["text"] == "fix it, the password=[redacted]"
    assert found[2]["text"] == "[redacted]"


def test_beginning_and_end_are_kept_and_the_gap_is_named(tmp_path):
    path = written(tmp_path, *(said(f"message {n} {'x' * 50}") for n in range(1_000)))
    text = serialize(path, 1_000)
    found = entries(text)
    assert len(text) <= 1_000 * BYTES_PER_TOKEN + 100
    assert "message 0 " in found[0]["text"]
    assert "message 999 " in found[-1]["text"]
    (gap,) = [entry for entry in found if "left_out" in entry]
    assert gap["left_out"] == f"{1_000 - len(found) + 1} entries"


def test_a_secret_at_the_edge_of_a_long_output_is_not_cut_in_half(tmp_path):
    secret = "ghp_abcdefghijklmnopqrstuvwxyz0123456789"
    for at in (5_980, 6_000, 13_990, 14_000):
        path = written(tmp_path, output(f"{'x ' * (at // 2)}{secret} {'y ' * 20_000}{secret}{' z' * (at // 2)}"))
        text = serialize(path, 50_000)
        assert [piece for n in range(len(secret) - 7) if (piece := secret[n : n + 8]) in text] == []


def test_a_file_that_is_gone_is_for_another_time(tmp_path):
    with pytest.raises(Busy, match="No such file"):
        serialize(str(tmp_path / "gone.jsonl"), 1_000)


CHILD = """
import resource, sys
from holdfast.memory.serializing import serialize
text = serialize(sys.argv[1], 10_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert len(text) < 40_000
text = serialize(sys.argv[2], 10_000)
assert len(text) < 40_000
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_long_rollout_is_not_held_in_memory(tmp_path):
    (tmp_path / "short").mkdir()
    block = output("w" * 11_000)
    short = written(tmp_path / "short", *[block] * 200)
    long = written(tmp_path, *[block] * 4_000)  # 44 MB
    done = subprocess.run([sys.executable, "-c", CHILD, short, long], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 16 * 1024  # KiB
