"""Whatever a probe does, the report comes in time, holds what was seen, names what was cut, and no process is left."""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path

import pytest

from holdfast.doctor.examining import examine
from holdfast.doctor.model import Status
from holdfast.errors import Refused
from processes import SRC, children

HERE = str(Path(__file__).parent)


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{SRC}:{HERE}")


def look(*paths, limit_ms=20_000, **more):
    return examine(paths, limit_ms=limit_ms, module="examined_probes", **more)


def cut(report):
    return {each.probe: each.why for each in report.cut}


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_what_probes_say_is_the_report():
    report = look("/finds", "/both")

    assert [(each.path, each.measured) for each in report.findings] == [
        ("/finds", "1 things"), ("/both", "1 things"), ("/both", "1 things")
    ]  # fmt: skip
    assert [target.path for target in report.targets] == ["/finds", "/both"]
    assert report.parts["/finds"][0].bytes == 4096
    assert (report.cut, report.overall) == ((), Status.WARN)


def test_what_both_phases_found_of_one_file_is_one_finding():
    (found,) = look("/joined").findings

    assert found.measured == "5 things 7 things"
    assert (found.status, found.repair, found.details) == (Status.FAIL, "compact", {"a": 1, "b": 2})


def test_what_is_true_of_the_machine_is_told_once():
    assert [each.path for each in look("/machine", "/machine_again", "/finds").findings] == ["/proc", "/finds"]


def test_the_worst_comes_first_and_says_how_it_is_overall():
    report = look("/finds", "/fails", "/raises")

    assert [each.status for each in report.findings] == [Status.FAIL, Status.WARN, Status.WARN]
    assert report.overall is Status.FAIL


@pytest.mark.parametrize(
    ("probe", "why"),
    [
        ("waits", "not done within its limit of 400 ms"),
        ("spins", "not done within its limit of 400 ms"),
        ("hangs", "it had 400 ms, and it was ended"),
        ("dies", "its process ended with -9: the last words"),
        ("raises", "KeyError: 'a bug'"),
    ],
)
def test_a_probe_that_does_not_end_costs_itself_and_what_it_saw_counts(probe, why):
    report = look("/finds", f"/{probe}", "/fails", "/both")

    assert [each.path for each in report.findings] == ["/fails", "/finds", f"/{probe}", "/both", "/both"]
    assert list(cut(report)) == [probe]
    assert why in cut(report)[probe]


def test_a_stopped_process_is_ended_and_the_next_goes_on():
    report = look("/stops", "/finds")

    assert [each.path for each in report.findings] == ["/finds"]
    assert list(cut(report)) == ["stops"]
    assert report.overall is Status.WARN


def test_what_cannot_be_read_is_partial_and_never_a_failure():
    report = look("/unreadable")

    assert report.overall is Status.PARTIAL
    assert "could not read /unreadable: Permission denied" in cut(report)["unreadable"]


def test_when_the_time_is_over_all_that_did_not_begin_is_named():
    report = look("/endless", "/finds", "/both", limit_ms=5_000)

    assert list(cut(report)) == ["endless", "finds", "both"]
    assert "the time for all of them was over" in cut(report)["endless"]
    assert [each.id for each in report.findings] == ["made-up", "through-sqlite"]  # the databases had their time


def test_units_that_need_what_a_hung_one_gathers_are_cut_with_it():
    report = look("/shared", "/finds")

    assert list(cut(report)) == ["shared", "finds"]
    assert report.overall is Status.WARN  # what was seen before it hung


def test_what_the_others_need_is_gathered_again_after_one_of_them_hung():
    report = look("/gathers", "/hangs", "/finds")

    assert [each.path for each in report.findings] == ["/hangs", "/finds"]
    assert list(cut(report)) == ["hangs"]


def test_nothing_is_waited_for_that_hangs_before_it_says_a_word():
    report = look("/mute", "/finds", limit_ms=800)

    assert {(each.probe, each.path) for each in report.cut} == {("raw files", "/mute"), ("raw files", "/finds")}
    assert report.overall is Status.PARTIAL


def test_a_flood_is_cut_and_says_so():
    report = look("/many", "/finds")

    assert len(report.findings) == 201
    assert "more than 200" in cut(report)["many"]


def test_what_a_probe_prints_is_no_message():
    assert [each.path for each in look("/prints").findings] == ["/prints"]


def test_paths_that_are_no_text_come_through():
    (found,) = look("/strange").findings

    assert os.fsencode(found.path) == b"/x/\xff\xfe"
    assert "lone \udcff" in found.measured


def test_a_path_that_is_not_there_is_refused_in_its_words():
    with pytest.raises(Refused, match="nothing at /nowhere") as refused:
        look("/finds", "/nowhere")

    assert refused.value.remedy == "Name a home."


def test_a_process_that_holds_our_pipes_and_cannot_be_reached_keeps_nobody_waiting():
    report = look("/leaves", "/dies")
    pid = int(report.findings[0].measured.split()[0])

    assert alive(pid)  # it is what it was told to be
    os.kill(pid, signal.SIGKILL)
    assert list(cut(report)) == ["dies"]


def test_what_a_probe_started_ends_with_its_process():
    report = look("/child")
    pid = int(report.findings[0].measured.split()[0])

    assert not alive(pid)
    assert list(cut(report)) == ["child"]


def test_progress_is_told_probe_by_probe():
    told = []
    look("/finds", "/both", on_progress=lambda *each: told.append(each))

    assert told == [("finds", "/finds", 0, 2), ("both", "/both", 1, 2), ("both", "/both", 0, 1)]


ASKS = f"""
os.environ["PYTHONPATH"] += {":" + HERE!r}
from holdfast.doctor.examining import examine
try:
    examine(["/endless"], limit_ms=60_000, module="examined_probes", on_progress=lambda *each: say("began"))
except KeyboardInterrupt:
    say("interrupted")
"""


@pytest.fixture
def asks():
    with children("") as start:
        yield start(ASKS)


@pytest.mark.parametrize("ended", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_is_left_of_one_that_was_interrupted_or_killed(asks, ended):
    assert asks.line() == "began"
    (looks,) = map(int, Path(f"/proc/{asks.pid}/task/{asks.pid}/children").read_text().split())
    its_end = os.pidfd_open(looks)
    asks.process.send_signal(ended)

    assert select.select([its_end], [], [], 30)[0]
    assert asks.line() == ("interrupted" if ended == signal.SIGINT else "")
    os.close(its_end)
