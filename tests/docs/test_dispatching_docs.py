"""The program of the page about the dispatcher runs, and comes to what the page says."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parent.parent.parent / "docs" / "dispatching.md"


def test_the_program_of_the_page_gives_the_task_to_a_worker(tmp_path, monkeypatch):
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HOLDFAST_STATE", str(tmp_path / "state"))
    found = {}
    exec(program, found)

    assert found["ended"] == {"rate_limited": 1}
    assert "# Say hello\n" in Path(found["runs"][0].log).read_text()
    assert found["leaders"] == []
