"""Torn rollouts are whole again, by whoever may write them, killed or not; undone, every byte is back."""

from __future__ import annotations

import os
import shutil
import stat

import home_damage as damage
import pytest
from home_doctor import sums

from holdfast import receipts
from holdfast.doctor import applying, planning, undoing
from holdfast.errors import Busy, Refused
from holdfast.rollouts import scan, writer_lock
from homes import MadeHome, thread_id
from processes import Child


@pytest.mark.parametrize("harm", damage.TORN, ids=lambda each: each.__name__)
def test_a_torn_rollout_is_whole_again_and_an_undo_gives_every_byte_back(doctor, rollout, harm):
    file, home, id = rollout
    lines = file.read_bytes().splitlines()
    harm(file)
    file = damage.rollout(home, id)
    before = sums(home)
    os.utime(file, ns=(5, 1_700_000_000_123_456_789))
    before = sums(home)

    outcome = doctor.mend(home, "mend-rollouts", file)

    assert outcome.gone and outcome.notes
    now = scan(str(file))
    assert now.status == "ok" and not now.problems
    assert file.stat().st_mtime_ns == 1_700_000_000_123_456_789
    kept = [each.strip() for each in _text(file).splitlines() if each.strip()]
    lost = {damage.last_line_cut: 1, damage.compressed_cut: 1}.get(harm, 0)
    assert kept[: len(lines) - lost] == lines[: len(lines) - lost]
    assert _text(file).endswith(b"\n")
    doctor.undo(outcome)
    assert sums(home) == before


def _text(file):
    from backports import zstd

    data = file.read_bytes()
    return zstd.decompress(data) if file.suffix == ".zst" else data


def test_whole_lines_stay_where_they_are_so_that_kept_offsets_stay_true(doctor, rollout):
    file, home, _ = rollout
    first, *rest = file.read_bytes().splitlines(keepends=True)
    content = first + b"\0" * 40 + rest[0] + b"garbage\n" + rest[1][:30] + b"".join(rest[2:]) + b"half"
    file.write_bytes(content)

    doctor.mend(home, "mend-rollouts", file)

    now = file.read_bytes()
    for each in (first, rest[0], *rest[2:]):
        assert now.index(each) == content.index(each)


def test_a_rollout_that_is_written_or_open_is_left_alone_and_who_is_named(doctor, rollout, start):
    file, home, id = rollout
    damage.nul_tail(file)
    before = sums(home)
    opener = start("held = open(sys.argv[1], 'ab'); say('open'); hear()", file)
    assert opener.line() == "open"

    with pytest.raises(Busy, match=f"pid {opener.pid}"):
        doctor.mend(home, "mend-rollouts", file)

    opener.kill()
    with writer_lock(home, id), pytest.raises(Busy, match=f"pid {os.getpid()}"):
        doctor.mend(home, "mend-rollouts", file)
    assert sums(home) == before and not receipts.listing(doctor.receipts)
    assert doctor.mend(home, "mend-rollouts", file).gone


def test_a_plan_that_names_what_is_no_rollout_of_the_home_is_refused(doctor, rollout, tmp_path):
    file, home, _ = rollout
    damage.nul_tail(file)
    stranger = tmp_path / file.name
    stranger.write_bytes(file.read_bytes())
    (home / "sessions" / f"rollout-link-{thread_id(9)}.jsonl").symlink_to(stranger)
    planned = doctor.plan(
        home, "mend-rollouts", files=[str(file), str(stranger), f"sessions/rollout-link-{thread_id(9)}.jsonl"]
    )
    assert planned.steps[0].action.arguments["files"] == [str(file)]

    plan = doctor.folder / "plan.json"
    made = plan.read_text()
    for text in (
        made.replace(f'"{file}"', f'"{stranger}"'),
        made.replace(f'"files": [\n            "{file}"', f'"files": [\n            "{stranger}"'),
        made.replace(f'"home": "{home}"', f'"home": "{tmp_path}"'),
    ):
        assert text != made
        plan.write_text(text)
        with pytest.raises(Refused, match=r"outside|no rollout|nothing of"):
            applying.apply(planning.load(str(plan)), receipts_folder=doctor.receipts)
    assert b"\0" in stranger.read_bytes()


MENDS = """
import os, signal
from holdfast.doctor import applying, planning
from holdfast.receipts import keeping
put, puts, deadly = keeping.put, 0, int(sys.argv[3])
def counted(receipt):
    global puts
    puts += 1
    if puts == deadly: os.kill(os.getpid(), signal.SIGKILL)
    put(receipt)
    if puts == -deadly: os.kill(os.getpid(), signal.SIGKILL)
keeping.put = counted
applying.apply(planning.load(sys.argv[1]), live=True, receipts_folder=sys.argv[2])
say("applied")
"""


def _torn_home(folder):
    made = MadeHome(folder / "home")
    files = [made.file(made.thread("one", "two")) for _ in range(2)]
    for each in files:
        damage.last_line_cut(each)
    return made.path, {"files": [str(each) for each in files]}, sums


def _rowless_home(folder):
    home = damage.codex("0.169", folder)
    damage.rows_lost(home)
    return home, {}, damage.threads


def _open_home(folder):
    home = damage.codex("0.141", folder)
    named = [str(home / name) for name in ("state_5.sqlite", "logs_2.sqlite", "config.toml")]
    for each in named:
        os.chmod(each, 0o644)
    return home, {"files": named}, lambda _: [stat.S_IMODE(os.stat(each).st_mode) for each in named]


@pytest.mark.parametrize(
    ("make", "repair", "unfinished"),
    [(_torn_home, "mend-rollouts", 6), (_rowless_home, "rebuild-threads", 1), (_open_home, "private-modes", 4)],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_whoever_is_killed_in_the_middle_leaves_what_can_be_finished_and_undone(
    doctor, tmp_path, make, repair, unfinished
):
    home, details, look = make(tmp_path)
    before = look(home)
    doctor.undo(doctor.mend(home, repair, **details))
    stopped = 0
    for at in (each * sign for each in range(1, 20) for sign in (1, -1)):
        doctor.plan(home, repair, **details)  # anew: an undo puts other inodes there
        child = Child(MENDS, tmp_path / "plan.json", doctor.receipts, at)
        ended = child.line() == "applied"
        child.end()
        for receipt in receipts.listing(doctor.receipts):
            stopped += receipt.state == "unfinished"
            if at > 0 and receipt.state != "undone":
                assert undoing.finish(receipt).state == "done"
                assert look(home) != before
            if receipt.state != "undone":
                undoing.undo(receipt)
        assert look(home) == before
        if ended:
            break
    assert ended and stopped >= unfinished


@pytest.mark.parametrize(("repair", "at"), [("rebuild-threads", "state_5.sqlite"), ("mend-rollouts", "")])
def test_a_home_that_is_named_by_a_link_is_mended_where_it_is(doctor, newest, tmp_path, repair, at):
    damage.rows_lost(newest)
    torn = damage.rollout(newest, min(damage.threads(newest)))
    damage.nul_tail(torn)
    (tmp_path / "link").symlink_to(newest)
    link = tmp_path / "link"

    outcome = doctor.mend(link, repair, link / at, files=[str(torn.relative_to(newest))])

    assert outcome.gone and outcome.receipt
    assert len(damage.threads(newest)) == 48 or not scan(str(torn)).problems
    assert all(str(newest) in row["rollout_path"] for row in damage.threads(newest).values())


def test_rollouts_that_lie_behind_a_link_are_left_out_of_a_plan(doctor, newest, tmp_path):
    torn = damage.rollout(newest, min(damage.threads(newest)))
    damage.nul_tail(torn)
    shutil.move(newest / "sessions", tmp_path / "disk")
    (newest / "sessions").symlink_to(tmp_path / "disk")

    planned = doctor.plan(newest, "mend-rollouts", files=[str(torn.relative_to(newest))])

    assert not planned.steps and "through a link" in planned.left_out[0].why
