"""docs/cli.md, docs/board-cli.md and the command line tell the same: every command, option, JSON key and exit code."""

from __future__ import annotations

import json
import re
import shlex
import tarfile
from pathlib import Path

import click
import pytest

from holdfast import errors
from holdfast.cli import failing, lone_file, main
from holdfast.cli.root import root
from holdfast.threads.model import Thread

TESTS = Path(__file__).parent.parent
PAGE = "\n".join((TESTS.parent / "docs" / name).read_text(encoding="utf-8") for name in ("cli.md", "board-cli.md"))
SHARED = {"--home", "--state", "--json", "--verbose", "-v", "--help", "-h", "--version"}
THREAD_KEYS = set(Thread.__struct_fields__)


def commands(group: click.Group = root, path: str = "holdfast") -> dict[str, click.Command]:
    found: dict[str, click.Command] = {path: group}
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            found |= commands(command, f"{path} {name}")
        else:
            found[f"{path} {name}"] = command
    return found


def section(path: str) -> str:
    _, found, rest = PAGE.partition(f"\n## `{path}`\n")
    assert found, f"the docs have no section on `{path}`"
    return rest.partition("\n## ")[0]


COMMANDS = commands()


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_and_every_option_is_documented(path):
    text = section(path)
    options = {name for parameter in COMMANDS[path].params for name in (*parameter.opts, *parameter.secondary_opts)}

    assert [name for name in options - SHARED if name.startswith("-") and f"`{name}" not in text] == []
    assert [name for name in SHARED if f"`{name}" not in PAGE and f"holdfast {name}`" not in PAGE] == []


def test_no_section_is_about_a_command_that_is_not_there():
    assert set(re.findall(r"^## `(holdfast[^`]*)`$", PAGE, re.MULTILINE)) == set(COMMANDS)


@pytest.mark.parametrize("path", COMMANDS)
def test_every_help_has_examples_and_each_can_be_parsed(path):
    command = COMMANDS[path]
    examples = re.findall(r"^  +(holdfast .*?)(?:  .*)?$", command.help or "", re.MULTILINE)
    in_help = [example for example in examples if "$(" not in example and "|" not in example]

    assert len(re.findall(r"^  +.*holdfast ", command.help or "", re.MULTILINE)) >= 2
    for example in [*in_help, *re.findall(r"^\$ (holdfast[^#\n]*)", PAGE, re.MULTILINE)]:
        words = shlex.split(example)[1:]
        name = "holdfast"
        while words and f"{name} {words[0]}" in COMMANDS:
            name += f" {words.pop(0)}"
        COMMANDS[name].make_context(name, words, obj=None)


@pytest.fixture
def home(tmp_path, monkeypatch):
    with tarfile.open(TESTS / "fixtures" / "codex-home-0.169.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    path = tmp_path / "codex-home-0.169"
    monkeypatch.setenv("CODEX_HOME", str(path))
    monkeypatch.setenv("HOLDFAST_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    with next(path.glob("archived_sessions/*.jsonl")).open("a") as file:
        file.write('{"half\n')  # so that there is a problem to show
    return path


def keys(value: object) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {key for inner in value.values() for key in keys(inner)}
    if isinstance(value, list):
        return {key for inner in value for key in keys(inner)}
    return set()


THREAD = "01a1fa0b-589d-7420-a3a3-86c4f7ca642c"


@pytest.mark.parametrize(
    "arguments",
    [
        ["index"],
        ["index", "--rebuild"],
        ["threads", "list"],
        ["threads", "show", THREAD],
        ["threads", "find", THREAD],
        ["threads", "search", "delegate"],
        ["threads", "rename", THREAD, "named"],
        ["threads", "archive", THREAD],
        ["threads", "unarchive", THREAD],
        ["threads", "rename", THREAD, "named", "--in-home"],
        ["threads", "archive", THREAD, "--in-home"],
        ["threads", "unarchive", THREAD, "--in-home", "--dry-run"],
        ["receipts", "list"],
        ["threads", "set", THREAD, "--git-branch", "main"],
        ["threads", "children", THREAD],
        ["threads", "tools", THREAD],
        ["threads", "delete", THREAD, "--dry-run"],
        ["threads", "delete", THREAD, "--yes"],
        ["threads", "compress", "--dry-run", "--older-than", "0s"],
        ["threads", "compress", "--in-home", "--older-than", "0s"],
        ["threads", "reindex"],
        ["backup"],
        ["restore", "--yes", "BACKUP"],
        ["move", "--to", "ELSEWHERE"],
        ["memory", "run", "--dry-run"],
        ["memory", "list"],
        ["memory", "forget", THREAD],
        ["memory", "reset", "--yes"],
        ["status"],
        [],
    ],
    ids=" ".join,
)
def test_every_json_key_is_documented(home, capsys, tmp_path, arguments):
    arguments = [str(tmp_path / "new") if word == "ELSEWHERE" else word for word in arguments]
    if arguments[:1] in (["backup"], ["restore"], ["move"]):
        assert main(["index", "--no-search"]) == main(["backup", str(tmp_path / "copy.db")]) == 0
        capsys.readouterr()
        arguments = [str(tmp_path / "copy.db") if word == "BACKUP" else word for word in arguments]
    assert main([*arguments, "--json"]) == 0
    path = " ".join(
        [
            "holdfast",
            *(word for word in arguments if word in ("threads", "index", "backup", "restore", "move", "status")),
        ]
    )
    path = next((each for each in COMMANDS if each == " ".join(["holdfast", *arguments[:2]])), path)
    text = section("holdfast index" if path.endswith("reindex") else path)
    document = json.loads(capsys.readouterr().out)
    # Names of files, under which status tells of each.
    found = {key for key in keys(document) if "." not in key}
    if path != "holdfast threads list":
        inner = keys([document.get("threads"), document.get("thread"), document.get("hits")])
        found -= THREAD_KEYS & inner

    assert sorted(key for key in found if f"`{key}`" not in text) == []


def test_every_key_of_a_hold_is_documented(home):
    from holdfast.cli.render.holds import hold_document
    from holdfast.holds import Hold, me

    assert [
        key for key in hold_document(Hold("r", me(), 1, 1, 1, 1)) if f"`{key}`" not in section("holdfast holds")
    ] == []


def test_every_exit_code_and_every_kind_of_error_is_documented():
    table = PAGE.partition("\n## Exit codes\n")[2].partition("\n## ")[0]
    kinds = [*vars(errors).values(), failing.NotFound, lone_file.NoRollout]
    raised = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, errors.HoldfastError)]
    codes = {kind.exit_code for kind in raised} | {
        failing.USAGE,
        failing.BUG,
        failing.IO,
        failing.INTERRUPTED,
        failing.PIPE_CLOSED,
    }

    assert [code for code in codes if f"| {code} |" not in table] == []
    named = {failing.kind(kind("")) for kind in raised if kind is not errors.HoldfastError}
    assert [kind for kind in named if f"`{kind}`" not in table] == []
