"""A process that may not write cannot, whatever it tries; what it may, it can."""

from __future__ import annotations

from processes import children

TRIES = """
import sqlite3
from holdfast.doctor.caging import write_only_below
there, mine = sys.argv[1:]
caged = write_only_below([mine])
def tried(name, do):
    try: do()
    except OSError as error: return name
    except sqlite3.Error as error: return name
    return ""
def sql():
    c = sqlite3.connect(there + "/a.db", isolation_level=None)
    c.execute("INSERT INTO t VALUES (2)")
refused = [tried(*each) for each in (
    ("write", lambda: open(there + "/file", "ab").close()),
    ("make", lambda: open(there + "/new", "xb").close()),
    ("cut", lambda: os.truncate(there + "/file", 0)),
    ("folder", lambda: os.mkdir(there + "/folder")),
    ("rename", lambda: os.rename(there + "/file", there + "/other")),
    ("link", lambda: os.link(there + "/file", mine + "/link")),
    ("remove", lambda: os.unlink(there + "/file")),
    ("sql", sql),
)]
assert open(there + "/kept").read() == "as it was"
with open(mine + "/copy", "w") as file: file.write("mine")
os.unlink(mine + "/copy")
say(caged, *[name for name in refused if name])
"""


def test_nothing_outside_of_what_is_allowed_can_be_written_where_the_kernel_can_see_to_it(tmp_path):
    there, mine = tmp_path / "there", tmp_path / "mine"
    there.mkdir()
    mine.mkdir()
    (there / "file").write_text("as it was")
    (there / "kept").write_text("as it was")
    with children("") as start:
        made = start("import sqlite3; c = sqlite3.connect(sys.argv[1]); c.execute('CREATE TABLE t (a)'); say('made')",
                     there / "a.db")  # fmt: skip
        assert made.line() == "made"
        assert made.wait() == 0
        caged, *refused = start(TRIES, there, mine).line().split()
    assert refused == (["write", "make", "cut", "folder", "rename", "link", "remove", "sql"] if caged == "True" else [])
    if caged == "True":
        assert (there / "file").read_text() == "as it was"
