"""What the real Codex 0.169 makes of what we wrote, and we of what it wrote then. `make codex`; needs its binary.

The binary comes from npm (bench/codex_peer.py says how) and runs without a
network, so its turns end in an error; the user's words are in the file before.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from bench import codex_peer
from bench.codex_peer import EVERY_SOURCE, NoPeerError

from holdfast.errors import Busy
from holdfast.lockfiles import holders
from holdfast.rollouts import RolloutWriter, Turn, compress, history_base, scan, tokens
from written import check_numbers, lines_of

pytestmark = pytest.mark.codex

CONFIG = """
model = "gpt-5.3-codex"
model_provider = "mock"
approval_policy = "never"
sandbox_mode = "read-only"
[model_providers.mock]
name = "mock"
base_url = "http://127.0.0.1:9/v1"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
"""
META = {"cwd": "/tmp", "model_provider": "mock"}
KINDS = ("paginated", "legacy", "fork", "packed", "mended")


def one_turn(writer, question):
    turn = Turn(writer.thread_id, history_mode=writer.history_mode)
    writer.append(turn.started(model_context_window=100_000))
    writer.append(turn.context(cwd="/tmp", model="gpt-5.3-codex", approval_policy="never"))
    writer.append(turn.user_message(question, images=["data:image/png;base64,iVBORw0KGgo="]))
    writer.append(turn.reasoning("**Thinking**"))
    writer.append(turn.function_call("shell", '{"cmd": "ls"}', call_id=f"call-{question}"))
    writer.append(turn.function_call_output("README.md", call_id=f"call-{question}"))
    writer.append(turn.assistant_message(f"the answer to {question}"))
    writer.append([*turn.token_count(tokens(input=10, output=5)), *turn.completed()])


def write(home, kind):
    """Write a thread of two turns and return its writer, closed."""
    mode = "legacy" if kind == "legacy" else "paginated"
    with RolloutWriter.create(home, {**META, "history_mode": mode}) as writer:
        one_turn(writer, "question 1")
        if kind == "fork":
            writer.flush()
            with RolloutWriter.create(home, META, base=history_base(writer.path)) as fork:
                one_turn(fork, "question 2")
            fork.origin = writer.thread_id
            return fork
        if kind == "mended":
            with open(writer.path, "ab") as file:
                file.write(b'{"timestamp":"2026-11-2')
            writer.discard()
            with RolloutWriter.resume(home, writer.path, keep=lambda *_: None) as again:
                one_turn(again, "question 2")
            return again
        one_turn(writer, "question 2")
    if kind == "packed":
        os.utime(writer.path, (1, 1))
        assert compress(home, os.path.relpath(writer.path, home)).outcome == "compressed"
    return writer


@pytest.fixture
def home(tmp_path):
    path = tmp_path / "home"
    path.mkdir()
    (path / "config.toml").write_text(CONFIG)
    return path


def listed(peer):
    params = {"limit": 100, "sourceKinds": EVERY_SOURCE, "modelProviders": []}
    return {thread["id"]: thread for thread in peer.call("thread/list", params)["data"]}


def said(turns):
    return [
        item.get("text") or item["content"][0]["text"]
        for turn in turns
        for item in turn["items"]
        if item["type"] in ("userMessage", "agentMessage")
    ]


def test_codex_lists_reads_and_goes_on_with_what_we_wrote_and_we_with_what_it_wrote(home):
    threads = {kind: write(str(home), kind) for kind in KINDS}
    conversation = [f"{words}question {n}" for n in (1, 2) for words in ("", "the answer to ")]

    with codex_peer.running(home) as peer:
        found = listed(peer)
        # Codex shows what a fork took over once it has gone through its origin, which a resume makes it do.
        peer.call("thread/resume", {"threadId": threads["fork"].origin})
        for kind, thread in threads.items():
            own = "question 2" if kind == "fork" else "question 1"  # what Codex lists a fork by, from files alone
            assert found[thread.thread_id]["preview"] == own, kind
            assert found[thread.thread_id]["path"] == thread.path
            resumed = peer.call("thread/resume", {"threadId": thread.thread_id})
            assert said(resumed["thread"]["turns"]) == conversation, kind
            read = peer.call("thread/read", {"threadId": thread.thread_id, "includeTurns": True})
            assert [turn["status"] for turn in read["thread"]["turns"]] == ["completed", "completed"]
            peer.call("turn/start", {"threadId": thread.thread_id, "input": [{"type": "text", "text": "question 3"}]})

    for kind, thread in threads.items():
        facts = scan(thread.path).facts
        with RolloutWriter.resume(home, thread.path, keep=lambda *_: None) as writer:
            assert "question 3" in Path(writer.path).read_text(), kind
            assert writer.next_ordinal == (None if kind == "legacy" else facts.last_ordinal + 1)
            one_turn(writer, "question 4")
        if kind != "legacy":
            check_numbers(writer.path)
    with codex_peer.running(home) as peer:
        for kind, thread in threads.items():
            resumed = peer.call("thread/resume", {"threadId": thread.thread_id})
            last = [words for words in said(resumed["thread"]["turns"]) if words.endswith("question 4")]
            assert last == ["question 4", "the answer to question 4"], kind


@pytest.mark.parametrize("mode", ["paginated", "legacy"])
def test_each_refuses_the_thread_that_the_other_writes(home, mode):
    thread = write(str(home), mode)
    with codex_peer.running(home) as peer:
        with RolloutWriter.resume(home, thread.path):
            for method in ("thread/resume", "thread/archive"):
                with pytest.raises(NoPeerError, match="already has an active writer"):
                    peer.call(method, {"threadId": thread.thread_id})
        peer.call("thread/resume", {"threadId": thread.thread_id})
        with pytest.raises(Busy, match=f"pid {peer.pid} "):
            RolloutWriter.resume(home, thread.path)
        os.utime(thread.path, (1, 1))
        assert compress(home, os.path.relpath(thread.path, home)).outcome == "busy"
        (holder,) = holders(home / "thread-writer-locks" / f"{thread.thread_id}.lock")
        assert holder.pid == peer.pid
    RolloutWriter.resume(home, thread.path).close()
    assert os.listdir(home / "thread-writer-locks") == [".coordination.lock"]


def test_a_fork_of_ours_and_one_of_codex_begin_at_the_same_byte(home):
    origin = write(str(home), "paginated")
    with codex_peer.running(home) as peer:
        path = peer.call("thread/fork", {"threadId": origin.thread_id})["thread"]["path"]
    base = lines_of(path)[0]["payload"]["history_base"]
    ours = history_base(origin.path)
    assert json.dumps(base, sort_keys=True) == json.dumps(
        {name: getattr(ours, name) for name in sorted(base)}, sort_keys=True
    )
