"""A query finds what a plain look at every record would, whatever the state its segments are in."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys

import pytest
from log_segments import LEVELS, T0, Segment, record, some_records, spread

from holdfast.errors import Refused
from holdfast.logs.matching import LogQuery
from holdfast.logs.query import max_id, query
from holdfast.logs.reading import SegmentFile
from holdfast.logs.stats import stats
from holdfast.logs.tail import tail

SEED = 20261125


def naive(records, asked):
    """What LogQuery promises, said once more and as plainly as can be."""

    def wanted(one):
        fields = "".join(f" {key}={value}" for key, value in SAID[id(one.fields)].items()) if one.fields else ""
        body = one.message + fields + (f"\n{one.exception}" if one.exception else "")
        least = LEVELS.index(asked.min_level) if asked.min_level else 0
        return (
            (not asked.levels or one.level in asked.levels)
            and LEVELS.index(one.level) >= least
            and (asked.from_us is None or one.ts >= asked.from_us)
            and (asked.to_us is None or one.ts <= asked.to_us)
            and (
                not asked.modules
                or any(m.lower() in one.module.lower() for m in asked.modules if one.module is not None)
            )
            and (not asked.files or any(f.lower() in one.file.lower() for f in asked.files if one.file is not None))
            and (not asked.targets or any(re.match(re.escape(t) + r"(?:[.:]|$)", one.target) for t in asked.targets))
            and (
                (not asked.thread_ids and not asked.include_threadless)
                or one.thread_id in asked.thread_ids
                or (asked.include_threadless and one.thread_id is None)
            )
            and (asked.after_id is None or one.id > asked.after_id)
            and (asked.search is None or asked.search.casefold() in body.casefold())
            and (asked.regex is None or re.search(asked.regex, body) is not None)
        )

    found = sorted(filter(wanted, records), key=lambda one: one.id, reverse=asked.newest_first)
    return found if asked.limit is None else found[: asked.limit]


SAID: dict[int, dict[str, str]] = {}


def some_query(rng, records):
    maybe = lambda value: value if rng.random() < 0.25 else None  # noqa: E731
    some = lambda values: tuple(rng.sample(values, rng.randint(1, 2))) if rng.random() < 0.2 else ()  # noqa: E731
    return LogQuery(
        levels=some(LEVELS),
        min_level=maybe(rng.choice(LEVELS)),
        from_us=maybe(T0 + rng.randint(0, 5_000)),
        to_us=maybe(T0 + rng.randint(0, 5_000)),
        modules=some(["codex", "%", "_", "TUI", ""]),
        files=some(["src", "APP", "lib.rs", "s_c"]),
        targets=some(["app", "app.db", "core", "日本", "core.net/io"]),
        thread_ids=some(["t-1", "t-2", "fädchen", "nobody"]),
        include_threadless=rng.random() < 0.15,
        after_id=maybe(rng.choice(records).id),
        search=maybe(rng.choice(["RESET", "100%", "größe", "ms=12", "boom", "path=/x", '"'])),
        regex=maybe(rng.choice(["^Conn", r"\d+%", "reset$", "ms=1[0-9]"])),
        newest_first=rng.random() < 0.5,
        limit=maybe(rng.choice([0, 1, 3, 50])),
    )


def differ(tmp_path, seed, rounds):
    rng = random.Random(seed)
    for number in range(rounds):
        records = some_records(rng, rng.randint(1, 250))
        for one in records:
            if one.fields:
                SAID[id(one.fields)] = {
                    key: str(value) if not isinstance(value, dict) else '{"a":[1,null]}'
                    for key, value in one.fields.items()
                }
        directory = tmp_path / str(number)
        spread(rng, directory, records)
        for _ in range(40):
            asked = some_query(rng, records)
            assert query(directory, asked) == naive(records, asked), f"seed {seed}, {asked}"
            highest = max((one.id for one in naive(records, LogQuery(**{**fields(asked), "limit": None}))), default=0)
            assert max_id(directory, asked) == highest
        SAID.clear()


def fields(asked):
    return {name: getattr(asked, name) for name in LogQuery.__slots__}


def test_a_query_finds_what_a_look_at_every_record_would(tmp_path):
    differ(tmp_path, SEED, 8)


@pytest.mark.torture
def test_a_query_finds_what_a_look_at_every_record_would_for_long(tmp_path):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    differ(tmp_path, seed, 300)


def test_a_directory_that_is_not_there_has_no_records_and_stays_away(tmp_path):
    assert query(tmp_path / "logs") == []
    assert max_id(tmp_path / "logs") == 0
    assert not (tmp_path / "logs").exists()


def test_a_file_in_its_place_is_refused(tmp_path):
    (tmp_path / "logs").write_text("no directory")

    with pytest.raises(Refused, match="not a directory"):
        query(tmp_path / "logs")


@pytest.mark.parametrize("wrong", [{"levels": ["LOUD"]}, {"min_level": ""}, {"regex": "("}, {"limit": -1}])
def test_a_question_that_cannot_be_meant_is_refused(wrong):
    with pytest.raises(Refused):
        LogQuery(**wrong)


def test_levels_have_the_names_that_python_gives_them_too(tmp_path):
    segment = Segment(tmp_path, "b0-7-1.jsonl.zst")
    segment.write(record("w", level="WARN"), record("e", level="ERROR"))
    segment.close()

    assert [one.message for one in query(tmp_path, LogQuery(levels=["warning"]))] == ["w"]
    assert [one.message for one in query(tmp_path, LogQuery(min_level="critical"))] == ["e"]


def test_a_segment_cut_anywhere_gives_the_beginning_of_what_it_said_and_nothing_else(tmp_path):
    written = some_records(random.Random(SEED), 40)
    segment = Segment(tmp_path / "whole", "b0-7-1.jsonl.zst", frame_records=9)
    segment.write(*written)
    segment.close()
    data = segment.path.read_bytes()
    (tmp_path / "cut").mkdir()
    counts = []
    for size in range(0, len(data) + 1, 11):
        (tmp_path / "cut" / "b0-7-1.jsonl.zst").write_bytes(data[:size])
        found = query(tmp_path / "cut")
        assert found == written[: len(found)]
        counts.append(len(found))

    assert counts == sorted(counts)  # a longer beginning never says less
    assert counts[-1] >= len(written) - 9


def test_damage_costs_its_own_frame_and_no_other(tmp_path):
    rng = random.Random(SEED)
    frames = 8
    written = some_records(rng, frames * 9)
    segment = Segment(tmp_path, "b0-7-1.jsonl.zst", frame_records=9)
    segment.write(*written)
    segment.close()
    data = segment.path.read_bytes()
    for _ in range(400):
        begin = rng.randrange(len(data))
        harm = bytearray(data)
        harm[begin : begin + rng.choice([1, 1, 40])] = rng.randbytes(min(rng.choice([1, 40]), len(data) - begin))
        segment.path.write_bytes(harm)
        found = query(tmp_path)

        ids = {one.id for one in found}
        assert sorted(ids) == [one.id for one in found]
        assert ids <= {one.id for one in written}
        lost = {number // 9 for number, one in enumerate(written) if one.id not in ids}
        assert len(lost) <= 2, (begin, lost)  # 40 bytes may lie across two


def test_only_frames_that_can_hold_an_answer_are_decoded(tmp_path, monkeypatch):
    segment = Segment(tmp_path, "b0-7-1.jsonl.zst", frame_records=10)
    for number in range(50):
        segment.write(
            *(record(f"{number}", thread_id=f"t-{number}", target=f"app.{number}", ts=T0 + number) for _ in range(9))
        )
        segment.write(record("odd", level="ERROR" if number == 30 else "INFO", thread_id=f"t-{number}", ts=T0 + number))
    segment.close()
    decoded = []
    text = SegmentFile.text
    monkeypatch.setattr(SegmentFile, "text", lambda self, stretch: decoded.append(stretch) or text(self, stretch))

    for asked, frames in (
        (LogQuery(min_level="ERROR"), 1),
        (LogQuery(thread_ids=["t-7"]), 1),
        (LogQuery(targets=["app.3"]), 1),
        (LogQuery(from_us=T0 + 47), 3),
        (LogQuery(to_us=T0 + 1), 2),
        (LogQuery(newest_first=True, limit=15), 2),
        (LogQuery(limit=10), 1),
        (LogQuery(from_us=T0 + 1_000), 0),
    ):
        decoded.clear()
        query(tmp_path, asked)
        assert len(decoded) == frames, asked


def test_a_frame_with_more_threads_and_loggers_than_its_summary_names_is_searched_all_the_same(tmp_path):
    segment = Segment(tmp_path, "b0-7-1.jsonl.zst", frame_records=500)
    segment.write(*(record(thread_id=f"t-{number}", target=f"app.{number}") for number in range(500)))
    segment.close()

    for number in range(0, 500, 7):
        assert len(query(tmp_path, LogQuery(thread_ids=[f"t-{number}"], targets=[f"app.{number}"]))) == 1


def test_what_is_no_segment_is_not_touched(tmp_path):
    segment = Segment(tmp_path, "b0-7-1.jsonl.zst")
    segment.write(record("ours"))
    segment.close()
    os.mkfifo(tmp_path / "b0-7-2.jsonl.zst")
    (tmp_path / "b0-7-3.jsonl").mkdir()
    os.symlink(segment.path, tmp_path / "b0-7-4.jsonl.zst")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "b0-7-5.jsonl.zst").write_bytes(os.urandom(100_000))
    (tmp_path / "b0-7-6.jsonl").write_bytes(os.urandom(100_000))
    with open(tmp_path / "b0-7-7.jsonl.zst", "wb") as huge:
        huge.truncate(30 << 30)

    assert [one.message for one in query(tmp_path)] == ["ours"]


WATCHED = """
import os, sys
opened = []
def see(event, args):
    if event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        opened.append(args)
    assert not event.startswith(("mmap", "os.remove", "os.rename", "os.mkdir", "os.truncate", "os.utime", "os.chmod"))
from holdfast.logs.matching import LogQuery
from holdfast.logs.query import query, max_id
from holdfast.logs.stats import stats
from holdfast.logs.tail import tail
from holdfast.logs import frames; frames.zstd()
sys.addaudithook(see)
log = sys.argv[1]
print(len(query(log)), max_id(log) > 0, stats(log).records, len(list(tail(log, follow=False))))
assert opened == []
"""


def test_reading_opens_nothing_for_writing_and_changes_nothing(tmp_path):
    spread(random.Random(SEED), tmp_path, some_records(random.Random(SEED), 100))
    seen = lambda: {  # noqa: E731
        path.name: (info := path.stat())
        and (info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns, path.read_bytes())
        for path in tmp_path.iterdir()
    }
    before, folder = seen(), tmp_path.stat().st_mtime_ns
    done = subprocess.run([sys.executable, "-c", WATCHED, str(tmp_path)], capture_output=True, text=True)

    assert done.stdout.split() == ["100", "True", "100", "100"], done.stderr
    assert seen() == before
    assert tmp_path.stat().st_mtime_ns == folder


def test_what_was_deleted_is_hidden_and_what_came_later_is_shown(tmp_path):
    for ending in (".jsonl", ".jsonl.zst"):
        directory = tmp_path / ending
        segment = Segment(directory, f"b0-7-1{ending}", frame_records=3)
        segment.write(*(record(str(number), ts=T0 + number) for number in range(10)))
        mark = {"before_us": T0 + 5, "up_to_id": max_id(directory)}
        (directory / "deleted.json").write_text(json.dumps([mark]))
        segment.write(record("late", ts=T0))
        segment.kill()

        assert [one.message for one in query(directory)] == ["5", "6", "7", "8", "9", "late"]
        assert (stats(directory).records, stats(directory).hidden) == (6, 5)
        assert [one.message for one in tail(directory, LogQuery(limit=2), follow=False)] == ["9", "late"]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, "abcdef"),
        ({"levels": ["warn"]}, "b"),
        ({"levels": ["WARN", "error"]}, "bc"),
        ({"from_us": T0 + 1}, "bcdef"),
        ({"to_us": T0 + 1}, "ab"),
        ({"from_us": T0 + 2, "to_us": T0 + 2}, "c"),
        ({"from_us": T0 + 3, "to_us": T0 + 2}, ""),
        ({"modules": ["CORE"]}, "bc"),
        ({"modules": ["core", "tui"]}, "bcd"),
        ({"modules": ["core", "tui"], "files": ["lib"]}, "bd"),
        ({"modules": ["a_b"]}, "e"),
        ({"modules": ["a%b"]}, ""),
        ({"modules": [""]}, "bcdef"),
        ({"files": [""]}, "bcd"),
        ({"thread_ids": ["t1"]}, "ab"),
        ({"thread_ids": ["t1", "t2"]}, "abc"),
        ({"thread_ids": ["t1"], "include_threadless": True}, "abdef"),
        ({"include_threadless": True}, "def"),
        ({"thread_ids": ["t"]}, ""),
        ({"search": "SAID c"}, "c"),
        ({"search": "k=v"}, "f"),
        ({"regex": "said [a-c]$"}, "abc"),
        ({"regex": "said [A-C]$"}, ""),
        ({"regex": "(?i)SAID [A-C]$"}, "abc"),
        ({"search": "said", "regex": "[df]( k=v)?$", "levels": ["INFO"]}, "df"),
        ({"limit": 0}, ""),
        ({"limit": 2}, "ab"),
        ({"limit": 2, "newest_first": True}, "fe"),
        ({"limit": 99, "newest_first": True, "thread_ids": ["t1"]}, "ba"),
    ],
    ids=str,
)
@pytest.mark.parametrize("ending", ["jsonl", "jsonl.zst"])
def test_each_part_of_a_question_means_what_it_says(tmp_path, ending, asked, found):
    segment = Segment(tmp_path, f"b0-7-1.{ending}", frame_records=2)
    segment.write(
        record("said a", ts=T0, thread_id="t1"),
        record("said b", ts=T0 + 1, level="WARN", thread_id="t1", module="codex_core", file="src/lib.rs"),
        record("said c", ts=T0 + 2, level="ERROR", thread_id="t2", module="codex_core", file="main.rs"),
        record("said d", ts=T0 + 3, module="codex_tui", file="LIB.rs"),
        record("said e", ts=T0 + 4, module="a_b"),
        record("said f", ts=T0 + 5, module="axb", fields={"k": "v"}),
    )
    segment.close()
    answers = query(tmp_path, LogQuery(**asked))

    assert "".join(one.message[-1] for one in answers) == found
    without_limit = LogQuery(**{**asked, "limit": None})
    assert max_id(tmp_path, LogQuery(**asked)) == max((one.id for one in query(tmp_path, without_limit)), default=0)


def test_an_id_that_was_seen_is_not_seen_again(tmp_path):
    segment = Segment(tmp_path, "b0-7-1.jsonl.zst", frame_records=2)
    written = [record(str(number)) for number in range(7)]
    segment.write(*written)
    segment.close()

    for number, one in enumerate(written):
        assert query(tmp_path, LogQuery(after_id=one.id)) == written[number + 1 :]
    assert max_id(tmp_path, LogQuery(after_id=written[-1].id)) == 0
    assert max_id(tmp_path, LogQuery(limit=0)) == written[-1].id
