"""`holdfast logs`: what a person and a program get to see of the log."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_helpers import COMMAND, process, terminal, without_style

sys.path.insert(0, str(Path(__file__).parent.parent / "logs"))

from log_segments import T0, Segment, record

from holdfast.cli.log_filters import moment_us

DOCS = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")


@pytest.fixture
def log(state_dir):
    segment = Segment(state_dir / "logs", "b0-7-1.jsonl.zst")
    yield segment
    segment.close()


def messages(answer):
    return [json.loads(line)["message"] for line in answer.lines]


def test_the_last_records_are_shown_the_newest_last(cli, log):
    log.write(*(record(str(number)) for number in range(300)))
    answer = cli("logs", "query", "-n", "3", "--json")

    assert messages(answer) == ["297", "298", "299"]
    assert answer.err == "These are the last 3 records; --all shows every one.\n"
    assert messages(cli("logs", "query", "--json")) == [str(number) for number in range(100, 300)]
    assert len(cli("logs", "query", "--all").lines) == 300
    assert messages(cli("logs", "query", "-n", "2", "--oldest", "--json")) == ["0", "1"]
    assert messages(cli("logs", "query", "-n", "2", "--newest-first", "--json")) == ["299", "298"]
    assert messages(cli("logs", "query", "-n", "2", "--oldest", "--newest-first", "--json")) == ["1", "0"]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--level", "warn+"], ["warned", "failed"]),
        (["--level", "warn"], ["warned"]),
        (["--level", "info,error"], ["said", "failed"]),
        (["--level", "warning", "--level", "error"], ["warned", "failed"]),
        (["--target", "app"], ["said", "warned"]),
        (["--thread", "my-thread"], ["warned"]),
        (["--threadless"], ["said", "failed"]),
        (["--thread", "my-thread", "--threadless"], ["said", "warned", "failed"]),
        (["--module", "CORE"], ["failed"]),
        (["--file", "lib.r"], ["failed"]),
        (["--search", "WARN"], ["warned"]),
        (["--grep", "ed$"], ["warned", "failed"]),
        (["--grep", "ED$"], []),
        (["--since", "1h"], ["failed"]),
        (["--until", "1h"], ["said", "warned"]),
        (["--since", "2025-01-01", "--until", "2026-01-01T00:00Z"], ["said", "warned"]),
    ],
    ids=" ".join,
)
def test_records_are_chosen(cli, log, options, found):
    log.write(
        record("said", target="app.db"),
        record("warned", level="WARN", thread_id="my-thread"),
        record(
            "failed", level="ERROR", target="net", module="codex_core", file="src/lib.rs", ts=time.time_ns() // 1000
        ),
    )

    answer = cli("logs", "query", "--json", *options)
    assert (answer.code, messages(answer)) == (0, found)


@pytest.mark.parametrize(
    "wrong",
    [
        ["--level", "loud"],
        ["--level", "info+,warn"],
        ["--level", "info+,warn+"],
        ["--since", "yesterday-ish"],
        ["--grep", "("],
        ["--limit", "0"],
        ["--since", "1h", "--until", "2h"],
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(cli, wrong):
    answer = cli("logs", "query", *wrong)

    assert answer.code == 64
    assert answer.err.startswith("holdfast: ")


def test_times_are_so_long_ago_or_dates():
    now_us = T0

    assert moment_us("90s", now_us) == now_us - 90_000_000
    assert moment_us("2h ago", now_us) == now_us - 7_200_000_000
    assert moment_us("1970-01-01T00:00:01Z", now_us) == 1_000_000
    assert moment_us("1970-01-01T00:00:01.5+01:00", now_us) == -3_598_500_000


def test_a_thread_may_be_named_as_everywhere(cli, home, log):
    whole = "01a1fa0b-589d-7420-a3a3-86c4f7ca642c"
    log.write(record("of it", thread_id=whole), record("of another", thread_id="x"))
    cli("index")

    assert messages(cli("logs", "query", "--json", "--thread", "01a1fa0b-589d")) == ["of it"]
    assert messages(cli("logs", "query", "--json", "--thread", whole.upper())) == ["of it"]


def test_a_pipe_gets_five_fields_on_one_line(cli, log):
    log.write(record("two\nlines\tand a tab", ts=1_500_000, level="WARN", fields={"ms": 3}, repeats=4))

    assert (
        cli("logs", "query").out
        == "1970-01-01T00:00:01.500000Z\tWARN\t\tapp\ttwo (and 4 times more) lines and a tab ms=3\n"
    )


def test_a_terminal_gets_colours_and_nothing_that_commands_it(log):
    log.write(
        record(
            "pay\x1b[2J\x1b]0;owned\x07 attention", level="ERROR", target="a\x1b[1m", thread_id="t\x07", ts=1_500_000
        )
    )
    log.write(record("boom", exception="Traceback\n  Boom"))
    shown = terminal("logs", "query").out

    assert "\x1b[31mERROR" in shown
    assert "1970-01-01 00:00:01.500 ERROR [t\ufffd] a: pay attention\n" in without_style(shown)
    assert "app: boom\n    Traceback\n      Boom\n" in without_style(shown)
    assert "\x1b" not in terminal("logs", "query", NO_COLOR="1").out
    assert "owned" not in without_style(shown)


def test_json_keeps_every_key_and_each_is_documented(cli, log):
    everything = record(
        "m", thread_id="t", trace_id="c", module="mod", file="f", line=1, fields={"own": 1}, exception="e", repeats=2,
        dropped={"DEBUG": 1},
    )  # fmt: skip
    log.write(everything)
    found = json.loads(cli("logs", "query", "--json").out)
    table = DOCS.partition("\n## `holdfast logs query`\n")[2].partition("\n## ")[0]

    assert found == {name: getattr(everything, name) for name in everything.__struct_fields__}
    assert [key for key in found if f"`{key}`" not in table] == []


def test_no_log_is_an_answer_and_none_is_made(cli, state_dir):
    assert cli("logs", "query").err == f"There is no log in {state_dir}/logs.\n"
    assert cli("logs", "query").code == cli("logs", "tail").code == 0
    assert cli("logs", "stats").code == 0
    assert not state_dir.exists()


def test_the_directory_named_is_the_one_that_is_read(cli, tmp_path):
    segment = Segment(tmp_path / "elsewhere", "b0-7-1.jsonl.zst")
    segment.write(record("there"))
    segment.kill()

    assert messages(cli("logs", "query", "--json", "--dir", tmp_path / "elsewhere")) == ["there"]
    assert cli("logs", "query", "--dir", segment.path).code == 64


def test_tail_shows_the_last_ten(cli, log):
    log.write(*(record(str(number)) for number in range(30)))

    assert messages(cli("logs", "tail", "--json")) == [str(number) for number in range(20, 30)]


def test_tail_follows_until_it_is_interrupted(log):
    log.write(record("before"))
    child = subprocess.Popen(
        [*COMMAND, "logs", "tail", "-f", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    assert json.loads(child.stdout.readline())["message"] == "before"
    log.write(record("after"))
    assert json.loads(child.stdout.readline())["message"] == "after"
    child.send_signal(signal.SIGINT)
    out, err = child.communicate()

    assert (child.returncode, out, err) == (130, "", "")


def test_stats_count_by_level_and_tell_what_was_dropped(cli, log):
    log.write(
        *(record("x", level="DEBUG", ts=1_000_000) for _ in range(30)), record("e", level="ERROR", dropped={"DEBUG": 7})
    )
    found = cli("logs", "stats", "--json").json

    assert found["levels"] == {"DEBUG": 30, "ERROR": 1}
    assert found["dropped"] == {"DEBUG": 7}
    assert (found["records"], found["segments"], found["oldest_us"]) == (31, 1, 1_000_000)
    assert found["bytes"] == os.path.getsize(log.path)
    text = DOCS.partition("\n## `holdfast logs stats`\n")[2].partition("\n## ")[0]
    assert [key for key in found if f"`{key}`" not in text] == []
    shown = cli("logs", "stats").out
    assert "Levels   1 ERROR, 30 DEBUG\n" in shown
    assert "Dropped  7 DEBUG" in shown


def test_stats_say_how_much_is_damaged(cli, log):
    log.write(*(record("x" * 100) for _ in range(40)))
    data = bytearray(log.path.read_bytes())
    data[30:60] = bytes(30)
    log.path.write_bytes(data)

    assert cli("logs", "stats", "--json").json["records"] == 40  # the summary still tells
    assert len(cli("logs", "query").lines) == 20


def test_export_makes_lines_or_a_table_and_writes_over_nothing(cli, log, tmp_path):
    log.write(
        *(record(str(number), level="WARN" if number % 2 else "INFO", fields={"n": number}) for number in range(50))
    )
    made = cli("logs", "export", "--level", "warn", "--jsonl", tmp_path / "out.jsonl", "--json").json

    assert made == {"path": str(tmp_path / "out.jsonl"), "records": 25}
    assert [json.loads(line)["fields"]["n"] for line in (tmp_path / "out.jsonl").read_text().splitlines()] == [
        *range(1, 50, 2)
    ]
    assert cli("logs", "export", "--sqlite", tmp_path / "log.db").out == f"50 records in {tmp_path}/log.db\n"
    for option, name in (("--jsonl", "out.jsonl"), ("--sqlite", "log.db")):
        assert cli("logs", "export", option, tmp_path / name).code == 64
    assert cli("logs", "export").code == 64
    assert len(process("logs", "export", "--jsonl", "-").lines) == 50
    asked = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchall())"
    sql = "SELECT level, count(*), sum(fields ->> 'n'), min(ts) > 0 FROM logs GROUP BY level ORDER BY level"
    done = subprocess.run([sys.executable, "-c", asked, tmp_path / "log.db", sql], capture_output=True, text=True)
    assert done.stdout == "[('INFO', 25, 600, 1), ('WARN', 25, 625, 1)]\n"


def test_an_export_that_broke_off_goes_on_where_it_ended(cli, log, tmp_path):
    log.write(*(record(str(number), level="WARN" if number % 2 else "INFO") for number in range(50)))
    target = tmp_path / "out.jsonl"
    resume = ("logs", "export", "--level", "warn", "--jsonl", target, "--resume", "--json")
    assert cli(*resume).json["records"] == 25
    whole = target.read_bytes()
    for size in (len(whole) // 2, len(whole) - 1, 10, 0):
        target.write_bytes(whole[:size])
        cli(*resume)
        assert target.read_bytes() == whole
    assert cli(*resume).json["records"] == 0
    log.write(record("more", level="WARN"))
    assert cli(*resume).json["records"] == 1
    assert target.read_bytes().startswith(whole)

    for mine in ("mine\n", "mine", whole.decode() + "mine", '{"id":1}\n'):
        (tmp_path / "notes").write_text(mine)
        assert cli("logs", "export", "--resume", "--jsonl", tmp_path / "notes").code == 64
        assert (tmp_path / "notes").read_text() == mine
    assert cli("logs", "export", "--resume", "--jsonl", "-").code == 64


@pytest.mark.parametrize("arguments", [["query", "--all"], ["tail", "-n", "9999"], ["export", "--jsonl", "-"]], ids=str)
def test_a_reader_that_has_enough_ends_it_without_a_word(log, arguments):
    log.write(*(record("x" * 400) for _ in range(2_000)))
    child = subprocess.Popen(
        [*COMMAND, "logs", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ
    )
    child.stdout.readline()
    child.stdout.close()

    assert child.wait() == 141
    assert child.stderr.read() == b""
    child.stderr.close()


def test_what_a_limit_let_go_of_is_told_to_whoever_follows(state_dir):
    from holdfast.logs import Caps, SegmentWriter

    writer = SegmentWriter(state_dir / "logs", Caps(bytes=1 << 20, free_bytes=0))
    writer.append([record("first")])
    child = subprocess.Popen(
        [*COMMAND, "logs", "tail", "-f", "--json"], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    assert json.loads(child.stdout.readline())["message"] == "first"
    child.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
    for _ in range(60):
        writer.append([record(os.urandom(500).hex()) for _ in range(100)])
    writer.close()
    child.send_signal(signal.SIGCONT)
    while "lost" not in (said := json.loads(child.stdout.readline())):
        pass
    child.send_signal(signal.SIGINT)
    child.communicate()

    assert said["lost"] > 1_000
    assert (said["level"], said["target"], said["id"]) == ("WARN", "holdfast.logs", 0)


LAZY = """
import sys
from holdfast.cli import main
main(sys.argv[1:])
ours = ("holdfast.logs", "holdfast.state.logs", "holdfast.cli.logs")
print(sorted(name for name in sys.modules if name.startswith(ours)))
"""


@pytest.mark.parametrize("arguments", [["threads", "list"], ["status"], ["--help"]])
def test_who_does_not_ask_for_logs_imports_nothing_of_them(home, arguments):
    done = subprocess.run([sys.executable, "-c", LAZY, *arguments], capture_output=True, text=True)

    assert re.search(r"^\[\]$", done.stdout, re.MULTILINE), done.stderr


def test_a_log_of_a_directory_is_read_without_sqlite_or_rich(log):
    log.write(record("x"))
    code = LAZY.replace(
        '("holdfast.logs", "holdfast.state.logs", "holdfast.cli.logs")', '("apsw", "rich", "holdfast.state")'
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "logs", "query", "--dir", log.path.parent], capture_output=True, text=True
    )

    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_limits_are_shown_set_taken_back_and_previewed(cli, log, state_dir):
    usual = cli("logs", "retention")
    assert [line.split()[0] for line in usual.lines] == [
        *("Log", "bytes", "records", "age", "keep-free", "bytes-per-day", "thread-share"),
    ]
    assert "64.0 MiB" in usual.out and "10 days" in usual.out
    assert not (state_dir / "logs" / "caps.json").exists()

    log.write(*(record(str(number)) for number in range(50)))
    log.end_frame()
    preview = cli("logs", "retention", "--age", "0s", "--bytes", "1MB", "--dry-run", "--json").json
    assert (preview["limits"]["bytes"], preview["limits"]["age_s"]) == (1_000_000, 0)
    assert [(each["rule"], each["records"]) for each in preview["segments"]] == [("age", 50)]
    told = cli("logs", "retention", "--age", "0s", "--dry-run")
    assert "1 segment would go" in told.out and told.err == "Nothing was changed.\n"
    assert not (state_dir / "logs" / "caps.json").exists()

    options = ["--bytes", "50MB", "--records", "10000", "--age", "2d", "--keep-free", "1GiB"]
    answer = cli("logs", "retention", *options, "--bytes-per-day", "200MB", "--thread-share", "75%", "--json").json
    assert answer["dry_run"] is False
    kept = {name: answer["limits"][name] for name in ("bytes", "records", "age_s", "free_bytes", "bytes_per_day")}
    assert kept == {
        "bytes": 50_000_000,
        "records": 10_000,
        "age_s": 2 * 86_400,
        "free_bytes": 1 << 30,
        "bytes_per_day": 200_000_000,
    }
    assert answer["limits"]["thread_share"] == 0.75
    assert cli("logs", "stats", "--json").json["limits"] == answer["limits"]

    names = ("--bytes", "--records", "--age", "--keep-free", "--bytes-per-day")
    again = cli("logs", "retention", *(word for name in names for word in (name, "none")), "--thread-share", "50%")
    assert again.out == usual.out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--bytes", "much"], "is no size"),
        (["--bytes", "-1"], "is no size"),
        (["--age", "soon"], "is no age"),
        (["--records", "-1"], "--records"),
        (["--thread-share", "150%"], "is no share"),
        (["--thread-share", "10%"], "below a half"),
        (["--dir", "/no/such/log", "--bytes", "1MB"], "there is no directory /no/such/log"),
    ],
)
def test_a_limit_that_cannot_be_meant_is_told_and_sets_nothing(cli, log, state_dir, options, said):
    answer = cli("logs", "retention", *options)

    assert answer.code != 0
    assert said in answer.err
    assert not (state_dir / "logs" / "caps.json").exists()
