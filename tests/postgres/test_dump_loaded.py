"""A dump of yesterday in another server: whoever worked since is refused there, and no fence comes again."""

import subprocess

import pytest

import holdfast
from holdfast.errors import Stale
from holdfast.jobs import Claimed, Status
from servers import Server, binaries


@pytest.fixture
def other_server():
    started = Server()
    yield started
    started.remove()


def load(text, server):
    command = [str(binaries() / "psql"), "--quiet", "--no-psqlrc", "-v", "ON_ERROR_STOP=1", server.url()]
    subprocess.run(command, input=text, check=True, stdout=subprocess.DEVNULL)


def test_a_claim_from_before_a_dump_was_loaded_is_refused_and_its_fence_never_comes_again(
    server, schema_url, other_server, tmp_path
):
    team = schema_url.partition("schema=")[2]
    with holdfast.open([], state=schema_url, state_dir=tmp_path / "one", search=False) as state:
        state.jobs.enqueue("k", "1")
        in_the_dump = state.jobs.claim("k", "1")
        dump = subprocess.run(
            [str(binaries() / "pg_dump"), f"--schema={team}", server.url()], check=True, capture_output=True
        ).stdout
        state.jobs.release(in_the_dump)
        after_it = state.jobs.claim("k", "1")
        state.jobs.release(after_it)
    load(dump, other_server)
    with holdfast.open([], state=other_server.url(team), state_dir=tmp_path / "two", search=False) as state:
        for old in (in_the_dump, after_it):
            with pytest.raises(Stale):
                state.jobs.finish(old)
        again = state.jobs.claim("k", "1")
        assert isinstance(again, Claimed)
        assert again.fence > after_it.fence > in_the_dump.fence
        assert again.attempt == 1  # to be put back is nobody's failure
        with pytest.raises(Stale):
            state.jobs.finish(after_it)
        state.jobs.finish(again)
        assert state.jobs.get("k", "1").status == Status.DONE
