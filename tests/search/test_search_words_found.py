"""What is found, and what is shown of it."""

from __future__ import annotations

import pytest

from holdfast.errors import Refused
from homes import NOON_MS

HOUR_MS = 3_600_000


@pytest.fixture
def one(make_home, searched):
    """Return what finds words in a home where each text is a thread of its own."""
    home = make_home()

    def make(*texts):
        made = [home.thread(text, created_ms=NOON_MS + n * HOUR_MS) for n, text in enumerate(texts)]
        found = searched(home)
        found.follow()
        return found, made

    return make


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("look for the needle-zebra here", "needle-zebra"),
        ("look for the needle-zebra here", "zebra"),
        ("look for the needle-zebra here", "NEEDLE zebra"),
        ("look for the needle-zebra here", '"the needle zebra"'),
        ("look for the needle-zebra here", "need*"),
        ("look for the needle-zebra here", '"the need"*'),
        ("look for the needle-zebra here", "needle-zeb"),
        ("look for the needle-zebra here", "eedle-zeb"),
        ("look for the needle-zebra here", "eedle"),
        ("please open src/open.py now", "open.py"),
        ("please open src/open.py now", "src/open.py"),
        ("please open src/open.py now", "open py"),
        ("call make_new_widget() twice", "make_new_widget"),
        ("call make_new_widget() twice", "widget"),
        ("call make_new_widget() twice", "new_widget()"),
        ("ein schönes Café in Zürich", "cafe zurich"),
        ("ein schones Cafe\u0301 in Zurich", "café schönes"),
        ("STRASSE", "straße"),
        ("ｆｕｌｌ ｗｉｄｔｈ １２", "full width 12"),
        ("ﬁnd the ligature", "find"),
        ("ΟΔΥΣΣΕΥΣ", "οδυσσευς"),
        ("привет, мир", "ПРИВЕТ"),
        ("ёлка", "елка"),
        ("漢字変換を試す", "変換"),
        ("漢字変換を試す", "漢字変換"),
        ("漢字変換を試す", "換"),
        ("漢字変換を試す", "す"),
        ("漢字変換を試す", "漢字 試す"),
        ("漢字openする", "open"),
        ("漢字openする", "漢字open"),
        ("漢字openする", "openする"),
        ("한국어 문장입니다", "문장"),
        ("カタカナ", "ｶﾀｶﾅ"),
        ("ภาษาไทยไม่มีช่องว่าง", "ไทย"),
        ("a dash—between—words", "between"),
        ("it’s curly", "it's curly"),
        ("emoji 🦊 between", '"emoji between"'),
        ('say "quoted words" loud', '"quoted words"'),
        ("error: AND OR NOT NEAR(x)", "error: AND OR NOT NEAR(x)"),
        ("text:column words", "text:column"),
        ("one ^two", "^two"),
    ],
)
def test_what_was_said_is_found(one, said, asked):
    found, (id,) = one(said)
    (hit,) = found.find(asked)
    assert hit.thread.id == id
    assert hit.role == "user"
    assert hit.matches
    assert all(hit.snippet[begin:end].strip() == hit.snippet[begin:end] != "" for begin, end in hit.matches)


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("look for the needle-zebra here", "zebra-needle"),
        ("look for the needle-zebra here", '"needle here"'),
        ("look for the needle-zebra here", '"eedle"'),
        ("look for the needle-zebra here", "eedle needle"),
        ("look for the needle-zebra here", "needle absent"),
        ("look for the needle-zebra here", "eedle-zeb-x"),
        ("look for the needle-zebra here", "xeedle-zeb"),
        ("漢字変換", "字換"),
        ("漢字変換", "漢変"),
        ("漢字 変換", "字変"),
    ],
)
def test_what_was_not_said_is_not_found(one, said, asked):
    found, _ = one(said)
    assert found.ids(asked) == []


@pytest.mark.parametrize(
    "asked", ["", "  ", "***", '"', '""', "—", "🦊", "(", "\x00", "\ud800", "\ue000", "x" * 2_001, "a b " * 40]
)
def test_a_question_without_words_is_refused(one, asked):
    found, _ = one("anything")
    if asked == "a b " * 40:
        asked = " ".join(f"w{n}" for n in range(40))
    with pytest.raises(Refused):
        found.find(asked)


def test_the_newest_thread_comes_first_and_each_comes_once(one):
    found, made = one("a parser", "the parser", "no such thing", "parser parser")
    found.home.append(made[0], "again the parser", "still the parser", ms=NOON_MS + 10 * HOUR_MS)
    found.follow()
    hits = found.find("parser").hits
    assert [hit.thread.id for hit in hits] == [made[0], made[3], made[1]]
    assert [hit.messages for hit in hits] == [3, 1, 1]
    assert hits[0].snippet == "still the parser"
    assert hits[0].timestamp_ms == NOON_MS + 10 * HOUR_MS


def test_a_snippet_is_one_line_around_the_match(one):
    found, _ = one("before " * 60 + "\n\n\tthe   needle\n" + "behind " * 60)
    (hit,) = found.find("needle")
    assert 120 < len(hit.snippet) <= 162
    assert hit.snippet.startswith("…before")
    assert hit.snippet.endswith("behind…")
    assert "before the needle behind" in hit.snippet
    assert [hit.snippet[begin:end] for begin, end in hit.matches] == ["needle"]


def test_agents_are_heard_too_and_what_a_harness_slips_in_is_not(home, searched):
    found = searched(home)
    found.follow()
    roles = {hit.role for hit in found.find("the", archived=None, limit=100)}
    assert "agent" in roles | {hit.role for hit in found.find("a*", archived=None, limit=100)}
    assert found.ids("environment_context", archived=None) == []


def test_titles_and_names_are_found_under_the_name_of_now(one):
    found, (first, second) = one("about lorem", "about ipsum")
    found.rename(first, "Grand Plan")
    assert found.status.behind == 1
    assert not found.find("lorem").complete
    report = found.feed()
    assert (report.threads, report.bytes_read, report.messages) == (1, 0, 0)
    (hit,) = found.find("grand")
    assert (hit.thread.id, hit.role, hit.thread.name) == (first, "title", "Grand Plan")
    assert hit.snippet[slice(*hit.matches[0])] == "Grand"

    found.rename(first, "Small Plan")
    found.feed()
    assert found.ids("grand") == []
    assert found.ids("small") == [first]
    assert found.ids("about") == [second, first]
    found.rename(first, "")
    found.feed()
    assert found.ids("small") == []


def test_when_the_file_is_gone_the_title_is_shown(one):
    found, (id,) = one("the needle in the title")
    found.home.delete(id)
    (hit,) = found.find("needle")
    assert hit.snippet == "the needle in the title"


def test_when_the_file_is_another_the_title_is_shown(one):
    found, (id,) = one("the needle in the title")
    found.home.write(found.home.file(id), b"nothing\n" * 500)
    (hit,) = found.find("needle")
    assert hit.snippet == "the needle in the title"


def test_filters_mean_what_they_mean_in_a_list(make_home, searched):
    home = make_home()
    here = home.thread("needle one", cwd="/srv/one", provider="mock", source="cli")
    there = home.thread("needle two", cwd="/srv/two", provider="openai", source="vscode")
    old = home.thread("needle three", cwd="/srv/one", provider="mock", source="exec", archived=True)
    found = searched(home)
    found.follow()
    assert set(found.ids("needle")) == {here, there}
    assert set(found.ids("needle", archived=True)) == {old}
    assert set(found.ids("needle", archived=None)) == {here, there, old}
    assert found.ids("needle", cwds=("/srv//one/",)) == [here]
    assert set(found.ids("needle", cwds=("/srv/one", "/srv/two"))) == {here, there}
    assert found.ids("needle", providers=("openai",)) == [there]
    assert found.ids("needle", sources=("cli", "exec"), archived=None, cwds=("/srv/one",)) == [old, here]
    assert found.ids("needle", providers=("nobody",)) == []

    found.archive(here)  # counts at once, fed or not
    assert found.ids("needle") == [there]
    assert found.feed().bytes_read == 0
    assert set(found.ids("needle", archived=True)) == {here, old}
    found.archive(here, False)
    assert set(found.ids("needle")) == {here, there}
