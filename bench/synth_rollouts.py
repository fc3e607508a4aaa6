"""Makes a home of N rollouts out of recorded ones: the same seed and templates give the same bytes.

    python -m bench.synth_rollouts --templates HOME,HOME --n 10000 --seed 1 --out DIRECTORY [--tiny]

Ids (UUIDv7), times, ordinals, directories, git, source, provider and the first
message are made up; every other line is one that Codex wrote. Sizes are
lognormal around a median of 9 kB (a file ends at a whole turn, so the median
comes out near 21 kB); one in a hundred is of 1 to 5 MB, half of those by many
turns and half by a few huge lines. ``--tiny`` keeps three lines of one turn,
1 to 3 kB a file, for measurements that only need many threads.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import math
import multiprocessing
import os
import random
import re
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HEAD = re.compile(rb'^\{"timestamp":"[^"]+",(?:"ordinal":\d+,)?')


def words(text: str) -> list[str]:
    return text.split()


VERBS = words(
    "fix refactor add remove explain test profile document review port rename speed-up debug migrate investigate"
)
NOUNS = words(
    "parser lexer scheduler logger cache index cursor lease writer reader codec router planner session "
    "backfill migration schema vacuum checkpoint watcher tokenizer prompt sandbox approval patch diff "
    "branch merge"
)
AREAS = words("cli tui core api storage network auth build docs tests ci release windows linux macos")
LOREM = words(
    "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut labore et "
    "dolore magna aliqua ut enim ad minim veniam quis nostrud exercitation ullamco laboris nisi ut aliquip"
)
MARKS = ((1000, 7, "needle-zebra"), (100, 11, "quasar"), (500, 13, "漢字テスト"))  # every, at, in the title
DIRECTORIES = tuple(f"/srv/repo{i:02d}" if i % 3 else f"/home/user/dir{i:02d}" for i in range(40))
PROSE_BYTES_MAX = 700  # prompts of the harness are cut to this: they are boilerplate, not data
LINE_BYTES_MAX = 60_000
SMALL_LINE_BYTES_MAX = 900  # tiny only
FAMILY = 1000  # tiny only: sub-agents among this many neighbours have the same parent


@dataclass(frozen=True)
class Recipe:
    """What decides every byte, beside the templates."""

    n: int
    seed: int = 1
    mode: str = "mix"
    tiny: bool = False
    median_bytes: int = 9000
    big_share: float = 0.01
    days: int = 400
    first_day_ms: int = 1_759_276_800_000  # 2025-10-01 UTC


@dataclass(frozen=True)
class Line:
    """A recorded line without its timestamp and ordinal, which every copy gets anew."""

    body: bytes
    has_ordinal: bool
    kind: str


@dataclass(frozen=True)
class Template:
    """A recorded rollout taken apart: its meta, and its turns as (turn id, lines)."""

    mode: str
    meta: dict[str, Any]
    thread_id: bytes
    first_message: bytes
    turns: tuple[tuple[bytes, tuple[Line, ...]], ...]


@dataclass(frozen=True)
class Made:
    """One rollout as it was written."""

    bytes: int
    archived: bool
    name_line: str | None


def dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def escaped(text: str) -> bytes:
    """Return ``text`` as it stands between the quotes of a JSON string."""
    return json.dumps(text, ensure_ascii=False)[1:-1].encode()


def iso(ms: int) -> str:
    at = dt.datetime.fromtimestamp(ms / 1000, dt.UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"


def uuid7(rng: random.Random, ms: int) -> str:
    raw = bytearray(ms.to_bytes(6, "big") + rng.getrandbits(80).to_bytes(10, "big"))
    raw[6] = 0x70 | (raw[6] & 0x0F)
    raw[8] = 0x80 | (raw[8] & 0x3F)
    return str(uuid.UUID(bytes=bytes(raw)))


# --- templates ---------------------------------------------------------------


def load_templates(homes: Iterable[str | Path]) -> dict[str, list[Template]]:
    """Return the usable rollouts of ``homes`` by history mode, in a fixed order."""
    found: dict[str, list[Template]] = {"legacy": [], "paginated": []}
    for home in homes:
        for path in sorted(Path(home).glob("sessions/**/*.jsonl"), key=str):
            if template := take_apart(path.read_bytes().splitlines()):
                found[template.mode].append(template)
    return found


def take_apart(lines: list[bytes]) -> Template | None:
    """Return the template in ``lines``; None for forks, sub-agents and files without a whole turn."""
    meta = json.loads(lines[0]) if lines else {"type": ""}
    payload = meta.get("payload", {})
    if meta["type"] != "session_meta" or payload.get("history_base") or payload.get("forked_from_id"):
        return None
    if isinstance(payload.get("source"), dict):
        return None
    instructions = payload.get("base_instructions")
    if isinstance(instructions, dict) and isinstance(instructions.get("text"), str):
        instructions["text"] = instructions["text"][:PROSE_BYTES_MAX]
    turns: list[tuple[bytes, list[Line]]] = []
    first = None
    for raw in lines[1:]:
        item = json.loads(raw)
        if kind_of(item) == "task_started":
            turns.append((item["payload"]["turn_id"].encode(), []))
        if not turns:
            continue
        first = first or user_text(item)
        if line := kept(raw, item):
            turns[-1][1].append(line)
    whole = tuple((turn_id, tuple(kept_lines)) for turn_id, kept_lines in turns if len(kept_lines) >= 3)
    if not whole or not first:
        return None
    mode = payload.get("history_mode") or "legacy"
    return Template(mode, meta, payload["id"].encode(), escaped(first), whole)


def kind_of(item: dict[str, Any]) -> str:
    payload = item["payload"]
    if item["type"] == "event_msg" and payload["type"] == "item_completed":
        return str(payload["item"]["type"])
    return str(payload["type"]) if item["type"] == "event_msg" else str(item["type"])


def user_text(item: dict[str, Any]) -> str | None:
    match kind_of(item):
        case "user_message":
            return item["payload"]["message"]
        case "UserMessage":
            return item["payload"]["item"]["content"][0].get("text")
    return None


def kept(raw: bytes, item: dict[str, Any]) -> Line | None:
    """Return the line to copy, with the harness' own prose cut; None when it is all boilerplate."""
    payload = item["payload"]
    if item["type"] == "response_item" and payload.get("type") == "message" and payload.get("role") == "developer":
        for part in payload.get("content") or []:
            if len(part.get("text", "")) > PROSE_BYTES_MAX:
                part["text"] = part["text"][:PROSE_BYTES_MAX]
        raw = dumps(item)
    if item["type"] == "response_item" and payload.get("type") == "additional_tools":
        return None
    if item["type"] == "session_meta" or (item["type"] == "world_state" and len(raw) > 3000):
        return None
    if len(raw) > LINE_BYTES_MAX:
        return None
    return Line(HEAD.sub(b"", raw), b'"ordinal":' in raw[:60], kind_of(item))


def small(template: Template) -> Template | None:
    """Return ``template`` cut to its meta and three lines of its first turn; None if it lacks one of them."""
    turn_id, lines = template.turns[0]
    wanted = ("turn_context", "user_message", "agent_message", "UserMessage", "AgentMessage")
    chosen: dict[str, Line] = {}
    for line in lines:
        if line.kind in wanted and len(line.body) < SMALL_LINE_BYTES_MAX:
            chosen.setdefault(line.kind, line)
    if len(chosen) < 3 or not any(template.first_message in line.body for line in chosen.values()):
        return None
    meta = json.loads(dumps(template.meta))
    meta["payload"].pop("base_instructions", None)
    meta["payload"].pop("dynamic_tools", None)
    return Template(
        template.mode, meta, template.thread_id, template.first_message, ((turn_id, tuple(chosen.values())),)
    )


# --- one rollout -------------------------------------------------------------


@dataclass(frozen=True)
class Identity:
    """The first draws of a rollout's own generator: who it is and when it began."""

    template: Template
    start_ms: int
    thread_id: str


def identity(rng: random.Random, recipe: Recipe, templates: dict[str, list[Template]]) -> Identity:
    mode = recipe.mode
    if mode == "mix":
        mode = "paginated" if rng.random() < 0.4 else "legacy"
    template = rng.choice(templates[mode])
    start_ms = recipe.first_day_ms + int(rng.random() * recipe.days * 86_400_000)
    return Identity(template, start_ms, uuid7(rng, start_ms))


def generator(recipe: Recipe, i: int) -> random.Random:
    return random.Random(f"{recipe.seed}:{i}")


def title(rng: random.Random, i: int) -> str:
    verb = rng.choice(VERBS).capitalize()
    text = f"{verb} the {rng.choice(NOUNS)} {rng.choice(NOUNS)} in {rng.choice(AREAS)} (#{i})"
    for every, at, mark in MARKS:
        if i % every == at:
            text += " " + mark
    if rng.random() < 0.15:
        text += "\n\n" + " ".join(rng.choice(LOREM) for _ in range(rng.randint(20, 200)))
    return text


def meta_line(rng: random.Random, who: Identity, cwd: str, parent: str | None) -> bytes:
    """Return the session_meta: one in twenty is a sub-agent, of ``parent`` or of nobody that exists."""
    meta = json.loads(dumps(who.template.meta))
    payload = meta["payload"]
    draw = rng.random()
    payload["source"] = "exec" if draw < 0.25 else "vscode" if draw < 0.5 else "cli"
    if draw < 0.05:
        parent = parent or uuid7(rng, who.start_ms - 1000)
        spawn = {"parent_thread_id": parent, "depth": 1, "agent_path": None}
        payload["source"] = {
            "subagent": {"thread_spawn": spawn | {"agent_nickname": "Gauss", "agent_role": None}},
        }
        payload["parent_thread_id"] = parent
        payload["thread_source"] = "subagent"
    payload["id"] = who.thread_id
    if "session_id" in payload:
        payload["session_id"] = who.thread_id
    payload["cwd"] = cwd
    if "runtime_workspace_roots" in payload:
        payload["runtime_workspace_roots"] = [cwd]
    payload["timestamp"] = meta["timestamp"] = iso(who.start_ms)
    payload["model_provider"] = "openai" if rng.random() < 0.1 else "mock"
    if cwd.startswith("/srv/repo"):
        payload["git"] = {
            "commit_hash": f"{rng.getrandbits(160):040x}",
            "branch": rng.choice(["main", "dev", "feature/x"]),
            "repository_url": f"https://github.com/example/{cwd.rsplit('/', 1)[1]}.git",
        }
    else:
        payload.pop("git", None)
    return dumps(meta) + b"\n"


@dataclass
class Position:
    """Where in the rollout the next line goes."""

    now_ms: int
    ordinal: int


def turn_lines(rng: random.Random, who: Identity, cwd: str, at: Position, opening: bytes | None) -> Iterator[bytes]:
    """Yield the lines of a turn and move ``at``; ``opening`` is the message of the first turn."""
    template = who.template
    turn_id, lines = rng.choice(template.turns) if opening is None else template.turns[0]
    swaps = [
        (template.thread_id, who.thread_id.encode()),
        (turn_id, uuid7(rng, at.now_ms).encode()),
        (template.meta["payload"]["cwd"].encode(), cwd.encode()),
    ]
    if opening is not None:
        swaps.append((template.first_message, opening))
    for line in lines:
        at.now_ms += rng.randint(3, 400)
        body = line.body
        for old, new in swaps:
            body = body.replace(old, new)
        head = b'{"timestamp":"%s",' % iso(at.now_ms).encode()
        if line.has_ordinal:
            head += b'"ordinal":%d,' % at.ordinal
            at.ordinal += 1
        yield head + body + b"\n"


def padded(rng: random.Random, line: bytes, target_bytes: int) -> bytes:
    """Return ``line`` with its tool output blown up to two fifths of the file."""
    if b'"type":"function_call_output"' not in line or b'"output":"' not in line:
        return line
    pad = (" ".join(rng.choices(LOREM, k=200)) + "\\n").encode()
    return line.replace(b'"output":"', b'"output":"' + pad * max(1, int(target_bytes * 0.4) // len(pad)), 1)


def rollout(recipe: Recipe, templates: dict[str, list[Template]], i: int) -> tuple[Identity, list[bytes], int, Any]:
    """Return rollout ``i``: who it is, its lines, its last moment, and the generator as it stands."""
    rng = generator(recipe, i)
    who = identity(rng, recipe, templates)
    big = rng.random() < recipe.big_share
    size = rng.lognormvariate(math.log(recipe.median_bytes), 0.9) if not big else 0.0
    target_bytes = int(rng.uniform(1e6, 5e6)) if big else int(min(900_000, size))
    huge_lines = big and rng.random() < 0.5
    cwd = DIRECTORIES[min(int(rng.paretovariate(0.7)) - 1, len(DIRECTORIES) - 1)]
    parent = None
    if recipe.tiny and i % FAMILY:
        first_of_family = i - i % FAMILY
        parent = identity(generator(recipe, first_of_family), recipe, templates).thread_id
    chunks = [meta_line(rng, who, cwd, parent)]
    first = escaped(title(rng, i))
    at, size_bytes, turns = Position(who.start_ms, 1), len(chunks[0]), 0
    while True:
        for line in turn_lines(rng, who, cwd, at, None if turns else first):
            pad = huge_lines and size_bytes < target_bytes * 0.8
            chunks.append(padded(rng, line, target_bytes) if pad else line)
            size_bytes += len(chunks[-1])
        at.now_ms += rng.randint(1000, 600_000)
        turns += 1
        if recipe.tiny or size_bytes >= target_bytes or turns > 5000:
            return who, chunks, at.now_ms, rng


def write_one(recipe: Recipe, templates: dict[str, list[Template]], out: str, i: int) -> Made:
    """Write rollout ``i`` under ``out`` with the modification time of its last moment."""
    who, chunks, end_ms, rng = rollout(recipe, templates, i)
    start = dt.datetime.fromtimestamp(who.start_ms / 1000, dt.UTC)
    archived = rng.random() < 0.08
    folder = f"{out}/archived_sessions" if archived else start.strftime(f"{out}/sessions/%Y/%m/%d")
    os.makedirs(folder, exist_ok=True)
    path = f"{folder}/{start:rollout-%Y-%m-%dT%H-%M-%S-}{who.thread_id}.jsonl"
    data = b"".join(chunks)
    with open(path, "wb") as file:
        file.write(data)
    os.utime(path, (end_ms / 1000, end_ms / 1000))
    name_line = None
    if rng.random() < 0.05:
        name = {
            "id": who.thread_id,
            "thread_name": f"Named {i}: {rng.choice(NOUNS)} work",
            "updated_at": iso(end_ms),
        }
        name_line = json.dumps(name, separators=(",", ":")) + "\n"
    return Made(len(data), archived, name_line)


# --- a whole home ------------------------------------------------------------

_worker: tuple[Recipe, dict[str, list[Template]], str]


def _begin(recipe: Recipe, templates: dict[str, list[Template]], out: str) -> None:
    global _worker
    _worker = (recipe, templates, out)


def _write(i: int) -> Made:
    return write_one(*_worker, i)


def make(recipe: Recipe, templates: dict[str, list[Template]], out: str | Path, processes: int = 2) -> dict[str, Any]:
    """Write the home of ``recipe`` under ``out`` and return what it holds; two cores make 100 MB a second."""
    if recipe.tiny:
        templates = {mode: [cut for one in found if (cut := small(one))] for mode, found in templates.items()}
    os.makedirs(out, exist_ok=True)
    with multiprocessing.Pool(processes, _begin, (recipe, templates, str(out))) as pool:
        made = list(pool.imap(_write, range(recipe.n), chunksize=64))
    with open(f"{out}/session_index.jsonl", "w", encoding="utf-8") as names:
        names.writelines(one.name_line for one in made if one.name_line)
    sizes = sorted(one.bytes for one in made)
    return {
        "n": recipe.n,
        "seed": recipe.seed,
        "tiny": recipe.tiny,
        "archived": sum(one.archived for one in made),
        "named": sum(one.name_line is not None for one in made),
        "bytes": sum(sizes),
        "p50_bytes": sizes[len(sizes) // 2],
        "p99_bytes": sizes[min(len(sizes) - 1, len(sizes) * 99 // 100)],
        "max_bytes": sizes[-1],
        "over_1_mb": sum(size > 1_000_000 for size in sizes),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--templates", required=True, help="unpacked recorded homes, comma separated")
    parser.add_argument("--n", type=int, required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mode", default="mix", choices=["mix", "legacy", "paginated"])
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    recipe = Recipe(given.n, given.seed, given.mode, given.tiny)
    print(json.dumps(make(recipe, load_templates(given.templates.split(",")), given.out, given.processes)))


if __name__ == "__main__":
    main()
