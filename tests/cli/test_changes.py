"""`rename`, `archive`, `unarchive`: what only a person says, kept by us, never in the home."""

from __future__ import annotations

THREAD = "01a1fa0b-589d-7420-a3a3-86c4f7ca642c"


def test_a_thread_is_renamed_found_by_its_name_and_loses_it_again(cli, home, untouched):
    renamed = cli("threads", "rename", THREAD[:13], "the big one")
    found = cli("threads", "find", "the big one", "--json")
    unnamed = cli("threads", "rename", "the big one", "", "--json")

    assert renamed.out == f"{THREAD} is now called the big one\n"
    assert found.json["thread_id"] == THREAD
    assert unnamed.json["threads"][0]["name"] is None
    assert cli("threads", "find", "the big one").code == 1


def test_threads_leave_the_list_and_come_back(cli, home, untouched):
    others = [line.split("\t")[0] for line in cli("threads", "list", "-n", "2").lines]
    archived = cli("threads", "archive", *others, "--json").json
    shown = {line.split("\t")[0] for line in cli("threads", "list", "-n", "1000").lines}

    assert [thread["archived"] for thread in archived["threads"]] == [True, True]
    assert not shown & set(others)
    assert cli("threads", "unarchive", *others).code == 0
    assert set(others) <= {line.split("\t")[0] for line in cli("threads", "list", "-n", "1000").lines}


def test_when_one_of_several_cannot_be_found_none_is_changed(cli, home):
    answer = cli("threads", "archive", THREAD, "no such thread")

    assert answer.code == 1
    assert cli("threads", "find", THREAD, "--active").code == 0


def test_what_a_person_said_outlives_a_reindex(cli, home):
    cli("threads", "rename", THREAD, "mine")
    cli("threads", "archive", THREAD)
    cli("threads", "reindex")
    thread = cli("threads", "show", THREAD, "--json").json["thread"]

    assert (thread["name"], thread["archived"]) == ("mine", True)


def test_a_delete_on_a_pipe_needs_a_yes_and_names_what_would_go(cli, home, untouched):
    asked = cli("threads", "delete", THREAD)
    spawned = [line.split("\t")[0] for line in cli("threads", "children", THREAD, "--all").lines]

    assert asked.code == 64
    assert spawned
    assert all(id in asked.err for id in [THREAD, *spawned])
    assert cli("threads", "find", THREAD).code == 0


def test_a_delete_takes_a_thread_and_what_it_spawned_away_until_it_is_undone(cli, home, untouched):
    look = cli("threads", "delete", THREAD, "--dry-run", "--json").json
    done = cli("threads", "delete", THREAD, "--yes", "--json").json
    listed = [thread["id"] for thread in cli("threads", "list", "--deleted", "--all", "--json").json["threads"]]

    assert (look["deleted"], look["previews"]) == ([], done["previews"])
    assert sorted(done["deleted"][0]["thread_ids"]) == sorted(listed)
    assert done["deleted"][0]["thread_ids"][-1] == THREAD
    assert len(listed) > 1
    assert cli("threads", "show", THREAD).code == 1
    assert cli("threads", "delete", THREAD, "--yes").code == 1
    assert cli("threads", "undelete", THREAD[:13]).out.startswith(f"{THREAD} is back: ")
    assert cli("threads", "list", "--deleted").out == ""
    assert cli("threads", "undelete", THREAD).code == 1


def test_when_one_of_several_cannot_be_found_none_is_deleted(cli, home):
    assert cli("threads", "delete", THREAD, "no such thread", "--yes").code == 1
    assert cli("threads", "find", THREAD).code == 0


def test_what_is_set_shows_and_the_rest_stays(cli, home, untouched):
    before = cli("threads", "show", THREAD, "--json").json["thread"]
    cli("threads", "set", THREAD, "--git-branch", "fix", "--memory-mode", "polluted")
    after = cli("threads", "set", THREAD, "--git-sha", "", "--git-origin", "u", "--json").json["threads"][0]

    assert after == {
        **before,
        "git_branch": "fix",
        "memory_mode": "polluted",
        "git_sha": None,
        "git_origin_url": "u",
    }
    assert cli("threads", "set", THREAD).code == 64


def test_families_are_listed_and_shown(cli, home, untouched):
    spawned = [line.split("\t") for line in cli("threads", "children", THREAD).lines]
    by_list = cli("threads", "list", "--parent", THREAD, "--all").lines
    below = cli("threads", "list", "--ancestor", THREAD, "--all").lines

    assert sorted(line[0] for line in spawned) == sorted(line.split("\t")[0] for line in by_list)
    assert {tuple(line[1:4]) for line in spawned} == {(THREAD, "open", "rollout")}
    assert set(by_list) <= set(below)
    assert cli("threads", "list", "--parent", THREAD, "--ancestor", THREAD).code == 64
    assert cli("threads", "children", THREAD, "--status", "closed").out == ""
    assert cli("threads", "tools", THREAD, "--json").json == {"tools": None}
