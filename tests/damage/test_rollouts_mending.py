"""Whatever happened to a rollout: mended it holds only whole lines, each that was whole, and each where it was."""

from __future__ import annotations

import json
import random

import pytest

from holdfast.errors import Refused
from holdfast.rollouts import mending
from holdfast.rollouts.mending import mended, mended_file
from homes import line

SEED = 20_261_126


def whole(n: int) -> bytes:
    return line(1_700_000_000_000 + n, f"line {n} " + "\u00fc" * (n % 7)).encode()


def damaged(draw: random.Random, lines: list[bytes]) -> bytes:
    """Do one to four things to a file, as writers, disks and people do."""
    text = b"".join(lines)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(text))
        match draw.randrange(6):
            case 0:
                text = text[: max(at, 1)]
            case 1:
                text = text[:at] + bytes(draw.randint(1, 60)) + text[at:]
            case 2:
                size = min(draw.randint(1, 60), len(text) - at)
                text = text[:at] + draw.randbytes(size) + text[at + size :]
            case 3:
                text = text[:at] + draw.choice((b"\n", b"junk\n", b"{", b'{"timestamp":"', b"\xff")) + text[at:]
            case 4:
                end = text.find(b"\n", at)
                text = text if end < 0 else text[:end] + text[end + 1 :]
            case _:
                text += bytes(draw.randint(1, 400))
    return text


def test_any_damage_leaves_whole_lines_all_that_were_and_where_they_were():
    draw = random.Random(SEED)
    for number in range(400):
        lines = [whole(n) for n in range(draw.randint(1, 12))]
        text = damaged(draw, lines)

        found = mended(text)

        # Damage may leave JSON that only says something else: that stays, as what it is.
        assert all(_is_line(each) for each in found.data.split(b"\n") if each.strip()), (SEED, number)
        assert not found.data or found.data.endswith(b"\n")
        assert mended(found.data).mends == ()
        # A line that stands in the damaged text between newlines stands there still, and in the same place.
        at = 0
        for each in text.split(b"\n")[:-1]:
            if each and _is_line(each):
                assert each + b"\n" in found.data, (SEED, number)
                assert found.moved or found.data[at : at + len(each)] == each, (SEED, number)
            at += len(each) + 1


def _is_line(text: bytes) -> bool:
    try:
        return isinstance(json.loads(text.decode()), dict)
    except ValueError:
        return False


def test_what_only_we_do_not_understand_stays_to_the_byte():
    odd = b'{"type":"something_new","payload":{"a":[1,2,{"b":"\\ud83d\\ude00"}]}}\n{"no":"type"}\n\n   \n'

    assert mended(odd).mends == ()
    assert mended(odd).data == odd


def test_a_line_with_a_thousand_beginnings_costs_no_more_than_being_read():
    torn = b'{"timestamp":"' * 20_000

    assert mended(whole(1) + torn + b"\n" + whole(2)).data.split() == (whole(1) + whole(2)).split()


def test_a_file_too_large_for_a_receipt_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(mending, "BYTES_MAX", 100)
    file = tmp_path / "rollout-x.jsonl"
    file.write_bytes(whole(1) * 3)

    with pytest.raises(Refused, match="too much for a receipt"):
        mended_file(str(file))
