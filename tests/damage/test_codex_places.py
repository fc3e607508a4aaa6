"""Where a Codex home has its databases: what is newer than we know, who is where they were, and what should move."""

from __future__ import annotations

import codex_damage
import pytest

from holdfast.doctor.facts import look
from holdfast.doctor.homes.recognising import recognise
from holdfast.doctor.model import Status
from holdfast.doctor.probes.raw import RAW
from processes import children

# Has a database open, and the kernel tell it what happens in a folder.
HOLDER = """
import ctypes, sqlite3
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("PRAGMA journal_mode = WAL")
c.execute("SELECT count(*) FROM sqlite_schema").fetchall()
if len(sys.argv) > 2:
    libc = ctypes.CDLL(None)
    assert libc.inotify_add_watch(libc.inotify_init(), sys.argv[2].encode(), 0xFFF) > 0
say("open")
hear()
"""


@pytest.fixture
def home(tmp_path):
    return codex_damage.home(tmp_path)


@pytest.fixture
def start():
    with children("") as start:
        yield start


def found(path, *ids):
    """Return what the raw probes find of these."""
    (seen,) = look.look([recognise(path)], sample_ms=1)
    return [finding for probe in RAW for finding in probe.run(seen) if finding.id in ids]


def test_a_generation_that_is_not_known_is_said_to_be_unknown(home):
    (home / "logs_2.sqlite").rename(home / "logs_3.sqlite")

    (finding,) = found(home, "unknown-generation")

    assert finding.status is Status.PARTIAL
    assert finding.path == str(home / "logs_3.sqlite")


def test_who_still_has_the_databases_open_that_the_home_left_is_named(home, start, tmp_path):
    (tmp_path / "fast").mkdir()
    for path in home.glob("*.sqlite"):
        (tmp_path / "fast" / path.name).write_bytes(path.read_bytes())
    (home / "config.toml").write_text(f"sqlite_home = '{tmp_path}/fast'")
    assert found(home, "old-files-held") == []
    child = start(HOLDER, home / "state_5.sqlite")
    assert child.line() == "open"

    (finding,) = found(home, "old-files-held")

    assert finding.path == str(home / "state_5.sqlite")
    assert str(child.pid) in finding.measured


def test_a_move_is_offered_to_those_who_watch_their_own_folder_and_to_no_others(home, start, tmp_path):
    watching = start(HOLDER, tmp_path / "other.db", home)
    assert watching.line() == "open"
    assert found(home, "relocation-offered") == []  # it has none of the home's open

    both = start(HOLDER, home / "logs_2.sqlite", home)
    assert both.line() == "open"

    (finding,) = found(home, "relocation-offered")

    assert finding.path == str(home)
    assert str(both.pid) in finding.measured
    assert str(watching.pid) not in finding.measured
    assert "logs_2.sqlite" in finding.details["databases"]
