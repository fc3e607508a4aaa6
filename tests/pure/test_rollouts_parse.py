from __future__ import annotations

import json

import msgspec
import pytest

from holdfast import ids
from holdfast.rollouts import items
from holdfast.rollouts.dialects.codex import parse
from holdfast.rollouts.dialects.times import ms

ID = "01a1fa08-1a40-7dd2-ac5c-7d4be4ce5348"
OTHER = "01a1fa08-1b0f-7521-bbfc-b63efb3a9c41"
STAMP = "2026-11-20T17:36:14.869Z"
STAMP_MS = 1795196174869


def line(kind: str, payload: object, **outside: object) -> bytes:
    return json.dumps({"timestamp": STAMP, **outside, "type": kind, "payload": payload}).encode()


def event(kind: str, **fields: object) -> bytes:
    return line("event_msg", {"type": kind, **fields})


def meta(**fields: object) -> items.SessionMeta:
    found = parse(line("session_meta", {"id": ID, **fields}))
    assert isinstance(found, items.SessionMeta)
    return found


def test_a_line_carries_its_time_and_its_number():
    found = parse(line("world_state", {}, ordinal=7))

    assert (found.timestamp_ms, found.ordinal) == (STAMP_MS, 7)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (STAMP, STAMP_MS),
        ("2026-11-20T17-36-14", STAMP_MS - 869),
        ("2026-11-20T18:36:14.869123+01:00", STAMP_MS),
        ("2026-11-20T17:36:14", STAMP_MS - 869),
        ("yesterday", None),
        ("9999-99-99T99:99:99Z", None),
        ("1960-01-01T00:00:00Z", None),
        ("", None),
        (None, None),
    ],
)
def test_times_are_read_in_both_grammars(text, expected):
    assert ms(text) == expected


@pytest.mark.parametrize("spelling", [ID, ID.upper(), ID.replace("-", ""), f"{{{ID}}}", f"urn:uuid:{ID}"])
def test_an_id_may_be_spelled_in_any_way(spelling):
    assert meta(id=spelling).id == ids.parse(ID)


def test_old_files_have_no_session_id_of_their_own():
    assert meta().session_id == ids.parse(ID)
    assert meta(session_id=OTHER).session_id == ids.parse(OTHER)


@pytest.mark.parametrize(
    ("source", "stored", "kind"),
    [
        ("cli", "cli", "cli"),
        ("exec", "exec", "exec"),
        ("hologram", "unknown", "unknown"),
        (None, "vscode", "vscode"),
        ({"custom": "atlas"}, '{"custom":"atlas"}', "custom"),
        ({"internal": "memory_consolidation"}, '{"internal":"memory_consolidation"}', "internal"),
        ({"subagent": "review"}, '{"subagent":"review"}', "subagent"),
        ({"subagent": {"other": "x"}}, '{"subagent":{"other":"x"}}', "subagent"),
        ({"subagent": 7}, '{"subagent":7}', "subagent"),
        ({"new": 1}, '{"new":1}', "unknown"),
        (7, "unknown", "unknown"),
        ("x" * 100_000, "vscode", "vscode"),
    ],
)
def test_a_source_is_stored_as_codex_does(source, stored, kind):
    found = meta(source=source)

    assert (found.source, found.source_kind) == (stored, kind)


def test_a_spawned_agent_says_in_its_source_what_it_does_not_say_outside():
    spawn = {"parent_thread_id": OTHER, "depth": 1, "agent_nickname": "Gauss", "agent_type": "explorer"}

    found = meta(source={"subagent": {"thread_spawn": spawn}})

    assert found.parent_thread_id == ids.parse(OTHER)
    assert (found.agent_nickname, found.agent_role) == ("Gauss", "explorer")


def test_agent_type_is_another_word_for_agent_role():
    assert meta(agent_type="explorer").agent_role == "explorer"


@pytest.mark.parametrize("kind", ["task_started", "turn_started"])
def test_a_turn_starts_in_both_spellings(kind):
    assert isinstance(parse(event(kind, turn_id="t")), items.TurnStarted)


@pytest.mark.parametrize("kind", ["task_complete", "turn_complete"])
def test_a_turn_ends_in_both_spellings(kind):
    found = parse(event(kind, turn_id="t", duration_ms=5))

    assert isinstance(found, items.TurnEnded)
    assert (found.status, found.turn_id, found.duration_ms) == ("completed", "t", 5)


def test_both_history_modes_say_the_same_of_a_user_message():
    old = parse(event("user_message", message="look", images=["data:..."], local_images=["/a.png"]))
    parts = [
        {"type": "text", "text": "lo"},
        {"type": "image"},
        {"type": "local_image"},
        {"type": "text", "text": "ok"},
    ]
    new = parse(event("item_completed", item={"type": "UserMessage", "content": parts}))

    assert old == new == items.UserMessage(timestamp_ms=STAMP_MS, text="look", images=2)


def test_a_bad_field_is_dropped_and_the_rest_is_kept():
    found = meta(cwd=7, originator="lab", git="no", history_base=[1], timestamp={"a": 1}, model_provider="mock")

    assert (found.cwd, found.git, found.base_thread_id, found.created_ms) == (None, None, None, None)
    assert (found.originator, found.model_provider) == ("lab", "mock")


def test_a_bad_time_or_number_does_not_cost_the_line():
    found = parse(line("event_msg", {"type": "user_message", "message": "hi"}, timestamp=5, ordinal="x"))

    assert found == items.UserMessage(text="hi")


@pytest.mark.parametrize("number", ["-1", str(2**63), "9" * 6000, "1.5", "1e400"])
def test_numbers_that_fit_nowhere_are_dropped(number):
    found = parse(
        b'{"ordinal":%b,"type":"event_msg","payload":{"type":"token_count",' % number.encode() + b'"info":{}}}'
    )

    assert found.ordinal is None
    assert isinstance(found, items.Other | items.Unread)


def test_the_last_of_two_equal_keys_counts():
    found = parse(b'{"type":"x","type":"event_msg","payload":{},"payload":{"type":"agent_message","message":"b"}}')

    assert found == items.AgentMessage(text="b")


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"   ",
        b"half a li",
        b'{"timestamp":"2026-11-20T17:36:14.869Z","type":"event_m',
        b"[1,2]",
        b'"text"',
        b"null",
        b"\0\0\0\0",
        b'{"payload":{}}',
        b'{"type":7,"payload":{}}',
        b'{"type":"session_meta","payload":{}}',
        b'{"type":"session_meta","payload":{"id":"no-uuid"}}',
        b'{"type":"session_meta"}',
        b'{"type":"event_msg","payload":[]}',
        b"[" * 100_000,
        b'{"type":"event_msg","payload":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"type":"event_msg","payload":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
        b"\xff\xfe{\0}\0",
    ],
)
def test_what_cannot_be_read_is_a_value(bad):
    found = parse(bad)

    assert isinstance(found, items.Unread)
    assert found.reason


def test_one_bad_byte_costs_one_character():
    good = event("user_message", message="before @ after")

    found = parse(good.replace(b"@", b"\xff"))

    assert found == items.UserMessage(timestamp_ms=STAMP_MS, text="before � after", repaired=True)


def test_a_bad_byte_in_a_part_nobody_reads_is_noticed_too():
    assert parse(line("world_state", {"a": "@"}).replace(b"@", b"\xff")).repaired


def test_what_was_written_behind_a_hole_of_nul_bytes_is_read():
    found = parse(b"\0" * 512 + event("user_message", message="hi"))

    assert found == items.UserMessage(timestamp_ms=STAMP_MS, text="hi", repaired=True)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r"a\ud800b", "a�b"),
        (r"a\udc00b", "a�b"),
        (r"a\udc00\ud800b", "a��b"),
        (r"\ud83d\ude00", "😀"),
        (r"\\ud800", r"\ud800"),
        (r"\\\ud800", "\\�"),
        (r"a\u0000b", "a�b"),
    ],
)
def test_texts_can_always_be_stored(written, read):
    raw = b'{"type":"event_msg","payload":{"type":"user_message","message":"%b"}}' % written.encode()

    found = parse(raw)

    assert isinstance(found, items.UserMessage)
    assert found.text == read
    assert msgspec.msgpack.encode(found)
    found.text.encode()


def test_a_lone_surrogate_in_the_parts_of_a_message_costs_one_character():
    raw = event("item_completed", item={"type": "AgentMessage", "content": [{"type": "Text", "text": "a@b"}]})

    assert parse(raw.replace(b"@", rb"\ud800")) == items.AgentMessage(timestamp_ms=STAMP_MS, text="a�b")


def test_kinds_never_seen_before_are_named():
    assert parse(line("hologram", {})) == items.Other(timestamp_ms=STAMP_MS, kind="hologram", known=False)
    assert parse(event("wink")) == items.Other(timestamp_ms=STAMP_MS, kind="event_msg/wink", known=False)


def test_tools_are_paired_by_their_call_id():
    call = parse(line("response_item", {"type": "function_call", "name": "sh", "arguments": "{}", "call_id": "c"}))
    answer = parse(line("response_item", {"type": "function_call_output", "call_id": "c", "output": "done"}))

    assert call == items.ToolCall(timestamp_ms=STAMP_MS, call_id="c", name="sh", arguments="{}")
    assert answer == items.ToolOutput(timestamp_ms=STAMP_MS, call_id="c", text="done")


def test_an_output_of_parts_is_their_text():
    parts = [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "data:"}]
    answer = parse(line("response_item", {"type": "function_call_output", "call_id": "c", "output": parts}))

    assert isinstance(answer, items.ToolOutput)
    assert answer.text == "a"


def test_carriage_returns_do_no_harm():
    assert parse(event("user_message", message="hi") + b"\r") == parse(event("user_message", message="hi"))
