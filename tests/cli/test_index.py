"""`holdfast index`: what it reports, what it says of damage, and what an interruption leaves."""

from __future__ import annotations

import os
import signal
import subprocess

from cli_helpers import COMMAND, rollout

THREAD = "01a1fd00-0000-7000-8000-00000000000{}"


def test_the_report_counts_what_was_found_and_what_was_read(cli, home):
    first = cli("index", "--json").json
    second = cli("index", home, "--json").json

    assert (first["home"], first["scanned"], first["indexed"], first["threads"]) == (str(home), 48, 48, 48)
    assert (second["scanned"], second["indexed"], second["unchanged"]) == (48, 0, 48)


def test_several_homes_give_a_list_of_reports(cli, home, old_home):
    reports = cli("index", home, old_home, "--json").json

    assert [report["threads"] for report in reports] == [48, 27]


def test_full_reads_every_file_again(cli, home):
    cli("index")

    assert cli("index", "--full", "--json").json["indexed"] == 48
    assert cli("threads", "reindex", "--json").json["indexed"] == 48


def test_people_get_a_sentence(cli, home):
    assert cli("index").out.startswith(f"{home}: 48 threads; read 48 files (2.2 MiB) in ")
    assert cli("index").out.startswith(f"{home}: 48 threads; nothing new in 48 files in ")


def test_what_could_not_be_read_is_counted_and_with_verbose_listed(cli, home):
    bad = rollout(home, THREAD.format(1), "fine")
    with bad.open("a") as file:
        file.write('{"timestamp": "2026-11-21T10:00:09.000Z", "type": \n{"half\n')
    short = cli("index").out
    listed = cli("index", "--full", "--verbose").out
    later = cli("status", "--verbose").out

    assert "; --verbose lists them" in short
    assert bad.name not in short
    assert str(bad.relative_to(home)) in listed
    assert str(bad.relative_to(home)) in later
    assert cli("status", "--json").json["problems"][0]["path"] == str(bad.relative_to(home))


def test_a_damaged_state_is_named_and_rebuilt_and_names_survive(cli, home, state_dir):
    cli("threads", "rename", "01a1fa0b-589d", "kept")
    with open(state_dir / "state.db", "r+b") as file:
        file.write(b"\0" * 8192)
    damaged = cli("threads", "list")
    rebuilt = cli("index", "--rebuild", "--json")

    assert damaged.code == 65
    assert "holdfast index --rebuild" in damaged.err
    assert rebuilt.code == 0
    assert rebuilt.json["said"] == 1
    assert os.path.isdir(rebuilt.json["moved_to"])
    assert cli("threads", "find", "kept").code == 0


def test_an_interrupted_index_says_what_stays_and_the_next_one_goes_on(home, cli, tmp_path):
    for number in range(3_000):
        rollout(home, f"01a1fd00-0000-7000-8000-{number:012}", f"words {number}", folder="sessions/2026/11/22")
    child = subprocess.Popen(
        [*COMMAND, "index"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    while not (tmp_path / "state" / "state.db").exists() and child.poll() is None:
        os.sched_yield()
    os.killpg(child.pid, signal.SIGINT)
    _, err = child.communicate()

    if child.returncode != 0:  # it may have been quicker than we were
        assert child.returncode == 130
        assert err.decode().startswith("holdfast: interrupted")
        assert b"Traceback" not in err
    assert cli("index", "--json").json["threads"] == 3_048
