"""Act five: one job and two who want it. The first is stopped past its lease, and comes back too late."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import holdfast
from demo.stage import Stage
from holdfast import holds
from holdfast.jobs import Claimed, Enqueued, Kind, Known, Running, UpToDate, Watermark
from holdfast.memory.model import Prompt, Settings

NOTES = Kind("notes")
ASKED_MAX = 200

FIRST = """
import sys, holdfast
from holdfast.jobs import Claimed, Kind
own, state_dir = sys.argv[1:]
with holdfast.open(own=own, state_dir=state_dir, search=False) as state:
    claim = state.jobs.claim(Kind("notes", lease_ms=500), "the parser")
    assert isinstance(claim, Claimed), claim
    print(claim.fence, flush=True)
    sys.stdin.readline()
    try:
        state.jobs.finish(claim, {"by": "the first"})
        print("finished", flush=True)
    except holdfast.Stale as stale:
        print(stale, flush=True)
"""


def play(stage: Stage) -> None:
    stage.act("One job, two who want it; the first is stopped for longer than its lease")
    own, state_dir = stage.folder / "once-own", stage.folder / "once-state"
    with holdfast.open(own=own, state_dir=state_dir, search=False) as state:
        with state.threads.create(cwd="/src/widget", source="exec") as live, live.turn(model="gpt-5") as turn:
            live.append(turn.user_message("make the parser accept tabs"))
            live.append(turn.assistant_message("It does now. The key is sk-proj-abcdefghijklmnopqrstuvwxyz012345."))
        mark = Watermark(120, "9f2c")
        asked = [state.jobs.enqueue(NOTES, "the parser", watermark=mark) for _ in range(2)]
        stage.claim("asked for twice, it is one job", [type(each) for each in asked] == [Enqueued, Known], asked)
        steal(stage, state, str(own), str(state_dir), mark)
        remember(stage, state, live.id)


def steal(stage: Stage, state: holdfast.State, own: str, state_dir: str, mark: Watermark) -> None:
    first = subprocess.Popen(
        [sys.executable, "-c", FIRST, own, state_dir], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert first.stdout is not None
    try:
        compete(stage, state, first, int(first.stdout.readline()), mark)
    finally:
        first.kill()  # also when it is stopped
        first.wait()


def compete(stage: Stage, state: holdfast.State, first: subprocess.Popen[str], fence: int, mark: Watermark) -> None:
    first.send_signal(signal.SIGSTOP)
    second = state.jobs.claim(NOTES, "the parser", holds.me("the second"))
    stage.claim(f"the second is told who has it (fence {fence})", isinstance(second, Running), second)
    stage.say("the first is stopped; its lease of 500 ms runs out")
    for _ in range(ASKED_MAX):
        if isinstance(second, Claimed):
            break
        time.sleep(0.02)
        second = state.jobs.claim(NOTES, "the parser", holds.me("the second"))
    assert isinstance(second, Claimed), second
    stage.claim(
        f"then the second gets it, with a larger fence ({second.fence}) and attempt 2",
        second.fence > fence and second.attempt == 2,
        second,
    )
    first.send_signal(signal.SIGCONT)
    told, _ = first.communicate("finish\n")
    stage.claim("the first comes back, and its finish is refused", "changed hands" in told, told)
    stage.say(told.strip())
    state.jobs.finish(second, {"by": "the second"})
    job = state.jobs.get("notes", "the parser")
    stage.claim("what counts is what the second said", job is not None and job.result == {"by": "the second"}, job)
    again = state.jobs.claim(NOTES, "the parser", watermark=mark)
    stage.claim("for the same input it is never done again", isinstance(again, UpToDate), again)


def remember(stage: Stage, state: holdfast.State, thread_id: str) -> None:
    sent: list[Prompt] = []

    def model(prompt: Prompt) -> str:
        """Stand in for a model, one that repeats a secret it was told elsewhere."""
        sent.append(prompt)
        notes = "Tabs are indentation in this parser. Token: ghp_abcdefghijklmnopqrstuvwxyz0123456789"
        return json.dumps({"raw_memory": notes, "rollout_summary": "The parser takes tabs.", "rollout_slug": "tabs"})

    settings = Settings(idle_ms=0)
    runs = [state.memory.run(model, settings, phase="extract").extract for _ in range(2)]
    kept = state.memory.last(1, cwd="/src/widget")
    stage.claim(
        "a model reads the thread once, however often it is run",
        [len(sent), *(run.kept for run in runs)] == [1, 1, 0], runs,
    )  # fmt: skip
    stage.claim(
        "its note is kept for that directory; no secret went to the model, and none came back",
        len(kept) == 1 and kept[0].thread_id == thread_id and "Tabs are" in kept[0].raw_memory
        and "ghp_" not in kept[0].raw_memory and "sk-proj-" not in sent[0].user,
        kept,
    )  # fmt: skip
    for memory in kept:
        stage.say(memory.raw_memory)
