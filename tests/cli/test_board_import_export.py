"""``holdfast board import`` and ``export``: boards as Hermes left them come in, go out, and come back the same."""

from __future__ import annotations

import json
import tarfile

import pytest
from cli_helpers import FIXTURES, process


@pytest.fixture
def hermes(tmp_path):
    """Return the root of a Hermes, with a board or several, as a version of it left it."""

    def unpacked(name):
        folder = tmp_path / name
        with tarfile.open(FIXTURES / "hermes" / f"{name}.tar.gz") as archive:
            archive.extractall(folder, filter="data")
        return folder

    return unpacked


def boards(answer):
    assert answer.code == 0, answer.err
    return {each["board"]: each for each in answer.json["boards"]}


@pytest.mark.parametrize("version", ["0.19.0", "0.13.0-killed"])
def test_boards_of_hermes_come_in_once_and_nothing_of_theirs_changes(cli, hermes, version):
    root = hermes(version)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    found = next(path for path in root.rglob("kanban.db")).parent
    dry = boards(cli("board", "import", found, "--dry-run", "--json"))
    assert {each["slug"] for each in cli("board", "boards", "list", "--json").json["boards"]} <= {"default"}

    came = boards(cli("board", "import", found, "--json"))
    assert {slug: each["new"]["tasks"] for slug, each in came.items()} == {
        slug: each["found"]["tasks"] for slug, each in dry.items()
    }
    assert sum(each["new"]["tasks"] for each in came.values()) > 0
    again = boards(cli("board", "import", found, "--json"))
    assert {each["new"]["tasks"] for each in again.values()} == {0}
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before
    told = cli("board", "import", found)
    assert (told.code, len(told.lines) >= len(came)) == (0, True)


def cards(path):
    """Return the lines of an export by what they are of, without the moment it was made."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return lines[1:]


def test_a_board_goes_out_and_comes_back_as_it_was(cli, hermes, tmp_path, monkeypatch):
    root = next(path for path in hermes("0.19.0").rglob("kanban.db")).parent
    slug, most = max(
        ((slug, each["new"]["tasks"]) for slug, each in boards(cli("board", "import", root, "--json")).items()),
        key=lambda pair: pair[1],
    )
    out, back = tmp_path / "board.jsonl", tmp_path / "back.jsonl"
    wrote = cli("board", "export", out, "--board", slug, "--json").json
    assert (wrote["board"], wrote["format"], wrote["counts"]["tasks"]) == (slug, "json", most)
    assert cli("board", "export", out, "--board", slug).code == 64, "what is there is not written over"
    assert cli("board", "export", out, "--board", slug, "--replace").code == 0

    monkeypatch.setenv("HOLDFAST_STATE", str(tmp_path / "another"))
    came = boards(cli("board", "import", out, "--json"))
    assert (came[slug]["made_board"], came[slug]["new"]["tasks"]) == (slug != "default", most)
    assert boards(cli("board", "import", out, "--json"))[slug]["new"]["tasks"] == 0
    assert cli("board", "export", back, "--board", slug).code == 0
    listed = ("board", "list", "--all", "--board", slug, "--limit", "500", "--json")
    there = [(each["title"], each["status"], each["alias"]) for each in cli(*listed).json["tasks"]]
    monkeypatch.setenv("HOLDFAST_STATE", str(tmp_path / "state"))
    assert sorted(there, key=str) == sorted(
        ((each["title"], each["status"], each["alias"]) for each in cli(*listed).json["tasks"]), key=str
    )
    assert len(cards(out)) == len(cards(back))


def test_a_board_goes_out_to_be_read_as_one_file_or_a_folder(cli, tmp_path):
    cli("board", "create", "Write the parser", "--body", "All of *it*.")
    cli("board", "create", "Check it", "--parent", "1")
    assert cli("board", "export", tmp_path / "board.md").code == 0
    text = (tmp_path / "board.md").read_text(encoding="utf-8")
    assert "Write the parser" in text and "All of *it*." in text and "Check it" in text
    wrote = cli("board", "export", tmp_path / "folder", "--format", "markdown", "--json").json
    assert (wrote["format"], wrote["files"]) == ("markdown", len(list((tmp_path / "folder").rglob("*.md"))))
    assert cli("board", "export", "--format", "markdown").out.startswith("#")
    streamed = process("board", "export")
    assert (streamed.code, json.loads(streamed.out.splitlines()[0]) != {}) == (0, True)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["import", "nothing-there.jsonl"], 64, "nothing-there.jsonl"),
        (["import", "nothing-there.db"], 64, "nothing-there.db"),
        (["import", "x.jsonl", "--no-attachments"], 64, "for boards of Hermes"),
        (["export", "x.md", "--no-attachments"], 64, "is for JSON"),
        (["export", "--json"], 64, "would mix with the board on stdout"),
        (["export", "x.jsonl", "--board", "none-such"], 1, "none-such"),
    ],
)
def test_a_call_that_is_none_writes_nothing(cli, tmp_path, monkeypatch, words, code, said):
    monkeypatch.chdir(tmp_path)
    cli("board", "create", "a task")
    before = set(tmp_path.rglob("x*"))
    refused = cli("board", *words)
    assert (refused.code, said in refused.err) == (code, True), (refused.code, refused.err)
    assert set(tmp_path.rglob("x*")) == before


def test_what_is_no_export_is_refused_and_nothing_comes_in(cli, tmp_path):
    (tmp_path / "b.jsonl").write_text('{"half', encoding="utf-8")
    refused = cli("board", "import", tmp_path / "b.jsonl")
    assert refused.code not in (0, 1), refused.err
    assert cli("board", "list", "--all", "--json").json["tasks"] == []
