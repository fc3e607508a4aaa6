"""Files under the fence: all at once with the end of the job, or never, whatever somebody did to them meanwhile."""

import os
import shutil
from pathlib import Path

import pytest
from job_steps import BOB, claim, do, enqueue, get

from holdfast import jobs
from holdfast.errors import Busy, Refused, Stale
from holdfast.jobs import Report, Status, Worker, guard


def files(path):
    return {name: (path / name).read_text() for name in sorted(os.listdir(path))}


def writes(path, text, then=lambda: None):
    def fn(work):
        with work.guard(path) as folder:
            for name in ("a", "b"):
                with open(os.path.join(folder, name), "w") as file:
                    file.write(text)
        then()

    return fn


def published(engine, path):
    with engine.read() as tx:
        return jobs.published(tx, path)


def generations(out):
    folder = out.parent / f".{out.name}.generations"
    return [name for name in os.listdir(folder) if name != "lock"] if folder.exists() else []


def stage(claimed, out, text):
    with guard.stage(claimed, out) as staged:
        Path(staged.folder, "a").write_text(text)
    return staged


def publish(engine, staged):
    with engine.write() as tx:
        guard.publish(tx, staged)
        jobs.finish(tx, staged.claim)


def test_files_appear_all_at_once_when_the_job_is_finished(real, tmp_path):
    out = tmp_path / "deep" / "out"
    for text in ("first", "second", "third"):
        do(real, "retry", "k", "1") if get(real) else enqueue(real)

        def fn(work, text=text):
            before = files(out) if out.exists() else None
            writes(out, text)(work)
            assert (files(out) if out.exists() else None) == before

        assert Worker(real, ["k"], fn).run(jobs_max=1) == Report(done=1)
        assert files(out) == {"a": text, "b": text}
        assert published(real, out) == os.path.realpath(out)
    # The one before is kept for who is still reading it, older ones are not.
    assert len(generations(out)) == 2


def test_a_job_that_fails_publishes_nothing_and_leaves_nothing(real, tmp_path):
    enqueue(real)

    def fn(work):
        writes(tmp_path / "out", "half")(work)
        raise ValueError

    Worker(real, ["k"], fn).run(jobs_max=1)
    assert not os.path.lexists(tmp_path / "out")
    assert os.listdir(tmp_path / ".out.generations") == []


def test_who_lost_its_claim_publishes_nothing_though_it_staged_before_the_other(real, tmp_path):
    out = tmp_path / "out"
    late = claim(real, lease_ms=60_000)
    staged = stage(late, out, "late")
    publish(real, stage(claim(real, owner=BOB, stale_after_ms=0), out, "newer"))
    guard.point(real, out)
    with pytest.raises(Stale):
        publish(real, staged)
    guard.settle(real, staged)
    assert files(out) == {"a": "newer"}
    assert not os.path.exists(staged.folder)


def test_a_link_that_was_left_behind_follows_the_row(real, tmp_path):
    out = tmp_path / "out"
    enqueue(real)
    Worker(real, ["k"], writes(out, "first")).run(jobs_max=1)
    first = os.readlink(out)
    do(real, "retry", "k", "1")
    Worker(real, ["k"], writes(out, "second")).run(jobs_max=1)
    os.unlink(out)
    os.symlink(first, out)
    assert guard.point(real, out)
    assert files(out) == {"a": "second", "b": "second"}


def put(kind, path):
    """Put something at ``path`` that is none of ours, and return how to look whether it is as it was."""
    if os.path.lexists(path):
        os.unlink(path)
    if kind == "folder":
        path.mkdir()
        (path / "mine").write_text("mine")
        return lambda: files(path) == {"mine": "mine"}
    if kind == "file":
        path.write_text("mine")
        return lambda: path.read_text() == "mine"
    os.symlink("somewhere", path)
    return lambda: os.readlink(path) == "somewhere"


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
@pytest.mark.parametrize("when", ["before", "meanwhile", "instead of ours"])
def test_what_somebody_put_there_is_left_as_it_is_and_the_job_fails_by_name(real, tmp_path, kind, when):
    out = tmp_path / "out"
    enqueue(real)
    if when == "instead of ours":
        assert Worker(real, ["k"], writes(out, "first")).run(jobs_max=1) == Report(done=1)
        do(real, "retry", "k", "1")
    looks = []
    if when == "before":
        looks.append(put(kind, out))
    then = (lambda: None) if when == "before" else lambda: looks.append(put(kind, out))
    before = published(real, out)
    enqueue(real, "2")  # the worker goes on
    report = Worker(real, ["k"], lambda work: work.job.key == "1" and writes(out, "x", then)(work)).run(until_idle=True)
    assert report == Report(done=1, failed=1)
    assert get(real).status == Status.RESTING
    assert f"{out} is a {kind}" in get(real).failure
    assert looks[0]()
    assert published(real, out) == before
    assert len(generations(out)) == (when == "instead of ours")


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_what_was_put_there_after_the_commit_is_left_too_and_what_counts_is_told(real, tmp_path, monkeypatch, kind):
    out = tmp_path / "out"
    enqueue(real)
    looks, real_settle = [], guard.settle

    def settle(engine, staged):
        looks.append(put(kind, out))
        real_settle(engine, staged)

    monkeypatch.setattr(guard, "settle", settle)
    assert Worker(real, ["k"], writes(out, "x")).run(jobs_max=1) == Report(done=1)
    with pytest.raises(Refused, match=f"{out} is a {kind}"):
        guard.point(real, out)
    assert looks[0]()
    assert files(Path(published(real, out))) == {"a": "x", "b": "x"}


@pytest.mark.parametrize("error", [Busy("too long"), OSError(28, "No space left on device")])
def test_a_worker_that_cannot_set_the_link_goes_on_and_the_next_look_sets_it(real, tmp_path, monkeypatch, error):
    out = tmp_path / "out"
    for key in "12":
        enqueue(real, key)
    with monkeypatch.context() as broken:

        def fails(_engine, _path):
            raise error

        broken.setattr(guard, "point", fails)
        report = Worker(real, ["k"], lambda work: work.job.key == "1" and writes(out, "x")(work)).run(jobs_max=2)
    assert report == Report(done=2)
    assert not os.path.lexists(out)
    assert guard.point(real, out)
    assert files(out) == {"a": "x", "b": "x"}


def test_two_jobs_cannot_publish_at_one_path(real, tmp_path):
    for key in "12":
        enqueue(real, key)
    Worker(real, ["k"], writes(tmp_path / "out", "x")).run(until_idle=True)
    assert [get(real, key).status for key in "12"] == [Status.DONE, Status.RESTING]
    assert "published by the job k/1" in get(real, "2").failure


def test_a_folder_that_was_deleted_never_comes_again_with_the_files_of_another_job(real, tmp_path):
    out = tmp_path / "out"
    one, other = claim(real, "1"), claim(real, "2", owner=BOB)
    assert one.fence == other.fence
    staged = stage(one, out, "one")
    shutil.rmtree(staged.folder)
    theirs = stage(other, out, "other")
    with pytest.raises(Refused, match="was removed before it was published"):
        publish(real, staged)
    publish(real, theirs)
    shutil.rmtree(theirs.folder)
    with guard.stage(one, out) as again:
        Path(again.folder, "a").write_text("half")
        assert not os.path.exists(published(real, out))  # deleted is deleted: no files of another in its place
    with pytest.raises(Refused, match="published by the job k/2"):
        publish(real, again)
    do(real, "release", one)


def test_a_job_whose_folder_was_deleted_fails_and_publishes_with_its_next_attempt(real, tmp_path):
    out = tmp_path / "out"
    enqueue(real)

    def deletes():
        (made,) = generations(out)
        shutil.rmtree(tmp_path / ".out.generations" / made)

    assert Worker(real, ["k"], writes(out, "x", deletes)).run(jobs_max=1) == Report(failed=1)
    assert "was removed before it was published" in get(real).failure
    do(real, "retry", "k", "1")
    assert Worker(real, ["k"], writes(out, "x")).run(jobs_max=1) == Report(done=1)
    assert files(out) == {"a": "x", "b": "x"}
