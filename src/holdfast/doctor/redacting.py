"""The one place where secrets go out of what the doctor says: the finished report. Pure.

Every text of it is cleaned, keys of details that name a secret lose their value, and of a URL only scheme, host and
the beginning of the path stay. Whatever is shown, written or planned is made from what comes out of here.
"""

from __future__ import annotations

import json
import re
from typing import TypeVar

import msgspec

from holdfast.doctor.model import Report
from holdfast.logs import redact

_Value = TypeVar("_Value")

_URL = re.compile(
    r"\b(?P<scheme>(?!file:)[a-z][a-z0-9+.-]{1,20}://)(?P<user>[^\s/?#@\"']*@)?"
    r"(?P<rest>[^\s?#\"'<>]*)(?P<query>[?#][^\s\"'<>]*)?",
    re.IGNORECASE,
)
_LONG = re.compile(r"/[A-Za-z0-9_=-]{24,}(?=/|$)")


def report(seen: Report) -> Report:
    """Return ``seen`` without secrets."""
    return cleaned(seen, Report)


def cleaned(value: _Value, kind: type[_Value]) -> _Value:
    """Return ``value``, of type ``kind``, with every text in it cleaned."""
    plain = json.loads(json.dumps(msgspec.to_builtins(value)))  # tuples become lists, which is what redact knows
    return msgspec.convert(redact.value(plain, text), kind)


def text(given: str) -> str:
    """Return ``given`` without what is shaped like a secret."""
    return redact.text(_URL.sub(_bare, given))


def _bare(found: re.Match[str]) -> str:
    user = redact.GONE + "@" if found["user"] else ""
    query = found["query"][0] + redact.GONE if found["query"] else ""
    return found["scheme"] + user + _LONG.sub("/" + redact.GONE, found["rest"]) + query
