"""Workspaces: made, taken up again, and gone only when nothing is lost with them."""

import os
import subprocess
import threading
from types import SimpleNamespace

import pytest

from holdfast.board.dispatching import worktrees
from holdfast.board.dispatching.workspaces import CannotBeMade, Workspaces, artefacts


def git(folder, *words):
    done = subprocess.run(
        ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@t", *words],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def a_task(kind, number=7, **words):
    return SimpleNamespace(**{"task_id": number, "workspace_kind": kind, "workspace": None, "branch": None, **words})


BOARD = SimpleNamespace(slug="b", workdir=None)


@pytest.fixture
def workspaces(tmp_path):
    return Workspaces(str(tmp_path / "here"))


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "a").write_text("one")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "one")
    return folder


@pytest.fixture
def made(workspaces, repository):
    """Make the worktree of task 7, again and again."""
    return lambda **words: workspaces.prepare(BOARD, a_task("worktree", workspace=str(repository), **words))


def test_a_scratch_folder_is_the_tasks_own_from_attempt_to_attempt(workspaces):
    first = workspaces.prepare(BOARD, a_task("scratch"))
    with open(os.path.join(first.path, "notes"), "w") as file:
        file.write("half done")
    assert workspaces.prepare(BOARD, a_task("scratch")) == first
    assert workspaces.prepare(BOARD, a_task("scratch", 8)) != first
    assert os.listdir(first.path) == ["notes"]


def test_a_folder_that_was_named_is_used_as_it_is(workspaces, tmp_path):
    assert workspaces.prepare(BOARD, a_task("directory", workspace=str(tmp_path))).path == str(tmp_path)
    of_board = SimpleNamespace(slug="b", workdir=str(tmp_path))
    assert workspaces.prepare(of_board, a_task("directory")).path == str(tmp_path)


@pytest.mark.parametrize("path", [None, "some/where", "/no/such/folder", __file__])
def test_a_folder_that_is_none_is_said_and_not_made(workspaces, path):
    with pytest.raises(CannotBeMade):
        workspaces.prepare(BOARD, a_task("directory", workspace=path))
    assert path is None or not os.path.isdir(path)


def test_a_scratch_folder_that_cannot_be_made_is_said(workspaces, tmp_path):
    (tmp_path / "here").write_text("a file is in the way")
    with pytest.raises(CannotBeMade):
        workspaces.prepare(BOARD, a_task("scratch"))


def test_a_worktree_has_a_branch_of_its_own_and_is_taken_up_again(made, repository):
    workspace = made()
    assert git(workspace.path, "branch", "--show-current") == workspace.branch == "holdfast/task-7"
    with open(os.path.join(workspace.path, "a"), "w") as file:
        file.write("half done")
    assert made() == workspace
    assert git(workspace.path, "status", "--porcelain") == "M a"
    assert git(repository, "status", "--porcelain") == ""


def test_a_branch_that_is_there_is_checked_out(made, repository):
    git(repository, "branch", "topic")
    workspace = made(branch="topic")
    assert git(workspace.path, "branch", "--show-current") == "topic"


def test_what_git_refuses_is_said_and_nothing_is_left(made, repository):
    with pytest.raises(CannotBeMade, match="main"):
        made(branch="main")  # the repository itself is at it
    assert git(repository, "worktree", "list").count("\n") == 0


def test_a_worktree_that_somebody_deleted_is_made_again(made):
    first = made()
    subprocess.run(["rm", "-rf", first.path], check=True)
    assert made() == first
    assert os.path.exists(os.path.join(first.path, "a"))


def test_a_worktree_whose_making_was_cut_short_is_made_whole(made, repository):
    first = made()
    # As `git worktree add` leaves it when it is killed: half of the files, and a lock of its own.
    os.unlink(os.path.join(first.path, "a"))
    os.unlink(first.path + worktrees._WHOLE)
    git(repository, "worktree", "lock", "--reason", "initializing", first.path)
    assert made() == first
    assert os.path.exists(os.path.join(first.path, "a"))


def test_what_is_no_worktree_is_not_deleted(made, workspaces):
    path = made().path
    worktrees.remove(path)
    os.mkdir(path)
    with open(os.path.join(path, "mine"), "w"):
        pass
    with pytest.raises(CannotBeMade, match="no worktree"):
        made()
    assert os.listdir(path) == ["mine"]


def test_a_git_that_a_dead_dispatcher_left_is_waited_for(made, repository, tmp_path):
    """The lock is git's, too: here its hook, which runs as long as git does, is held up."""
    os.mkfifo(tmp_path / "go")
    os.mkfifo(tmp_path / "up")
    hook = repository / ".git" / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\necho up >{tmp_path}/up; read line <{tmp_path}/go\n")
    hook.chmod(0o755)
    results = []
    crew = [threading.Thread(target=lambda: results.append(made())) for _ in range(2)]
    for each in crew:
        each.start()
    with open(tmp_path / "up") as up:
        assert up.readline() == "up\n"
    assert results == []
    with open(tmp_path / "go", "w") as go:
        go.write("go\n")
    for each in crew:
        each.join(30)
    assert results[0] == results[1]


def test_a_worktree_goes_when_all_of_it_is_on_its_branch(made, repository):
    path = made().path
    with open(os.path.join(path, "b"), "w") as file:
        file.write("two")
    git(path, "add", ".")
    git(path, "commit", "-qm", "two")
    assert worktrees.remove(path) == ""
    assert not os.path.exists(path)
    assert git(repository, "show", "holdfast/task-7:b") == "two"
    assert os.path.exists(os.path.join(made().path, "b")), "and its branch is taken up again"


@pytest.mark.parametrize("how", ["changed", "new", "staged", "detached", "submodule"])
def test_a_worktree_with_anything_to_lose_stays(made, repository, how):
    path = made().path
    if how == "detached":
        git(path, "checkout", "-q", "--detach")
        git(path, "commit", "-q", "--allow-empty", "-m", "on no branch")
    elif how == "submodule":
        git(path, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(repository), "sub")
        git(path, "commit", "-qm", "sub")
    else:
        with open(os.path.join(path, "new" if how == "new" else "a"), "w") as file:
            file.write("unsaved")
        if how == "staged":
            git(path, "add", ".")
    before = sorted(os.listdir(path))
    assert worktrees.remove(path) != ""
    assert sorted(os.listdir(path)) == before


def test_what_is_here_is_listed_and_a_scratch_folder_goes_without_following_links(workspaces, made, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("mine")
    scratch = workspaces.prepare(BOARD, a_task("scratch"))
    os.symlink(tmp_path / "precious", os.path.join(scratch.path, "link"))
    worktree = made()
    assert sorted(workspaces.left()) == [("scratch", "b", 7, scratch.path), ("worktrees", "b", 7, worktree.path)]
    assert workspaces.remove("scratch", scratch.path) == ""
    assert (tmp_path / "precious" / "file").read_text() == "mine"
    assert [kind for kind, *_ in workspaces.left()] == ["worktrees"]


def test_artefacts_are_files_below_one_folder_and_no_links(workspaces):
    path = workspaces.prepare(BOARD, a_task("scratch")).path
    os.makedirs(os.path.join(path, "artefacts", "plots"))
    for name in ("notes", "artefacts/b.txt", "artefacts/plots/a.png"):
        with open(os.path.join(path, name), "w"):
            pass
    os.symlink("/etc/hostname", os.path.join(path, "artefacts", "host"))
    assert artefacts(path) == ["b.txt", "plots/a.png"]
