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
