"""`holdfast threads list`: what is shown, in which order, and how one goes on."""

from __future__ import annotations

import shlex

from cli_helpers import process, rollout, seen


def test_a_home_never_indexed_is_indexed_first(cli, home):
    answer = cli("threads", "list", "--limit", "1000", "--all")

    assert answer.code == 0
    assert len(answer.lines) == 48


def test_a_line_on_a_pipe_has_six_fields_between_tabs_and_the_last_is_the_title(cli, home):
    line = cli("threads", "list", "--search", "Delegate the work").lines[0]

    assert line.split("\t") == [
        "01a1fa0b-589d-7420-a3a3-86c4f7ca642c",
        "2026-11-20T17:40:10Z",
        "exec",
        "active",
        "/home/dev/src/alpha",
        "Delegate the work to two sub-agents @plan:spawn",
    ]


def test_pages_follow_each_other_without_a_gap_or_a_repetition(cli, home):
    whole = [thread["id"] for thread in cli("threads", "list", "--limit", "1000", "--json").json["threads"]]
    paged, cursor = [], None
    while True:
        page = cli("threads", "list", "-n", "7", "--json", *(["--cursor", cursor] if cursor else [])).json
        paged += [thread["id"] for thread in page["threads"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert paged == whole
    assert len(set(whole)) == 44


def test_the_command_for_the_next_page_is_on_stderr_and_runs_as_printed(cli, home):
    first = cli("threads", "list", "--source", "exec", "-n", "3", "--asc")
    more = next(line for line in first.err.splitlines() if line.startswith("More: "))
    program, *arguments = shlex.split(more.removeprefix("More: "))
    second = cli(*arguments)

    assert program == "holdfast"
    assert second.code == 0
    assert not set(first.lines) & set(second.lines)
    assert second.err.count("--cursor") == 1


def test_the_last_page_says_nothing_of_more(cli, home):
    answer = cli("threads", "list", "--limit", "1000")

    assert "More" not in answer.err


def test_oldest_first_is_newest_first_turned_round(cli, home):
    newest = cli("threads", "list", "--sort", "created", "-n", "1000").lines
    oldest = cli("threads", "list", "--sort", "created", "-n", "1000", "--oldest-first").lines

    assert newest == oldest[::-1]


def test_filters_narrow_and_together_they_narrow_more(cli, home):
    def ids(*filters):
        return {thread["id"] for thread in cli("threads", "list", "-n", "1000", "--json", *filters).json["threads"]}

    sources = ids("--source", "exec")
    cwds = ids("--cwd", "/home/dev/src/with space/")
    assert ids("--source", "exec", "--cwd", "/home/dev/src/with space") == sources & cwds
    assert len(cwds) == 3
    assert ids("--source", "exec", "--source", "vscode", "--source", "subagent") == ids()
    assert ids("--provider", "mock") == ids()
    assert ids("--provider", "other") == set()


def test_archived_threads_are_listed_when_asked_for(cli, home):
    assert {line.split("\t")[3] for line in cli("threads", "list", "-n", "1000").lines} == {"active"}
    assert {line.split("\t")[3] for line in cli("threads", "list", "-n", "1000", "--archived").lines} == {"archived"}
    assert len(cli("threads", "list", "-n", "1000", "--all").lines) == 48


def test_sub_agents_are_listed_by_any_text_that_means_their_parent(cli, home):
    by_title = cli("threads", "list", "--parent", "Delegate the work to two sub-agents @plan:spawn").lines
    by_prefix = cli("threads", "list", "--parent", "01a1fa0b589d").lines

    assert len(by_title) == 2
    assert by_prefix == by_title


def test_cwd_dot_is_this_directory(cli, home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = rollout(home, "01a1fd00-0000-7000-8000-000000000001", "here")
    path.write_text(path.read_text().replace("/home/dev/src/made", str(tmp_path.resolve())))

    assert len(cli("threads", "list", "--cwd", ".").lines) == 1


def test_a_new_thread_in_a_small_home_is_seen_at_once(cli, home):
    cli("threads", "list")
    rollout(home, "01a1fd00-0000-7000-8000-000000000002", "brand new")

    assert cli("threads", "list", "--search", "brand new").lines
    assert cli("threads", "list", "--no-refresh", "-n", "1").lines


def test_without_a_refresh_the_index_answers_and_with_one_the_files_do(cli, home):
    cli("index")
    rollout(home, "01a1fd00-0000-7000-8000-000000000003", "younger")

    assert cli("threads", "list", "--search", "younger", "--no-refresh").lines == []
    assert len(cli("threads", "list", "--search", "younger", "--refresh").lines) == 1


def test_nothing_found_is_an_answer_and_is_said_on_stderr(cli, home):
    answer = cli("threads", "list", "--search", "no such words anywhere")

    assert (answer.code, answer.out) == (0, "")
    assert answer.err == "No thread matches.\n"


def test_several_homes_are_listed_together(cli, home, old_home):
    both = cli("threads", "list", "--home", home, "--home", old_home, "--all", "-n", "1000", "--json").json

    assert {thread["home"] for thread in both["threads"]} == {str(home), str(old_home)}
    assert len(both["threads"]) == 48 + 27


def test_the_shared_options_may_stand_before_the_command_or_after_it(cli, home, tmp_path):
    after = cli("threads", "list", "--json", "--state", tmp_path / "other", "--home", home).json
    before = cli("--json", "--state", tmp_path / "other", "--home", home, "threads", "list").json
    between = cli("threads", "--json", "--state", tmp_path / "other", "list", "--home", home).json

    assert before == after == between
    assert (tmp_path / "other" / "state.db").exists()
    assert not (tmp_path / "state").exists()


def test_listing_leaves_the_home_as_it_was(home, untouched):
    assert process("threads", "list").code == 0
    assert seen(home) == untouched
