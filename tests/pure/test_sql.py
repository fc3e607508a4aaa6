import itertools
import sys

import pytest

from holdfast import sql

_numbers = itertools.count()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Make an importable package with these .sql files; return its name."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(shared, postgres=None):
        name = f"statements_{next(_numbers)}"
        folder = tmp_path / name
        folder.mkdir()
        (folder / "__init__.py").write_text("")
        (folder / "queries.sql").write_text(shared)
        if postgres is not None:
            (folder / "queries.postgres.sql").write_text(postgres)
        return name

    yield make
    for name in [name for name in sys.modules if name.startswith("statements_")]:
        del sys.modules[name]


def test_a_statement_is_found_by_its_name_with_its_parameters(package):
    loaded = sql.load(package("-- name: one\nSELECT :a, :b_2\n\n-- name: two\nSELECT 2\n"))
    assert set(loaded) == {"one", "two"}
    assert loaded["one"].sqlite == "SELECT :a, :b_2"
    assert loaded["one"].params == {"a", "b_2"}
    assert loaded["two"].params == frozenset()


def test_postgres_gets_the_same_words_in_its_own_form(package):
    statement = sql.load(package("-- name: one\nSELECT a FROM t WHERE a = :a AND b LIKE 'x%' AND c = d::bigint"))["one"]
    assert statement.postgres == "SELECT a FROM t WHERE a = %(a)s AND b LIKE 'x%%' AND c = d::bigint"
    assert statement.params == {"a"}


def test_an_override_changes_the_words_for_postgres_alone(package):
    name = package("-- name: one\nSELECT :a\n", "-- name: one\n-- Differs: because.\nSELECT :a FOR UPDATE\n")
    statement = sql.load(name)["one"]
    assert (statement.sqlite, statement.postgres) == ("SELECT :a", "SELECT %(a)s FOR UPDATE")


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("-- name: other\nSELECT :a", "without an original.*other"),
        ("-- name: one\nSELECT :b {s}", "other parameters"),
        ("-- name: one\nSELECT {s}", "other parameters"),
        ("-- name: one\nSELECT :a", "other slots"),
    ],
)
def test_an_override_that_means_something_else_is_refused(package, override, complaint):
    name = package("-- name: one\nSELECT :a {s}", override)
    with pytest.raises(ValueError, match=complaint):
        sql.load(name)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("-- name: one\nSELECT 1\n-- name: one\nSELECT 2", "two statements"),
        ("-- name: one\nSELECT 1\n-- name: two (slow)\nSELECT 2", "a header is"),
        ("-- name: one\nSELECT 1\n --name: two\nSELECT 2", "a header is"),
        ("SELECT 0\n-- name: one\nSELECT 1", "without a name"),
        ("-- name: one\n-- nothing here\n-- name: two\nSELECT 2", "one has no statement"),
    ],
)
def test_a_file_that_would_be_misread_is_refused(text, complaint):
    with pytest.raises(ValueError, match=complaint):
        sql.parse(text)


def test_comments_are_left_out_wherever_they_stand():
    text = (
        "-- about the file: :x {y}\n\n-- name: one\n-- It's :ignored and {ignored}.\n"
        "SELECT a, -- trailing :z {z}\n\n  -- between\n  b\nFROM t\n"
    )
    assert sql.parse(text) == {"one": "SELECT a,\n  b\nFROM t"}


def test_what_looks_like_a_comment_inside_quotes_stays():
    assert sql.without_comments("SELECT '-- no', 'it''s -- no' -- yes") == "SELECT '-- no', 'it''s -- no'"


@pytest.fixture
def listed(package):
    name = package(
        "-- name: listed\nSELECT a FROM t {where} LIMIT :n\n\n-- name: by_b\nWHERE b = :b AND c LIKE '%x'\n",
        "-- name: by_b\n-- Differs: because.\nWHERE b IS NOT DISTINCT FROM :b AND c LIKE '%x'\n",
    )
    return sql.load(name)


def test_a_slot_is_filled_with_each_engines_own_words(listed):
    assert listed["listed"].slots == {"where"}
    filled = listed["listed"].fill(where=listed["by_b"])
    assert filled.sqlite == "SELECT a FROM t WHERE b = :b AND c LIKE '%x' LIMIT :n"
    assert filled.postgres == "SELECT a FROM t WHERE b IS NOT DISTINCT FROM %(b)s AND c LIKE '%%x' LIMIT %(n)s"
    assert (filled.params, filled.slots) == ({"b", "n"}, frozenset())


def test_a_slot_takes_a_fragment_and_a_slot_in_a_part_stays_open(listed):
    assert listed["listed"].fill(where="WHERE d = :d").postgres == "SELECT a FROM t WHERE d = %(d)s LIMIT %(n)s"
    nested = listed["listed"].fill(where="WHERE {more}")
    assert nested.slots == {"more"}
    assert nested.fill(more="e").sqlite == "SELECT a FROM t WHERE e LIMIT :n"


@pytest.mark.parametrize("parts", [{}, {"where": "", "also": ""}, {"wherever": ""}])
def test_parts_that_are_not_exactly_the_slots_are_refused(listed, parts):
    with pytest.raises(ValueError, match="slots are"):
        listed["listed"].fill(**parts)


def test_a_package_without_statements_has_none_and_a_missing_script_is_told(package):
    name = package("")
    assert sql.load(name) == {}
    with pytest.raises(FileNotFoundError):
        sql.load_script(name, "absent.sql")
