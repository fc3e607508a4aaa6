"""`holdfast move`: what it says, refuses, and leaves behind."""

from __future__ import annotations

import pytest

import holdfast
from holdfast import holds

THREAD = "01a1fa0b-589d-7420-a3a3-86c4f7ca642c"


@pytest.fixture
def indexed(cli, home):
    assert cli("index", "--no-search").code == 0
    assert cli("threads", "rename", THREAD, "before").code == 0


def test_there_and_back_names_and_threads_stay(cli, indexed, schema_url, tmp_path):
    listed = cli("threads", "list", "--all", "--json").json["threads"]

    looked = cli("move", "--dry-run", "--to", schema_url)
    assert (looked.code, looked.err) == (0, "")
    assert "nothing was done" in looked.lines[-1]

    done = cli("move", "--to", schema_url)
    assert (done.code, done.err) == (0, "")
    assert [line.split()[:2] for line in done.lines if line.strip().startswith("homes")] == [["homes", "1"]]
    assert "read again and compared" in done.out
    assert cli("threads", "list", "--all", "--json", "--state", schema_url).json["threads"] == listed

    back = cli("move", "--from", schema_url, "--to", tmp_path / "back", "--json")
    assert back.json["rows"] > 0
    assert cli("threads", "list", "--all", "--json", "--state", tmp_path / "back").json["threads"] == listed


def test_the_old_place_says_where_to_look_and_undo_takes_it_up_again(cli, indexed, schema_url):
    assert cli("move", "--to", schema_url).code == 0
    for command in (["threads", "list"], ["index"], ["backup"], ["index", "--rebuild"]):
        answer = cli(*command)
        assert answer.code == holdfast.Refused.exit_code, command
        assert "was moved to postgresql://" in answer.err
    assert cli("move", "--undo").lines[0].endswith("as it was when it was moved")
    assert cli("threads", "list", "--all").code == 0


def test_who_works_is_named_and_the_exit_code_says_try_again(cli, indexed, state_dir, tmp_path):
    with holdfast.open([], state_dir=state_dir, search=False) as state, state.write() as tx:
        holds.take(tx, "nightly report", holds.me(), lease_ms=60_000)
    answer = cli("move", "--to", tmp_path / "new")
    assert answer.code == 75
    assert "holds nightly report" in answer.err
    assert "--wait" in answer.err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("words", [[], ["--undo", "--to", "x"], ["--undo", "--dry-run"]])
def test_where_to_or_back_must_be_said(cli, words):
    answer = cli("move", *words)
    assert answer.code == 64
    assert "--to" in answer.err


def test_nothing_to_move_and_the_same_place_are_refused(cli, state_dir, indexed, tmp_path):
    assert "nothing is kept" in cli("move", "--from", tmp_path / "none", "--to", tmp_path / "new").err
    assert "moved to itself" in cli("move", "--to", state_dir).err
    assert not (tmp_path / "none").exists()
