"""Secrets in log lines, by the shapes their issuers give them. Pure.

A shape is tried only when a plain substring of it occurs: a line without one
costs 2 us, and most lines have none. None takes much more than linear time, for
a regular expression holds the interpreter: a line made to vex one would stop the
host. What is not shaped like a secret (a bare password in a sentence) is not found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any

GONE = "[redacted]"

# Each: substrings of which one must occur (compared in lower case), then the shape.
# A shape with a group "keep" keeps that part: the name in front of the value.
_NAMES = (
    r"(?:(?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|account[_-]?key"
    r"|shared[_-]?access[_-]?signature|x-(?:amz|goog)-signature|credential)s?|phpsessid|jsessionid|(?<![a-z0-9])pwd)"
)
_IS = r"\\*[\"']?\s*(?:=>|[:=])\s*"
# In quotes up to the same quote, which in JSON inside of JSON has a backslash before it; bare up to what may follow.
_VALUE = r"(?:(?<=\\\")(?:[^\"\\]|\\[^\"])+|(?<=\")(?:[^\"\\]|\\.)+|(?<=')(?:[^'\\]|\\.)+|[^\s\"',;&}\\]{3,})"
_SHAPES = (
    (("-----begin",), r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(?:-----END [A-Z0-9 ]*-----|\Z)"),
    (("private-lines",), r"(?P<keep>Private-Lines: *[0-9]+\s+)[a-z0-9+/=\s]+"),
    (("authorization",), rf"(?P<keep>authorization{_IS}(?:\\?[\"'])?)(?:[a-z-]+\s+)?[^\s\"',;\\]+"),
    (("bearer ", "basic ", "digest "), r"(?P<keep>\b(?:bearer|basic|digest)\s+)[a-z0-9+/_.~=-]{8,}"),
    # The kernel's events have a cookie, too: a number.
    (("cookie",), rf"(?P<keep>\b(?:set-)?cookies?{_IS}(?:\\?[\"'])?)(?!(?:0x[0-9a-f]+|[0-9]{{1,10}})\b)[^\r\n\"'\\]+"),
    (("@",), r"(?P<keep>\b[a-z][a-z0-9+.-]{0,20}://)(?:[^\s/@:\"']*:[^\s/@\"']+|[a-z0-9_-]{20,})(?=@)"),
    (
        ("passw", "pwd", "passphrase", "secret", "token", "key", "signature", "credential", "sessi"),
        # The value of a name: `password=x`, `"api_key": "x"`, `--token x`, `X-Api-Key: x`.
        rf"(?P<keep>(?:(?P<name>{_NAMES}){_IS}|(?<![a-z-])--[a-z-]{{0,30}}{_NAMES}[ =])"
        rf"(?:b(?=[\"']))?\\?[\"']?){_VALUE}",
    ),
    (("sig=",), r"(?P<keep>[?&]sig=)[^&\s\"']+"),
    (("hooks.slack.com",), r"(?P<keep>hooks\.slack\.com/(?:services|workflows)/)[a-z0-9/_-]+"),
    (("discord",), r"(?P<keep>discord(?:app)?\.com/api/webhooks/)[0-9]+/[a-z0-9_-]+"),
)
# Tokens that stand for themselves: each has a run of 15 letters, digits, "_" and "-", and most lines have none.
_RUN = r"[A-Za-z0-9_-]{15}"
_TOKENS = (
    (("sk-", "sk_", "pk_", "rk_"), r"\b[spr]k[-_](?:[a-z]+[0-9]*[-_])*[a-z0-9_-]{16,}"),
    (("gh",), r"\bgh[pousr]_[a-z0-9]{20,}"),
    (("github_pat_",), r"\bgithub_pat_[a-z0-9_]{20,}"),
    (("glpat-", "gldt-", "glrt-", "glptt-"), r"\bgl(?:pat|dt|rt|ptt)-[a-z0-9_-]{16,}"),
    (("xox", "xapp-"), r"\b(?:xox[a-z]|xapp)-[a-z0-9-]{10,}"),
    # Letters alone as they are written: a picture in base64 has each of them in some case.
    (("akia", "asia", "abia", "acca"), r"\b(?-i:(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16})\b"),
    (("aiza",), r"\b(?-i:AIza)[a-z0-9_-]{30,}"),
    (("ya29.",), r"\bya29\.[a-z0-9_-]{16,}"),
    (("gocspx-",), r"\bGOCSPX-[a-z0-9_-]{20,}"),
    (("eyj",), r"\beyJ[a-z0-9_-]{12,512}\.[a-z0-9_-]{8,}(?:\.[a-z0-9_-]*)?"),
    (("npm_", "pypi-", "hf_", "api_org_"), r"\b(?:npm_|pypi-|hf_|api_org_)[a-z0-9_-]{20,}"),
    (("dapi",), r"\bdapi[a-f0-9]{32}"),
    (("sg.",), r"\bSG\.[a-z0-9_-]{16,}\.[a-z0-9_-]{16,}"),
    (("dop_v1_", "doo_v1_", "dor_v1_"), r"\bdo[opr]_v1_[a-f0-9]{32,}"),
    (("shp",), r"\bshp(?:at|ca|pa|ss)_[a-f0-9]{24,}"),
    (("lin_api_", "sntrys_", "sntryu_", "rubygems_"), r"\b(?:lin_api|sntry[su]|rubygems)_[a-z0-9_=+/-]{20,}"),
    (("hvs.", "hvb.", "hvr."), r"\bhv[sbr]\.[a-z0-9_-]{20,}"),
    (("dp.pt.", "dp.st."), r"\bdp\.[sp]t\.[a-z0-9._-]{20,}"),
    (("age-secret-key-1",), r"\bAGE-SECRET-KEY-1[a-z0-9]{20,}"),
    (("eaa",), r"\b(?-i:EAA)[a-z0-9]{40,}"),
    (("sq0", "eaaa"), r"\bsq0[a-z]{3}-[a-z0-9_-]{20,}"),
    (("key-",), r"\bkey-[a-f0-9]{32}\b"),
    (("xai-", "gsk_", "r8_", "pplx-", "tvly-"), r"\b(?:xai-|gsk_|r8_|pplx-|tvly-)[a-z0-9_-]{20,}"),
    ((":aa",), r"\b[0-9]{8,10}:(?-i:AA)[a-z0-9_-]{30,}"),
    (("nrak-", "nrii-"), r"\bNR(?:AK|II)-[a-z0-9_-]{20,}"),
    (("sk",), r"\b(?-i:SK)[a-f0-9]{32}\b"),
    (("-us",), r"\b[a-f0-9]{32}-us[0-9]{1,2}\b"),
    (("1//0",), r"\b1//0[a-z0-9_-]{30,}"),
    (("dckr_pat_", "pmak-", "pul-", "nfp_", "sbp_"), r"\b(?:dckr_pat_|PMAK-|pul-|nfp_|sbp_)[a-z0-9_-]{24,}"),
    (("glsa_", "glc_", "ntn_", "pscale_"), r"\b(?:glsa_|glc_|ntn_|pscale_(?:tkn|pw|oauth)_)[a-z0-9_=+/-]{24,}"),
    # A bot of Discord: its number in base64, a time, a signature.
    ((".",), r"\b(?-i:[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,})"),
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
    return re.compile(rf"[a-z0-9_.-]*{_NAMES}|(?:proxy-)?authorization|(?:set-)?cookies?", re.IGNORECASE)


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


def holds_secret(line: str) -> bool:
    """Return True when something in ``line`` is most likely a secret: to count them. ``text`` takes out any doubt.

    A token by its own shape; behind the name of one, only what has letters and digits and no spaces.
    """
    shapes, run, tokens = _shapes()
    low = line.lower()
    if run.search(line) is not None and any(shape.search(line) for shape in _hinted(low, tokens)):
        return True
    for shape in _hinted(low, shapes):
        for found in shape.finditer(line):
            given = found.group()[len(found.groupdict().get("keep") or "") :]
            if given.startswith("-----BEGIN") or any(map(_RANDOM.fullmatch, given.split())):
                return True
    return False


_RANDOM = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[^\s(){}\[\],]{8,}|[^\s/:@]*:[^\s/:@]+")


def _hinted(low: str, shapes: _Shapes) -> Iterator[re.Pattern[str]]:
    return (shape for hints, shape in shapes if any(hint in low for hint in hints))


def _without(line: str, low: str, shapes: _Shapes) -> str:
    for hints, shape in shapes:
        for hint in hints:
            if hint in low:
                line = shape.sub(_put_gone, line)
                break
    return line


def _put_gone(found: re.Match[str]) -> str:
    groups = found.groupdict()
    keep = groups.get("keep") or ""
    name = groups.get("name")
    if name is not None and _says_nothing(name.lower(), found.group()[len(keep) :]):
        return found.group()
    return keep + GONE


def _says_nothing(name: str, given: str) -> bool:
    """Return True for a number of tokens, for the word that there is none, and for a directory somebody is in."""
    return (
        given.rstrip(")]}").lower() in ("none", "null", "true", "false")
        or (name in ("token", "tokens") and given.replace(",", "").replace(".", "").rstrip(")]").isdecimal())
        or (name == "pwd" and given[0] in "/~.")
    )


def value(given: Any, clean: Callable[[str], str]) -> Any:
    """Return a JSON value with every text cleaned, and everything gone whose key is the name of a secret."""
    if isinstance(given, str):
        return clean(given)
    if isinstance(given, dict):
        return {clean(key): GONE if _is_secret(key, inner) else value(inner, clean) for key, inner in given.items()}
    if isinstance(given, list):
        return [value(inner, clean) for inner in given]
    return given


def _is_secret(key: str, inner: Any) -> bool:
    if not inner or inner is True or _secret_name().fullmatch(key) is None:
        return False
    # How many tokens a model took, the number of a file event, a directory.
    if isinstance(inner, (int, float)):
        return not key.lower().endswith(("token", "tokens", "cookie"))
    if isinstance(inner, dict) and key.lower().endswith("tokens"):
        return False
    return not (key.lower() == "pwd" and isinstance(inner, str) and inner[0] in "/~.")
