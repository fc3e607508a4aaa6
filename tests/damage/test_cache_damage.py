"""A cache.db that is damaged, locked, newer, foreign, full or gone: a miss, never an error; made anew if it may."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import pytest

import holdfast
from processes import children

PRELUDE = """
import apsw
db = apsw.Connection(sys.argv[1])
"""


@pytest.fixture
def state_dir(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home" / "sessions").mkdir(parents=True)
    return tmp_path / "home"


@pytest.fixture
def reopen(home, state_dir):
    """Open the state and its cache, as a new process would."""
    opened = []

    def reopen():
        opened.append(holdfast.open(home, state_dir=state_dir, search=False))
        return opened[-1].cache("web")

    yield reopen
    for state in opened:
        state.close()


@pytest.fixture
def db(home, state_dir):
    """A closed cache with two hundred values in it."""
    with holdfast.open(home, state_dir=state_dir, search=False) as state:
        cache = state.cache("web")
        for n in range(200):
            assert cache.put(f"key {n}", "x" * 500)
    return state_dir / "cache.db"


def all_random(db):
    db.write_bytes(random.Random(1).randbytes(db.stat().st_size))


def words_instead(db):
    db.write_text("this is no database\n" * 500)


def half_a_page(db):
    os.truncate(db, 2_000)


def half_of_it_random(db):
    with open(db, "r+b") as file:
        file.seek(db.stat().st_size // 2)
        file.write(random.Random(2).randbytes(db.stat().st_size // 2))


def a_log_alone(db):
    db.unlink()
    db.with_name("cache.db-wal").write_bytes(random.Random(3).randbytes(8_192))


@pytest.mark.parametrize("damage", [all_random, words_instead, half_a_page, half_of_it_random, a_log_alone])
def test_a_damaged_cache_is_a_miss_and_is_made_anew(damage, db, reopen):
    damage(db)
    cache = reopen()

    for n in range(200):
        assert cache.get(f"key {n}") in (None, "x" * 500)
    cache.put("new", 1)  # may be what meets the damage

    assert cache.put("new", 2), cache.stats()
    assert cache.get("new") == 2
    assert cache.stats().remade == 1
    assert cache.stats().last_failure


def test_damage_met_while_it_is_open_is_cured_for_every_handle_of_the_process(db, reopen):
    one, other = reopen(), reopen()
    assert one.get("key 1") == other.get("key 1") == "x" * 500
    half_of_it_random(db)
    for n in range(200):
        assert one.get(f"key {n}") in (None, "x" * 500)
    one.put("new", 1)

    assert one.put("new", 2)
    assert other.get("new") == 2


@pytest.mark.parametrize("remove", [["cache.db"], ["cache.db", "cache.db-wal", "cache.db-shm"]])
def test_a_cache_that_is_deleted_under_us_is_begun_anew(remove, db, reopen):
    cache = reopen()
    assert cache.get("key 1") is not None
    for name in remove:
        db.with_name(name).unlink(missing_ok=True)

    assert cache.get("key 1") is None
    cache.put("key", 1)
    assert cache.put("key", 2)
    assert cache.get("key") == 2


def test_while_another_process_has_a_damaged_cache_open_it_is_left_alone(db, reopen):
    with children(PRELUDE) as start:
        user = start("db.execute('begin; select count(*) from entries').fetchall()\npause('reads')", db)
        assert user.line() == "reads"
        half_of_it_random(db)
        before = db.stat().st_ino
        cache = reopen()
        for n in range(200):
            cache.get(f"key {n}")
        cache.put("new", 1)

        assert cache.stats().failures > 0
        assert (db.stat().st_ino, cache.stats().remade) == (before, 0)
        user.kill()
    assert reopen().get("nothing") is None


@pytest.mark.parametrize(
    "lock",
    [
        "db.execute('begin immediate')",
        "db.execute('pragma locking_mode=exclusive; begin exclusive; delete from entries').fetchall()",
    ],
)
def test_a_locked_cache_is_a_miss_and_works_again_afterwards(lock, db, home, state_dir):
    with children(PRELUDE) as start:
        locker = start(f"{lock}\npause('locked')\ndb.close()\nsay('free')", db)
        assert locker.line() == "locked"
        with holdfast.open(home, state_dir=state_dir, search=False) as state:
            cache = state.cache("web")
            assert not cache.put("key", 1)
            assert not cache.delete("key 1")
            assert cache.get("key 1") in (None, "x" * 500)
            assert cache.get_or("made", lambda: "made") == "made"
            assert cache.stats().failures > 0
            assert cache.stats().remade == 0
        locker.tell()
        assert locker.line() == "free"
    with holdfast.open(home, state_dir=state_dir, search=False) as state:
        assert state.cache("web").put("key", 1)


@pytest.mark.parametrize(
    "change",
    [
        "pragma user_version = 99; update readers set min_reader = 99",
        "pragma application_id = 1",
        "drop table migrations; pragma user_version = 0",
    ],
    ids=["newer", "foreign", "not ours"],
)
def test_a_cache_of_somebody_else_is_a_miss_and_is_not_touched(change, db, reopen):
    code = "import apsw, sys; db = apsw.Connection(sys.argv[1]); db.execute(sys.argv[2]).fetchall(); db.close()"
    subprocess.run([sys.executable, "-c", code, db, change], check=True)
    before = db.read_bytes()
    cache = reopen()

    assert cache.get("key 1") is None
    assert not cache.put("key", 1)
    assert not cache.clear()
    assert cache.stats().last_failure

    assert db.read_bytes() == before


def test_a_cache_that_is_a_directory_is_a_miss(home, state_dir, reopen):
    (state_dir / "cache.db").mkdir(parents=True)
    cache = reopen()

    assert cache.get("key") is None
    assert not cache.put("key", 1)
    assert cache.get_or("key", lambda: 1) == 1


def test_undecodable_json_is_a_miss(db, reopen):
    code = "import apsw, sys; db = apsw.Connection(sys.argv[1]); db.execute(\"update entries set value = x'ff7b'\")"
    subprocess.run([sys.executable, "-c", code, db], check=True)
    cache = reopen()

    assert cache.get("key 1") is None
    assert cache.put("key 1", 2)
    assert cache.get("key 1") == 2


def test_a_full_disk_is_a_put_that_did_nothing(db, home, state_dir):
    code = (
        "import sys, resource, signal, holdfast\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "state = holdfast.open(sys.argv[1], state_dir=sys.argv[2], search=False)\n"
        "cache = state.cache('web')\n"
        "assert cache.get('key 1') == 'x' * 500\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))\n"
        "done = [cache.put_bytes(f'big {n}', bytes(50_000)) for n in range(20)]\n"
        "assert done[0] and not all(done), done\n"
        "assert cache.get('key 1') == 'x' * 500\n"
        "assert cache.stats().last_failure\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "assert cache.put('later', 1) and cache.get('later') == 1\n"
        "state.close()\n"
    )
    done = subprocess.run([sys.executable, "-c", code, home, state_dir], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
