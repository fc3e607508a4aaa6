"""Looking for bytes before decoding passes over no answer, in whatever way JSON writes it."""

from __future__ import annotations

import json
import random
import re
import sys

import msgspec
import pytest
from log_segments import record

from holdfast.errors import Refused
from holdfast.logs.finding import FOLDED, finder
from holdfast.logs.matching import LogQuery, body, matcher
from holdfast.logs.reading import record_of, records

SEED = 20261126

LETTERS = [*'aAkKsSfFiI019.-_ =:"\\/\n\t\x1f', *FOLDED, "日", "é", "\u0301", "😀", "ü", "\x1b"]
LONG_NUMBERS = ["12345678901234567890123", "0.29999999999999999", "123456789.999999991"]
NUMBERS = ["1e5", "1E5", "-1.5e-3", "-0", "40.0", *LONG_NUMBERS]


def some_text(rng):
    return "".join(rng.choices(LETTERS, k=rng.randint(0, 12)))


def as_another_writer_would(rng, one):
    """Return a line of JSON with other escapes, spaces and numbers than ours."""
    line = json.dumps(one, ensure_ascii=rng.random() < 0.5, separators=rng.choice([(",", ":"), (", ", ": ")]))
    while "@number" in line:
        line = line.replace('"@number"', rng.choice(NUMBERS), 1)
    if rng.random() < 0.5:
        line = re.sub(
            r"(?<![\\u0-9a-fA-F])[a-zA-Z](?=[a-zA-Z]*[^a-zA-Z\":]*\")",
            lambda found: f"\\u{ord(found[0]):04X}" if rng.random() < 0.2 else found[0],
            line,
        )
    return line.replace("/", rng.choice(["/", "\\/"])).encode("utf-8", "surrogatepass")


def some_line(rng):
    one = {
        "id": rng.getrandbits(62), "ts": rng.getrandbits(50), "level": rng.choice(["INFO", "WARN", "ERROR"]),
        "target": rng.choice(["app", "app.db", "a-b", "k"]), "message": some_text(rng), "pid": 7,
    }  # fmt: skip
    if rng.random() < 0.4:
        one["thread_id"] = rng.choice(["t-1", "k1", "t-10"])
    if rng.random() < 0.5:
        text = some_text(rng)
        deep = rng.choice([text, "@number", ["@number", text, None], {some_text(rng): text}])
        one["fields"] = {some_text(rng): deep}
    if rng.random() < 0.3:
        one["exception"] = some_text(rng)
    return as_another_writer_would(rng, one)


def some_question(rng, bodies):
    piece = rng.choice(bodies)
    begin = rng.randrange(len(piece) + 1)
    piece = piece[begin : begin + rng.randint(1, 6)]
    asked = {"search": rng.choice([str.upper, str.lower, str.casefold, str])(piece)}
    if rng.random() < 0.4:
        ending = rng.choice(["", "?", "*", "+", "|k", "{0,2}", "[0-9]"])
        asked = {"regex": rng.choice(["", "^"]) + re.escape(piece) + ending}
    if rng.random() < 0.2:
        asked["thread_ids"] = rng.sample(["t-1", "k1", "t-10"], rng.randint(1, 2))
    if rng.random() < 0.2:
        asked["targets"] = rng.sample(["app", "a-b", "k"], rng.randint(1, 2))
    if rng.random() < 0.2:
        asked["min_level"] = rng.choice(["INFO", "WARN", "ERROR"])
    return LogQuery(**asked)


def differ(seed, rounds):
    rng = random.Random(seed)
    asked_and_found = 0
    for _ in range(rounds):
        text = b"\n".join(some_line(rng) for _ in range(30))
        all_of_it = list(records(text))
        assert len(all_of_it) > 10
        bodies = [body(one) for one in all_of_it]
        for _ in range(30):
            try:
                asked = some_question(rng, bodies)
            except Refused:
                continue  # an escape with a quantifier that makes no pattern
            fits = matcher(asked)
            found = [one for line in finder(asked)(text, False) if (one := record_of(line)) is not None and fits(one)]
            assert found == [one for one in all_of_it if fits(one)], f"seed {seed}, {asked}"
            asked_and_found += bool(found)
    assert asked_and_found > rounds * 10


def test_what_is_found_in_bytes_is_what_a_look_at_every_record_finds():
    differ(SEED, 60)


@pytest.mark.torture
def test_what_is_found_in_bytes_is_what_a_look_at_every_record_finds_for_long():
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    differ(seed, 5_000)


def test_the_letters_that_fold_into_ascii_are_all_known():
    beyond = (chr(code) for code in range(0x80, sys.maxunicode + 1))

    assert [one for one in beyond if any(letter.isascii() for letter in one.casefold())] == [*FOLDED]


@pytest.mark.parametrize("seed", range(3))
def test_of_lines_that_our_writers_wrote_less_has_to_be_looked_for(seed):
    rng = random.Random(seed)
    found = 0
    for _ in range(20):
        ours = [one for one in (record_of(some_line(rng)) for _ in range(30)) if one is not None]
        text = b"\n".join(map(msgspec.json.encode, ours))
        bodies = [body(one) for one in ours]
        for _ in range(30):
            try:
                asked = some_question(rng, bodies)
            except Refused:
                continue
            fits = matcher(asked)
            answers = [one for line in finder(asked)(text, True) if fits(one := record_of(line))]
            assert answers == [one for one in ours if fits(one)], asked
            found += bool(answers)
    assert found > 200


@pytest.mark.parametrize("plain", [True, False])
def test_lines_without_the_text_are_not_decoded(plain):
    text = b"\n".join(
        msgspec.json.encode(record(f"said it{number:05}x", fields={"n": number})) for number in range(1_000)
    )

    assert len(list(finder(LogQuery(search="SAID it00500X"))(text, plain))) == 1
    assert (
        len(list(finder(LogQuery(regex="said it0050[0-9]"))(text, plain))) == 1_000
    )  # only the letters before the space
    assert len(list(finder(LogQuery(regex="s?00500x"))(text, plain))) == 1_000
    assert len(list(finder(LogQuery(regex="it00500x$"))(text, plain))) == 1


def test_a_number_is_found_as_it_reads_however_it_was_written():
    for written in NUMBERS:
        line = b'{"id":1,"ts":1,"level":"INFO","target":"t","message":"m","pid":7,"fields":{"n":%s}}' % written.encode()
        shown = body(record_of(line)).rpartition("=")[2]
        for begin in range(len(shown)):
            for end in range(begin + 1, len(shown) + 1):
                asked = LogQuery(search=shown[begin:end])
                text = b"{}\n" + line + b"\n{}"
                assert line in list(finder(asked)(text, False)), (written, shown, asked)
