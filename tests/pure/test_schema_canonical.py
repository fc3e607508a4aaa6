from holdfast.schema import Migration, _migration, canonical

TABLE = "CREATE TABLE t (\n    a INTEGER NOT NULL,\n    b TEXT DEFAULT 'x'\n) STRICT;\n"


def checksum(text):
    made = _migration("0001_t", text)
    assert isinstance(made, Migration)
    return made.checksum


def test_a_comment_and_the_layout_may_be_mended():
    same = "-- Said better: it's a table.\nCREATE TABLE t (  a INTEGER NOT NULL, -- why\nb TEXT DEFAULT 'x' ) STRICT;"
    assert canonical(same) == canonical(TABLE)
    assert checksum(same) == checksum(TABLE)


def test_any_word_that_sqlite_reads_counts():
    for other in (
        TABLE.replace("NOT NULL", ""),
        TABLE.replace("'x'", "'y'"),
        TABLE.replace("'x'", "'-- x'"),
        TABLE.replace("'x'", "'-- y'"),
        TABLE + "CREATE INDEX i ON t (a);",
    ):
        assert checksum(other) != checksum(TABLE)
    assert checksum(TABLE.replace("'x'", "'-- x'")) != checksum(TABLE.replace("'x'", "'-- y'"))
