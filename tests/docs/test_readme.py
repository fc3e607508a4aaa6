"""The README is true: its programs run on a real home, its commands exist, its links lead somewhere."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from homes import MadeHome

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").glob("*.md"))]
README = PAGES[0].read_text(encoding="utf-8")


def fenced(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def person(tmp_path):
    """The environment of somebody whose home directory holds a recorded ``.codex``."""
    MadeHome.recorded("0.169", tmp_path).path.rename(tmp_path / ".codex")
    kept = {key: value for key, value in os.environ.items() if key not in ("CODEX_HOME", "HOLDFAST_STATE")}
    return kept | {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}


@pytest.mark.parametrize("program", fenced("python"), ids=lambda program: program.split()[1])
def test_a_program_of_the_readme_runs(person, program):
    done = subprocess.run([sys.executable, "-c", program], env=person, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "command",
    [line[2:].partition("#")[0].partition("|")[0] for text in fenced("console") for line in text.splitlines()
     if line.startswith("$ holdfast")],
)  # fmt: skip
def test_a_command_of_the_readme_runs(person, command):
    words = shlex.split(command)
    done = subprocess.run(
        [sys.executable, "-m", *words], env=person, capture_output=True, text=True, check=False, cwd=person["HOME"]
    )

    # The id in the example is one of the recorded home; a thread of another home would be exit code 1.
    # The doctor's codes are answers: the recorded home lies elsewhere than its rows say.
    assert done.returncode in (range(4) if words[1:2] == ["doctor"] else (0,)), done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page):
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))

    assert [link for link in links if not (page.parent / link).exists()] == []
