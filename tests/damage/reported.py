"""What a look would have said, for tests of what is done about it."""

from __future__ import annotations

from holdfast.doctor.model import Confidence, Finding, Report, Status


def finding(path, repair, **details):
    return Finding(
        id=f"found-{repair}",
        status=Status.WARN,
        path=str(path),
        measured="",
        expected="",
        confidence=Confidence.CERTAIN,
        cause="",
        remedy="",
        repair=repair,
        details=details,
    )


def report(target, *findings):
    return Report(
        overall=Status.WARN,
        started_ms=0,
        duration_ms=0,
        deep=False,
        targets=(target,),
        findings=findings,
        cut=(),
        parts={},
    )
