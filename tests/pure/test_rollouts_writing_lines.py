"""Items as lines: in Codex's shapes, whole or refused, and read back as what they were."""

from __future__ import annotations

import json
import tarfile
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import Refused
from holdfast.rollouts import Turn, tokens
from holdfast.rollouts.blocks import fold_block
from holdfast.rollouts.facts import ThreadFacts
from holdfast.rollouts.lines import split
from holdfast.rollouts.writing import lines
from holdfast.rollouts.writing.meta import session_meta
from homes import FIXTURES, NOON_MS, thread_id

THREAD = thread_id(1)


def batch(*items, ordinal=0, line_bytes_max=10_000):
    return lines.batch(items, now_ms=NOON_MS, ordinal=ordinal, line_bytes_max=line_bytes_max)


def item(**payload):
    return {"type": "event_msg", "payload": payload}


def recorded(version):
    """Return the lines of a recorded home."""
    with tarfile.open(FIXTURES / f"codex-home-{version}.tar.gz") as archive:
        for member in archive:
            if member.name.endswith(".jsonl") and "/rollout-" in member.name:
                yield from map(json.loads, archive.extractfile(member))


def shapes(all_lines):
    """Return, for each kind of line, the keys each of its parts always has, and those it may have."""
    found = defaultdict(list)
    for line in all_lines:
        payload = line["payload"]
        inner = payload.get("item") or {}
        key = (line["type"], payload.get("type"), inner.get("type"), payload.get("role"), "ordinal" in line)
        found[key].append((line.keys(), payload.keys(), inner.keys()))
    return {
        key: [(set.intersection(*map(set, part)), set.union(*map(set, part))) for part in zip(*seen, strict=True)]
        for key, seen in found.items()
    }


@pytest.fixture(scope="module")
def codex_shapes():
    return shapes(recorded("0.169"))


# Keys that Codex always writes and does not need back: what a line was made by, or is made of a second time.
WITHOUT = {
    "account_scoped",
    "disabled_plugin_ids",
    "internal_chat_message_metadata_passthrough",
    "metadata",
    "multi_agent_version",
    "approvals_reviewer",
    "permission_profile",
    "realtime_active",
    "runtime_workspace_roots",
    "status",
    "id",
    "time_to_first_token_ms",
    "turn_attribution",
    "audio",
    "local_audio",
    "memory_citation",
}


@pytest.mark.parametrize("mode", ["paginated", "legacy"])
def test_every_line_we_compose_has_the_shape_of_a_recorded_one(codex_shapes, mode):
    turn = Turn(THREAD, history_mode=mode)
    meta = session_meta(
        {"cwd": "/srv", "history_mode": mode}, thread_id=b"1" * 16, window_id=b"2" * 16, now_ms=NOON_MS, base=None
    )
    items = [
        {"type": "session_meta", "payload": meta},
        *turn.started(model_context_window=1_000),
        *turn.context(cwd="/srv", model="gpt-5.3-codex"),
        *turn.user_message("a question"),
        *turn.reasoning("**Thinking**", encrypted_content="gAAA"),
        *turn.function_call("shell", "{}", call_id="c1"),
        *turn.function_call_output("done", call_id="c1"),
        *turn.assistant_message("an answer"),
        *turn.token_count(tokens(input=10, output=5)),
        *turn.completed(),
        *([] if mode == "legacy" else turn.aborted()),
    ]
    made = batch(*items, ordinal=None if mode == "legacy" else 0, line_bytes_max=100_000)

    ours = shapes(json.loads(line) for line, _ in split(made.block))
    assert ours.keys() - codex_shapes.keys() == set()
    for kind, parts in ours.items():
        for (_, has), (always, may) in zip(parts, codex_shapes[kind], strict=True):
            assert has - may - {"id"} == set(), kind
            assert always - has - WITHOUT == set(), kind


def test_a_fork_says_what_a_recorded_one_says():
    from holdfast.rollouts import HistoryBase

    theirs = next(line["payload"] for line in recorded("0.169") if "history_base" in line["payload"])
    base = HistoryBase(**theirs["history_base"])
    ours = session_meta({"cwd": "/srv"}, thread_id=b"1" * 16, window_id=b"2" * 16, now_ms=NOON_MS, base=base)

    for name in ("forked_from_id", "forked_from_ordinal_exclusive", "history_base"):
        assert ours[name] == theirs[name]


def test_a_line_is_stamped_and_numbered_and_keeps_what_else_it_brings():
    made = batch({"type": "response_item", "payload": {"a": 1}, "metadata": {"b": 2}}, item(type="x"), ordinal=7)

    first, second = [json.loads(line) for line, _ in split(made.block)]
    assert list(first) == ["timestamp", "ordinal", "type", "payload", "metadata"]
    assert (first["timestamp"], first["ordinal"], second["ordinal"]) == ("2026-11-21T12:00:00.000Z", 7, 8)
    assert first["metadata"] == {"b": 2}
    assert made.next_ordinal == 9


def deep(levels):
    found = {}
    for _ in range(levels):
        found = {"in": [found]}
    return found


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"payload": {}}, "no type and payload"),
        ("not a mapping", "no type and payload"),
        ({"type": 1, "payload": {}}, "type is a text"),
        ({"type": "x", "payload": []}, "payload a mapping"),
        (item(a=object()), "no JSON"),
        (item(a="\ud800"), "no JSON"),
        (item(a="x" * 20_000), "a line of"),
        (item(a=deep(60)), "nested deeper"),
        ({**item(), "ordinal": 3}, "its own ordinal"),
        ({**item(), "timestamp": "now"}, "its own timestamp"),
    ],
)
def test_a_batch_with_one_item_that_is_no_line_is_refused_whole(bad, why):
    with pytest.raises(Refused, match=f"item 1 of the batch.*{why}"):
        batch(item(type="x"), bad)


def test_the_number_behind_the_last_one_is_refused():
    last = 2**64 - 1
    assert batch(item(), ordinal=last).count == 1
    with pytest.raises(Refused, match="end at"):
        batch(item(), item(), ordinal=last)


def test_brackets_in_texts_are_not_depth():
    assert batch(item(a='[{"' * 300)).count == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(codec="utf-8"), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.lists(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), JSON, max_size=4), max_size=4))
def test_what_is_taken_is_read_back_as_it_was_and_never_holds_half_a_line(payloads):
    try:
        made = batch(*({"type": "response_item", "payload": payload} for payload in payloads))
    except Refused:
        return
    found = [json.loads(line) for line, _ in split(made.block)]
    assert [line["payload"] for line in found] == payloads
    facts = ThreadFacts()
    fold_block(facts, made.block)
    assert facts.lines == len(payloads)
    assert facts.lines_unread == 0


@pytest.mark.parametrize(
    "meta",
    [{}, {"cwd": "relative"}, {"cwd": "/x", "history_mode": "new"}, {"cwd": "/x", "history_base": {}},
     {"cwd": "/x", "originator": 1}],
)  # fmt: skip
def test_a_first_line_that_codex_could_not_read_is_refused(meta):
    with pytest.raises(Refused):
        session_meta(meta, thread_id=b"1" * 16, window_id=b"2" * 16, now_ms=NOON_MS, base=None)
