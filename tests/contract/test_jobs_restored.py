"""A database that was put back: what was claimed before is void, and fences go on growing."""

import pytest

import holdfast
from holdfast.errors import Stale
from holdfast.jobs import Claimed, Status


def test_a_claim_from_before_a_restore_is_refused_and_its_fence_never_comes_again(state_dir, tmp_path):
    copy = tmp_path / "copy.db"
    with holdfast.open([], state_dir=state_dir, search=False) as state:
        state.jobs.enqueue("k", "1")
        in_the_copy = state.jobs.claim("k", "1")
        state.backup(copy)
        state.jobs.release(in_the_copy)
        after_it = state.jobs.claim("k", "1")
    holdfast.restore(copy, state_dir=state_dir)
    with holdfast.open([], state_dir=state_dir, search=False) as state:
        for old in (in_the_copy, after_it):
            with pytest.raises(Stale):
                state.jobs.finish(old)
        again = state.jobs.claim("k", "1")
        assert isinstance(again, Claimed)
        assert again.fence > after_it.fence > in_the_copy.fence
        assert again.attempt == 1  # to be put back is nobody's failure
        with pytest.raises(Stale):
            state.jobs.finish(after_it)
        state.jobs.finish(again)
        assert state.jobs.get("k", "1").status == Status.DONE
