"""D08: no secret of the corpus is in anything that the doctor says; what is no secret stays as it was."""

from __future__ import annotations

import json

import msgspec
import pytest

from holdfast.doctor import redacting
from holdfast.doctor.model import Confidence, Cut, Database, Finding, Part, Report, Status, Target
from holdfast.logs.redact import GONE
from secret_corpus import PARTS, SECRETS


def report(said):
    finding = Finding(
        id="secrets-in-logs", row="F27", status=Status.WARN, path=f"/home/ann/{said}", measured=f"saw {said} there",
        expected=f"not {said}", confidence=Confidence.CERTAIN, cause=f"it was {said}", remedy=f"see {said}",
        details={"deep": [{"text": said}], said: 1, "password": "plain", "rows": 7},
    )  # fmt: skip
    target = Target(
        kind="codex", path=f"/x/{said}", databases=(Database(role="logs", path=f"/z/{said}"),), notes=(said,)
    )
    return Report(
        overall=Status.WARN, started_ms=1, duration_ms=2, deep=False, targets=(target,), findings=(finding,),
        cut=(Cut(probe="p", path=said, why=f"it could not read {said}"),),
        parts={f"/x/{said}": (Part(name=said, path=f"/y {said}", bytes=5),)},
    )  # fmt: skip


@pytest.mark.parametrize("name", SECRETS)
def test_no_text_of_a_report_holds_a_secret_and_its_figures_stay(name):
    seen = redacting.report(report("".join(SECRETS[name])))
    text = json.dumps(msgspec.to_builtins(seen))

    assert not [part for part in PARTS if part in text]
    assert GONE in text
    assert seen.findings[0].details["password"] == GONE
    assert (seen.findings[0].details["rows"], seen.findings[0].id, seen.overall) == (7, "secrets-in-logs", Status.WARN)
    assert list(seen.parts) == [seen.targets[0].path]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://ann:pw@proxy.example:3128/x", "https://[redacted]@proxy.example:3128/x"),
        ("postgresql://ann@db/holdfast", "postgresql://[redacted]@db/holdfast"),
        ("https://h/x?code=4711", "https://h/x?[redacted]"),
        ("https://h/hook/Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6/in", "https://h/hook/[redacted]/in"),
        ("wss://h/socket#short", "wss://h/socket#[redacted]"),
    ],
)
def test_of_a_url_only_where_it_leads_to_stays(url, shown):
    assert redacting.text(f"asked {url} twice") == f"asked {shown} twice"


@pytest.mark.parametrize(
    "text",
    [
        "`holdfast doctor --plan plan.json ~/.codex` says what would be done",
        "/home/ann/.codex/sessions/2026/11/21/rollout-2026-11-21T10-00-00-01a1fd00-0000-7000-8000-000000000001.jsonl",
        "file:///home/ann/01a1fd00-0000-7000-8000-000000000001",
        "pid 4711 (codex) holds inode 8:1:131077; 740,472,217,600 bytes, salts 1f2e3d4c 5b6a7988",
        "see https://sqlite.org/wal.html",
    ],
)
def test_what_is_no_secret_stays(text):
    assert redacting.text(text) == text
