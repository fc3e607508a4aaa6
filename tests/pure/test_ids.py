import datetime as dt
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import ids

KNOWN = uuid.UUID("019a4dc9-2f3b-77c0-89c9-ba3cdbdc0606")


@given(st.uuids())
def test_an_id_survives_the_way_through_text(value):
    assert ids.text(value.bytes) == str(value)
    assert ids.parse(str(value)) == value.bytes


@pytest.mark.parametrize(
    "spelling", [str(KNOWN), str(KNOWN).upper(), KNOWN.hex, f"{{{KNOWN}}}", KNOWN.urn], ids=lambda text: text[:8]
)
def test_every_spelling_of_an_id_is_the_same_id(spelling):
    assert ids.parse(spelling) == KNOWN.bytes


@pytest.mark.parametrize("text", ["", "019a4dc9", "not an id", f"{KNOWN}0", "019a4dc9-2f3b-77c0-89c9-ba3cdbdc060g"])
def test_what_is_no_id_is_none(text):
    assert ids.parse(text) is None


@given(st.integers(1_420_070_400_000, 221_845_391_999_999))
def test_a_new_id_tells_when_it_was_made_and_is_a_version_7(now_ms):
    made = uuid.UUID(bytes=ids.new(now_ms))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert ids.created_ms(made.bytes) == now_ms
    assert dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC).year < 9001


def test_ids_of_one_moment_differ_and_later_ones_sort_later():
    assert len({ids.new(1_700_000_000_000) for _ in range(1_000)}) == 1_000
    assert ids.new(1_700_000_000_000) < ids.new(1_700_000_000_001)


@pytest.mark.parametrize("ms", [0, 1_420_070_399_999, 221_845_392_000_000, (1 << 48) - 1])
def test_a_time_no_agent_can_have_lived_in_is_no_time(ms):
    assert ids.created_ms(ids.new(ms)) is None


def test_other_versions_hold_no_time():
    assert ids.created_ms(uuid.uuid4().bytes) is None
