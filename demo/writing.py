"""Act two: a program keeps its own transcripts, is killed in the middle of a sentence, and goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import holdfast
from demo.stage import Stage
from holdfast.rollouts import scan

KILLED_AFTER = 40

HARNESS = """
import sys, holdfast
own, state_dir = sys.argv[1:]
with holdfast.open(own=own, state_dir=state_dir, search=False) as state:
    live = state.threads.create(cwd="/src/widget", source="exec", model_provider="local")
    print(live.id, flush=True)
    with live.turn(model="gpt-5") as turn:
        live.append(turn.user_message("make the parser accept tabs"))
        while True:
            answer = live.append(turn.assistant_message("one more remark", is_final=False))
            print(answer.last_ordinal, flush=True)
"""


def play(stage: Stage) -> None:
    own, state_dir = stage.folder / "own", stage.folder / "own-state"
    stage.act("A program writes a thread of its own; kill -9 in the middle of it")
    child = subprocess.Popen(
        [sys.executable, "-c", HARNESS, str(own), str(state_dir)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    thread_id = child.stdout.readline().strip()
    acknowledged = [child.stdout.readline() for _ in range(KILLED_AFTER)]
    os.kill(child.pid, signal.SIGKILL)
    acknowledged += child.stdout.readlines()
    child.wait()
    last = max(int(line) for line in acknowledged if line.endswith("\n") and line.strip().isdigit())

    with holdfast.open(own=own, state_dir=state_dir, search=False) as state:
        thread = state.threads.get(thread_id)
        stage.claim(
            "the thread is listed by its first words", thread is not None and thread.title.startswith("make the")
        )
        facts = scan(thread.rollout_path).facts if thread else None
        stage.claim(
            f"every item that was acknowledged is in its file, once (the last was number {last})",
            facts is not None and facts.last_ordinal is not None and facts.last_ordinal >= last
            and facts.lines == facts.last_ordinal + 1,
            facts,
        )  # fmt: skip
        with state.threads.resume(thread_id) as live:
            stage.say(f"taken up again at number {live.next_ordinal}")
            with live.turn(model="gpt-5") as turn:
                live.append(turn.user_message("and spaces, too"))
            try:
                state.threads.resume(thread_id)
                refused = ""
            except holdfast.Busy as busy:
                refused = str(busy)
            stage.claim(
                "nobody else can write it meanwhile, and is told who does", f"pid {os.getpid()}" in refused, refused
            )
        fork = state.threads.fork(thread_id)
        with fork, fork.turn(model="gpt-5") as turn:
            fork.append(turn.user_message("or rather not"))
        conversation = state.threads.read(fork.id)
        asked = [turn for turn in conversation.turns if turn.asked] if conversation else []
        stage.claim("a fork shows what came before it, and copied none of it", len(asked) == 3, len(asked))
