"""docs/doctor.md and docs/bad-day.md are true: every finding, repair, key and row, and the line for cron."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from holdfast.cli.render.examined import KEYS
from holdfast.doctor.model import EXIT_CODES, Cut, Database, Finding, Part, Target
from holdfast.doctor.probes.raw import RAW
from holdfast.doctor.probes.through_sqlite import SQLITE
from holdfast.doctor.repairs import repair

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")
PROBES = ROOT / "src" / "holdfast" / "doctor" / "probes"


def ids():
    """Return every ``id=`` of a finding in the source; what is put in at run time is a star."""
    found = set()
    for path in PROBES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            for keyword in node.keywords:
                if keyword.arg == "id" and isinstance(keyword.value, ast.Constant):
                    found.add(keyword.value.value)
    return found


def rows():
    return {row for line in PAGE.splitlines() for row in re.findall(r"^\| (F[0-9]{2}[ab]?) \|", line)}


def test_every_finding_of_the_source_is_on_the_page():
    named = set(re.findall(r"`([a-z][a-z0-9*-]+)`", PAGE))

    assert sorted(ids() - named) == []
    assert len(ids()) >= 20


def test_every_row_is_in_the_catalogue_and_says_what_finds_it():
    assert rows() == {f"F{n:02}" for n in range(1, 29) if n != 3} | {"F03a", "F03b"}
    for probe in (*RAW, *SQLITE):
        assert set(probe.rows) <= rows(), probe.name
    for line in re.findall(r"^\| F[0-9]{2}[ab]? \| .* \| (.*) \|$", PAGE, re.MULTILINE):
        assert "`" in line or line.startswith("*Not here:*")


def test_what_a_row_of_the_catalogue_names_is_told_of_above():
    above, _, catalogue = PAGE.partition("## The catalogue")
    for name in re.findall(r"`([a-z]+-[a-z-]+|malformed)`", catalogue):
        assert f"`{name}`" in above


def test_every_repair_is_told_of_and_none_besides():
    table = PAGE.partition("| Repair |")[2].partition("\n\n")[0]

    assert set(re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE)) == set(repair.NAMES)


def test_every_key_and_every_exit_code_is_told_of():
    keys = {*KEYS, *(name for kind in (Finding, Target, Database, Part, Cut) for name in kind.__struct_fields__)}

    assert [key for key in keys if f"`{key}`" not in PAGE] == []
    for status, code in EXIT_CODES.items():
        assert f"| `{status}` | {code} |" in PAGE


@pytest.mark.parametrize("page", ["doctor.md", "bad-day.md"])
def test_no_page_leads_nowhere(page):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")

    for link in re.findall(r"\]\(([a-z-]+\.md)\)", text):
        assert (ROOT / "docs" / link).exists()
