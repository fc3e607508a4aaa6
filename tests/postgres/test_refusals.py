"""What the server refuses, as errors that say what to do; and no password in any of them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import traceback

import pytest

import holdfast
from conftest import DONE
from engines import open_engine
from holdfast import postgres, schema
from holdfast.errors import Busy, Full, Refused, Stale, Unsupported
from holdfast.sql import statement

NOTHING = statement("SELECT 1 AS one", "nothing")


def ask(url, **how):
    with open_engine(url) as store, store.read(**how) as tx:
        return tx.row(NOTHING)


@pytest.mark.parametrize(
    ("user", "database", "told"),
    [("nobody_here", "postgres", "role .* does not exist"), ("postgres", "nowhere", "database .* does not exist")],
)
def test_who_is_not_let_in_is_refused_at_once_with_what_to_check(server, user, database, told):
    with pytest.raises(Refused, match=told) as error:
        ask(server.url(user=user, database=database), wait_ms=60_000)
    assert "pg_hba.conf" in error.value.remedy


def test_a_server_without_a_free_connection_is_busy(server):
    server.run("CREATE ROLE narrow LOGIN CONNECTION LIMIT 0")
    try:
        with pytest.raises(Busy, match=r"waited \d+ ms: .* too many connections"):
            ask(server.url(user="narrow"), wait_ms=100)
    finally:
        server.run("DROP ROLE narrow")


def test_nobody_answering_is_busy_and_the_password_is_in_no_word_of_it(tmp_path):
    url = f"postgresql://ann:s3cr%65t@/agents?host={tmp_path}&schema=team"
    with open_engine(url) as store:
        assert store.path == f"postgresql://{tmp_path}/agents?schema=team"
        with pytest.raises(Busy) as error, store.write(wait_ms=50):
            pass
    assert "s3c" not in "".join(traceback.format_exception(error.value)) + error.value.remedy


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:s3cret@host:port/db",
        "postgresql://ann:s3cret@[::1/db",
        "postgresql://ann:s3cret@host/db?schema=Team",
        "postgresql://ann:s3cret@host/db?schema=pg_team",
        "postgresql://ann:s3cret@host/db?schema=a;b",
        "postgresql://ann:s3cret@host/db?no_such_option=1",
        "mysql://ann:s3cret@host/db",
    ],
)
def test_a_url_that_is_none_is_refused_without_its_password(url):
    with pytest.raises(Refused) as error:
        ask_any(url)
    assert "s3cret" not in "".join(traceback.format_exception(error.value)) + error.value.remedy


def ask_any(url):
    with postgres.Store.open(url) as store, store.read(wait_ms=50):
        pass


def test_a_server_that_takes_no_writes_says_so_and_can_be_read(server, store, schema_url):
    server.run(f"CREATE ROLE reader LOGIN; ALTER ROLE reader SET default_transaction_read_only = on;"
               f"GRANT USAGE ON SCHEMA {schema_url.partition('schema=')[2]} TO reader")  # fmt: skip
    try:
        with open_engine(schema_url.replace("postgres@", "reader@")) as reading:
            with pytest.raises(Unsupported, match="takes no writes") as error, reading.write():
                pass
            assert "primary" in error.value.remedy
            with reading.read() as tx:
                assert tx.row(NOTHING) == {"one": 1}
                with pytest.raises(Refused, match="permission denied") as denied:
                    tx.row(statement("SELECT * FROM holds"))
            assert "GRANT" in denied.value.remedy
    finally:
        server.run("DROP OWNED BY reader; DROP ROLE reader")


@pytest.mark.parametrize(
    ("sqlstate", "kind"),
    [("53100", Full), ("53200", Busy), ("40001", Busy), ("57014", Busy), ("23505", Refused), ("0A000", Unsupported)],
)
def test_what_the_server_raises_is_one_of_ours_and_nothing_is_kept(store, sqlstate, kind):
    raise_it = f"DO $$ BEGIN RAISE EXCEPTION 'told so' USING ERRCODE = '{sqlstate}'; END $$"
    with pytest.raises(kind, match=f"told so .SQLSTATE {sqlstate}") as error, store.write() as tx:
        tx.run(DONE, label="before")
        tx.script(raise_it)
    assert type(error.value) is kind
    with store.read() as tx:
        assert tx.rows(statement("SELECT * FROM done")) == []


def test_an_error_that_was_caught_does_not_let_the_rest_seem_kept(store):
    with pytest.raises(Refused, match="nothing was kept"), store.write() as tx:
        tx.run(DONE, label="before")
        with pytest.raises(Refused, match="SQLSTATE 23502"):
            tx.run(statement("INSERT INTO labels (label) VALUES (NULL)"))
        with pytest.raises(Refused, match="rolled back"):
            tx.run(DONE, label="after")
    with store.read() as tx:
        assert tx.rows(statement("SELECT * FROM done")) == []


def test_of_two_writes_that_wait_for_each_other_one_is_tried_again_and_both_are_kept(store):
    met = threading.Barrier(2, timeout=30)
    touch = statement("UPDATE counters SET value = value + 1 WHERE name = :name")
    tries = []

    def work(first, second):
        def change(tx):
            tries.append(first)
            tx.run(touch, name=first)
            if len(tries) <= 2:
                met.wait()
            tx.run(touch, name=second)

        return store.submit(change, wait_ms=60_000)

    for each in (work("epoch", "revision"), work("revision", "epoch")):
        each.result(60)
    assert len(tries) == 3
    with store.read() as tx:
        values = {row["name"]: row["value"] for row in tx.rows(statement("SELECT * FROM counters"))}
    assert (values["epoch"], values["revision"]) == (3, 2)


def test_a_write_inside_a_write_of_the_same_thread_is_refused_and_a_read_joins_a_read(store):
    with store.write() as tx, pytest.raises(Refused, match="inside a write"), store.write():
        tx.run(DONE, label="never")
    with store.read() as outer, store.read() as inner:
        assert inner is outer
    with pytest.raises(Refused, match="over"):
        outer.row(NOTHING)


def test_a_read_sees_one_moment_however_often_it_looks(store):
    count = statement("SELECT count(*) AS n FROM done")
    with store.read() as tx:
        assert tx.row(count)["n"] == 0
        store.submit(lambda tx: tx.run(DONE, label="meanwhile")).result(30)
        assert tx.row(count)["n"] == 0
    with store.read() as tx:
        assert tx.row(count)["n"] == 1


def test_the_time_is_the_servers(server, store):
    ((before,),) = server.run("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)")
    with store.write() as tx:
        now_ms = tx.now_ms
    ((after,),) = server.run("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)")
    assert before <= now_ms <= after


def test_without_psycopg_it_says_what_to_install(tmp_path):
    (tmp_path / "home").mkdir()
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "import holdfast\n"
        "home, state_dir = sys.argv[1:]\n"
        "try: holdfast.open(home, state='postgresql://host/db', state_dir=state_dir)\n"
        "except holdfast.Unsupported as error: print(error.remedy)"
    )
    command = [sys.executable, "-c", code, tmp_path / "home", tmp_path / "state"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout == "pip install 'holdfast[postgres]'\n"


def test_a_forked_child_has_connections_of_its_own_and_its_parent_goes_on(store):
    with store.write() as tx:
        tx.run(DONE, label="parent")
    with store.write() as open_tx:
        open_tx.run(DONE, label="open")
        if (pid := os.fork()) == 0:
            code = 1
            try:
                with store.write() as tx:
                    tx.run(DONE, label="child")
                try:
                    open_tx.run(DONE, label="not the child's")
                except Refused:
                    code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        open_tx.run(DONE, label="still open")
    with store.read() as tx:
        found = [row["label"] for row in tx.rows(statement("SELECT label FROM done ORDER BY label"))]
    assert found == ["child", "open", "parent", "still open"]


def test_what_does_not_run_on_it_yet_says_so(schema_url, make_home, state_dir):
    home = make_home()
    home.thread("words")
    with holdfast.open(home, state=schema_url, state_dir=state_dir) as state:
        for refused in (
            lambda: state.threads.search("words"),
            lambda: state.wait_for_search(),
            lambda: state.backup(),
            lambda: holdfast.backup(state_dir=schema_url),
            lambda: holdfast.rebuild(home, state_dir=schema_url),
            lambda: holdfast.restore(state_dir / "backup.db", state_dir=schema_url),
        ):
            with pytest.raises(Unsupported) as error:
                refused()
            assert error.value.remedy
    assert not (state_dir / "state.db").exists()


def test_a_state_is_named_in_three_ways(schema_url, make_home, state_dir, monkeypatch):
    home = make_home()
    id = home.thread("words")
    monkeypatch.setenv("CODEX_HOME", str(home))
    with holdfast.open(schema_url, state_dir=state_dir) as state:
        assert state.threads.get(id).title == "words"
    monkeypatch.setenv("HOLDFAST_STATE", schema_url)
    with holdfast.open(home, refresh=False, search=False) as state:
        assert state.engine.kind == "postgres"
        assert state.threads.rename(id, "called so").name == "called so"
    with holdfast.peek(home) as peeked:
        assert peeked.threads.get(id).name == "called so"
        with pytest.raises(Refused, match="peek"):
            peeked.threads.rename(id, "x")
    with pytest.raises(Refused, match="no URL of a database"):
        holdfast.open(home, state="/some/directory")


def test_two_machines_have_a_home_of_the_same_path_each(schema_url, make_home, tmp_path, monkeypatch):
    home = make_home()
    id = home.thread("here")
    with holdfast.open(home, state=schema_url, state_dir=tmp_path / "here", search=False) as state:
        state.threads.delete(id)
    monkeypatch.setattr("holdfast.threads.homes.host", lambda: "another machine")
    monkeypatch.setattr("holdfast.threads.store.host", lambda: "another machine")
    with holdfast.open(home, state=schema_url, state_dir=tmp_path / "there", search=False) as state:
        assert [thread.id for thread in state.threads.list()] == [id]
        assert len(state.status().homes) == 1


def test_two_teams_share_a_database_and_see_nothing_of_each_other(server, make_home, state_dir):
    home = make_home()
    home.thread("words")
    names = [server.new_schema(), server.new_schema()]
    try:
        with holdfast.open(home, state=server.url(names[0]), state_dir=state_dir, search=False) as state:
            assert len(state.threads.list()) == 1
        with open_engine(server.url(names[1])) as store:
            schema.migrate(store)
            with store.read() as tx:
                assert tx.rows(statement("SELECT * FROM threads")) == []
    finally:
        for name in names:
            server.drop(name)


def test_a_lost_hold_is_stale_here_too(store):
    from holdfast import holds

    with store.write() as tx:
        hold = holds.take(tx, "r", holds.me("ann"), lease_ms=60_000)
    with store.write() as tx:
        assert holds.take(tx, "r", holds.me("bob"), lease_ms=60_000, stale_after_ms=0).fence == hold.fence + 1
    with pytest.raises(Stale), store.write() as tx:
        holds.renew(tx, hold, lease_ms=60_000)


def test_a_nul_in_a_transcript_keeps_nothing_out(schema_url, make_home, state_dir):
    home = make_home()
    odd = home.thread("be\0fore and after", cwd="/odd\0place", provider="mo\0ck", more={"git": {"branch": "b\0"}})
    home.name(odd, "na\0me")
    plain = home.thread("plain words")
    with holdfast.open(home, state=schema_url, state_dir=state_dir, search=False) as state:
        assert {thread.id for thread in state.threads.list()} == {odd, plain}
        thread = state.threads.get(odd)
        assert (thread.title, thread.cwd) == ("be\ufffdfore and after", "/odd\ufffdplace")
        assert state.threads.rename(plain, "x\0y").name == "x\ufffdy"
        assert state.index()[0].indexed == 0
        assert state.index(full=True)[0].indexed == 2
        assert state.threads.tools(plain) is None
        assert state.threads.set_tools(plain, [holdfast.Tool(name="a\0b", description="c\0d", input_schema={})])
        assert state.threads.tools(plain)[0].description == "c\0d"
