"""The program on the page about writing rollouts runs, and Codex' kind of home comes out of it."""

from __future__ import annotations

import re
from pathlib import Path

from holdfast.rollouts import scan, walk

PAGE = Path(__file__).parent.parent.parent / "docs" / "writing-rollouts.md"


def test_the_program_of_the_page_writes_a_thread(tmp_path):
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    exec(program, {"home": str(tmp_path)})

    (entry,) = walk(str(tmp_path))
    facts = scan(f"{tmp_path}/{entry.path}").facts
    assert (facts.title, facts.turns, facts.lines_unread) == ("fix the failing test", 1, 0)
