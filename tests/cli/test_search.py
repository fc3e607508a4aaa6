"""`holdfast threads search`: words that were said, shown where they stand."""

from __future__ import annotations

from cli_helpers import process, rollout, terminal, without_style

ID = "01a1fd00-0000-7000-8000-00000000000{}"


def test_a_word_that_was_said_finds_its_thread_also_in_a_home_never_indexed(cli, home):
    rollout(home, ID.format(1), "something else", "the needle-zebra is here")
    (line,) = cli("threads", "search", "needle-zebra").lines
    thread_id, time, role, label, snippet = line.split("\t")

    assert (thread_id, time, role, label) == (ID.format(1), "2026-11-21T10:00:02Z", "user", "something else")
    assert "the needle-zebra is here" in snippet


def test_json_says_where_in_the_snippet_the_words_are(cli, home):
    rollout(home, ID.format(1), "find the needle-zebra")
    hits = cli("threads", "search", "zebra", "--json").json
    (hit,) = hits["hits"]

    assert hits["complete"] is True
    assert hit["thread"]["id"] == ID.format(1)
    assert [hit["snippet"][begin:end] for begin, end in hit["matches"]] == ["zebra"]


def test_all_words_must_be_there_and_a_phrase_must_stand_together(cli, home):
    rollout(home, ID.format(1), "alpaca before zebrafish")

    assert len(cli("threads", "search", "zebrafish", "alpaca").lines) == 1
    assert cli("threads", "search", "zebrafish", "okapi").lines == []
    assert cli("threads", "search", '"zebrafish alpaca"').lines == []
    assert len(cli("threads", "search", '"alpaca before"').lines) == 1


def test_filters_and_pages_work_as_in_a_list(cli, home):
    for number in range(5):
        rollout(home, ID.format(number), f"okapi number {number}")
    first = cli("threads", "search", "okapi", "-n", "2", "--json").json
    second = cli("threads", "search", "okapi", "-n", "2", "--cursor", first["next_cursor"], "--json").json
    ids = [hit["thread"]["id"] for page in (first, second) for hit in page["hits"]]

    assert len(set(ids)) == 4
    assert len(cli("threads", "search", "okapi", "--source", "cli").lines) == 5
    assert cli("threads", "search", "okapi", "--source", "exec").lines == []


def test_nothing_found_is_an_answer(cli, home):
    answer = cli("threads", "search", "quokka")

    assert (answer.code, answer.out, answer.err) == (0, "", "Nothing was found.\n")


def test_a_search_for_no_word_is_a_mistake(cli, home):
    assert cli("threads", "search", "---").code == 64


def test_index_takes_the_words_in_and_a_search_that_does_not_wait_finds_them(cli, home):
    rollout(home, ID.format(1), "early okapi")
    cli("index")
    rollout(home, ID.format(2), "late okapi")

    assert len(cli("threads", "search", "okapi", "--no-wait").lines) >= 1
    assert len(cli("threads", "search", "okapi").lines) == 2


def test_a_terminal_sees_the_words_set_off_and_nothing_else_of_the_message_obeyed(home):
    rollout(home, ID.format(1), "clear \x1b[2J the okapi \x9b31m now")
    process("index")
    shown = terminal("threads", "search", "okapi").out

    assert "\x1b[1;33mokapi" in shown
    assert "\x1b[2J" not in shown
    assert "\x9b" not in shown
    assert "the okapi" in without_style(shown)


def test_a_pipe_gets_plain_text(home):
    rollout(home, ID.format(1), "clear \x1b[2J the okapi")

    assert "\x1b" not in process("threads", "search", "okapi").out
