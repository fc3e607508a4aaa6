"""Secrets in log lines, by the shapes their issuers give them. Pure.

A shape is tried only when a plain substring of it occurs: a line without one
costs 12 us, and most lines have none. What is not shaped like a secret (a bare
password in a sentence) is not found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

GONE = "[redacted]"

# Each: substrings of which one must occur (compared in lower case), then the shape.
# A shape with a group "keep" keeps that part: the name in front of the value.
_NAMES = (
    r"(?:[a-z0-9_.-]*(?:password|passwd|passphrase|secret|token|api[_-]?key|apikey|access[_-]?key|private[_-]?key"
    r"|account[_-]?key|shared[_-]?access[_-]?signature|credential|session[_-]?id)s?|pwd)"
)
_SHAPES = (
    (("-----begin",), r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(?:-----END [A-Z0-9 ]*-----|\Z)"),
    (("authorization",), r"(?P<keep>authorization[\"']?\s*[:=]\s*[\"']?)(?:[a-z-]+\s+)?[^\s\"',;]+"),
    (("bearer ", "basic ", "digest "), r"(?P<keep>\b(?:bearer|basic|digest)\s+)[a-z0-9+/_.~=-]{8,}"),
    (("cookie",), r"(?P<keep>\b(?:set-)?cookie[\"']?\s*[:=]\s*[\"']?)[^\r\n\"']+"),
    (("@",), r"(?P<keep>\b[a-z][a-z0-9+.-]*://)[^\s/@:\"']*:[^\s/@\"']+(?=@)"),
    (
        ("passw", "pwd", "passphrase", "secret", "token", "key", "signature", "credential", "session"),
        # The value of a name: `password=x`, `"api_key": "x"`, `--token x`, `X-Api-Key: x`.
        rf"(?P<keep>(?<![a-z0-9]){_NAMES}[\"']?\s*(?:=>|[:=])\s*[\"']?|--{_NAMES}[ =])[^\s\"',;&}}]{{3,}}",
    ),
    (("sig=",), r"(?P<keep>[?&]sig=)[^&\s\"']+"),
    (("hooks.slack.com",), r"(?P<keep>hooks\.slack\.com/(?:services|workflows)/)[a-z0-9/_-]+"),
    (("discord",), r"(?P<keep>discord(?:app)?\.com/api/webhooks/)[0-9]+/[a-z0-9_-]+"),
)
# Tokens that stand for themselves: each has a run of RUN letters, digits, "_" and "-", and most lines have none.
_RUN = r"[A-Za-z0-9_-]{15}"
_TOKENS = (
    (("sk-", "sk_", "pk_", "rk_"), r"\b[spr]k[-_](?:[a-z]+[0-9]*[-_])*[a-z0-9_-]{16,}"),
    (("gh",), r"\bgh[pousr]_[a-z0-9]{20,}"),
    (("github_pat_",), r"\bgithub_pat_[a-z0-9_]{20,}"),
    (("glpat-", "gldt-", "glrt-", "glptt-"), r"\bgl(?:pat|dt|rt|ptt)-[a-z0-9_-]{16,}"),
    (("xox", "xapp-"), r"\b(?:xox[a-z]|xapp)-[a-z0-9-]{10,}"),
    (("akia", "asia", "abia", "acca"), r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b"),
    (("aiza",), r"\bAIza[a-z0-9_-]{30,}"),
    (("ya29.",), r"\bya29\.[a-z0-9_-]{16,}"),
    (("gocspx-",), r"\bGOCSPX-[a-z0-9_-]{20,}"),
    (("eyj",), r"\beyJ[a-z0-9_-]{12,}\.[a-z0-9_-]{8,}(?:\.[a-z0-9_-]*)?"),
    (("npm_", "pypi-", "hf_", "dapi"), r"\b(?:npm_|pypi-|hf_|dapi)[a-z0-9_-]{20,}"),
    (("sg.",), r"\bSG\.[a-z0-9_-]{16,}\.[a-z0-9_-]{16,}"),
    (("dop_v1_", "doo_v1_", "dor_v1_"), r"\bdo[opr]_v1_[a-f0-9]{32,}"),
    (("shp",), r"\bshp(?:at|ca|pa|ss)_[a-f0-9]{24,}"),
    (("lin_api_", "sntrys_", "sntryu_", "rubygems_"), r"\b(?:lin_api|sntry[su]|rubygems)_[a-z0-9_=+/-]{20,}"),
    (("hvs.", "hvb.", "hvr."), r"\bhv[sbr]\.[a-z0-9_-]{20,}"),
    (("dp.pt.", "dp.st."), r"\bdp\.[sp]t\.[a-z0-9._-]{20,}"),
    (("age-secret-key-1",), r"\bAGE-SECRET-KEY-1[a-z0-9]{20,}"),
    (("eaa",), r"\bEAA[a-z0-9]{40,}"),
    (("sq0", "eaaa"), r"\bsq0[a-z]{3}-[a-z0-9_-]{20,}"),
    (("key-",), r"\bkey-[a-f0-9]{32}\b"),
    (("xai-", "gsk_", "r8_", "pplx-", "tvly-"), r"\b(?:xai-|gsk_|r8_|pplx-|tvly-)[a-z0-9_-]{20,}"),
    ((":aa",), r"\b[0-9]{8,10}:AA[a-z0-9_-]{30,}"),
    (("nrak-", "nrii-"), r"\bNR(?:AK|II)-[a-z0-9_-]{20,}"),
    (("figd_", "atatt3", "pat-"), r"\b(?:figd_|ATATT3|pat-[a-z]{2}[0-9]-)[a-z0-9_=-]{20,}"),
)


_Shapes = tuple[tuple[tuple[str, ...], re.Pattern[str]], ...]


@cache
def _shapes() -> tuple[_Shapes, re.Pattern[str], _Shapes]:
    # 30 ms, for the thread that writes; a host that starts does not wait for it.
    return _compiled(_SHAPES), re.compile(_RUN), _compiled(_TOKENS)


def _compiled(shapes: Iterable[tuple[tuple[str, ...], str]]) -> _Shapes:
    return tuple((hints, re.compile(shape, re.IGNORECASE)) for hints, shape in shapes)


@cache
def _secret_name() -> re.Pattern[str]:
    return re.compile(rf"{_NAMES}|(?:proxy-)?authorization|(?:set-)?cookie", re.IGNORECASE)


def text(line: str, also: Sequence[re.Pattern[str]] = ()) -> str:
    """Return ``line`` with ``[redacted]`` where a secret stood; ``also`` are shapes of the host's own."""
    shapes, run, tokens = _shapes()
    low = line.lower()
    line = _without(line, low, shapes)
    if run.search(line) is not None:
        line = _without(line, low, tokens)
    for shape in also:
        line = shape.sub(_put_gone, line)
    return line


def _without(line: str, low: str, shapes: _Shapes) -> str:
    for hints, shape in shapes:
        for hint in hints:
            if hint in low:
                line = shape.sub(_put_gone, line)
                break
    return line


def _put_gone(found: re.Match[str]) -> str:
    return found.groupdict().get("keep", "") + GONE


def value(given: Any, clean: Callable[[str], str]) -> Any:
    """Return a JSON value with every text cleaned, and everything gone whose key is the name of a secret."""
    if isinstance(given, str):
        return clean(given)
    if isinstance(given, dict):
        return {
            clean(key): GONE if inner and _secret_name().fullmatch(key) else value(inner, clean)
            for key, inner in given.items()
        }
    if isinstance(given, list):
        return [value(inner, clean) for inner in given]
    return given
