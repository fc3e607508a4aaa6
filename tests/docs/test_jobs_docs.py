"""The programs of the page about jobs run, and come to what the page says."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parent.parent.parent / "docs" / "jobs.md"


def test_the_programs_of_the_page_do_each_job_once(tmp_path, monkeypatch):
    programs = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HOLDFAST_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    found = {}
    exec(programs[0], found)

    assert isinstance(found["asked"], found["Enqueued"])
    assert isinstance(found["again"], found["Known"])
    assert isinstance(found["newer"], found["Enqueued"])
    assert found["report"].done == 1
    assert (found["job"].status, found["job"].result) == ("done", {"words": 2})
    assert "newer input makes it ready again" in found["reason"]
    assert (tmp_path / "summaries" / "notes.md").read_text() == "three lines\n"

    exec(programs[1], found)
    assert found["claim"].watermark.size == 150
