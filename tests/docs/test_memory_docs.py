"""The programs on the page about memory run."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from pathlib import Path

from holdfast.adapters.runtime_types import ThreadMetadata, utc
from holdfast.clock import wall_ms
from model_server import ModelServer, completion, says, serving

PAGE = Path(__file__).parent.parent.parent / "docs" / "memory.md"
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
NOTE = {"raw_memory": "notes", "rollout_summary": "use make test", "rollout_slug": None}
FILES = [{"path": "MEMORY.md", "text": "# all"}, {"path": "memory_summary.md", "text": "v1\nuse make test"}]


def answers(handler):
    asked = handler.server.model.requests[-1]["response_format"]["json_schema"]["name"]
    says(completion(json.dumps(NOTE if asked == "extraction" else {"files": FILES})))(handler)


def test_the_first_program_reads_threads_and_puts_notes_together(make_home, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOLDFAST_STATE", str(tmp_path / "state"))
    home = make_home()
    yesterday_ms = wall_ms() - 24 * 3_600_000
    home.thread("how do I run the tests?", created_ms=yesterday_ms)
    with serving(ModelServer(answers)) as url:
        exec(PROGRAMS[0], {"URL": url, "KEY": "key", "HOME": home})
    assert capsys.readouterr().out.splitlines() == [
        "1 threads noted; published",
        "use make test",
        "v1",
        "use make test",
    ]


def test_the_second_program_remembers_once(tmp_path):
    id = str(uuid.uuid4())
    thread = ThreadMetadata(
        id=id, rollout_path="r.jsonl", created_at=utc(1), updated_at=utc(1), cwd="/w", first_user_message="x"
    )

    async def main():
        found = {}
        exec(PROGRAMS[1], found)
        return [await found["remember"](tmp_path, thread, uuid.uuid4(), 1) for _ in range(2)]

    first, second = asyncio.run(main())
    assert first is True
    assert type(second).__name__ == "SkippedUpToDate"
    assert {"state.db"} <= {path.name for path in tmp_path.iterdir()}  # where the page says it lies
