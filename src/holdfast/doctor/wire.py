"""What the doctor and the process that looks say to each other: one JSON document a line."""

from __future__ import annotations

import json

import msgspec

from holdfast.doctor.model import Cut, Finding, Part, Target

NOTHING_TO_GO_BY = "what it needs could not be gathered"
"""Why a unit is cut that comes after a shared one that was."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be looked at. ``deadline_ns``: on ``time.monotonic_ns``, which all processes of a boot share.

    ``first``: the unit to begin with; those before it were done, or ended a process before this one. ``folder``: where
    copies may be made, and nothing else written; empty: nowhere. ``patience``: so many times its usual limit may each
    probe take.
    """

    paths: tuple[str, ...] = ()
    targets: tuple[Target, ...] = ()
    deep: bool = False
    patience: float = 1.0
    deadline_ns: int
    first: int = 0
    folder: str = ""


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """One probe on one target. ``shared``: those after it need what it gathers, in each process."""

    probe: str
    path: str
    limit_ms: int
    shared: bool = False


class Recognised(msgspec.Struct, frozen=True, tag="recognised"):
    """What the paths turned out to be."""

    targets: tuple[Target, ...]


class Units(msgspec.Struct, frozen=True, tag="units"):
    """Everything that will be done, in this order."""

    units: tuple[Unit, ...]


class Begun(msgspec.Struct, frozen=True, tag="begun"):
    """This unit begins now."""

    unit: int


class Found(msgspec.Struct, frozen=True, tag="finding"):
    """A finding."""

    finding: Finding


class Weighed(msgspec.Struct, frozen=True, tag="part"):
    """Where bytes of a target are."""

    target: str
    part: Part


class Stopped(msgspec.Struct, frozen=True, tag="cut"):
    """A probe that did not end, though its process goes on."""

    cut: Cut


class Refusal(msgspec.Struct, frozen=True, tag="refused"):
    """A path that nothing can be said of."""

    message: str
    remedy: str


class Done(msgspec.Struct, frozen=True, tag="done"):
    """Nothing follows."""


Message = Recognised | Units | Begun | Found | Weighed | Stopped | Refusal | Done


def encode(message: Message | Request) -> bytes:
    """Return ``message`` as a line."""
    # Paths are bytes; those that are no UTF-8 come as lone surrogates, which msgspec neither writes nor reads.
    return json.dumps(msgspec.to_builtins(message)).encode() + b"\n"


def decode(line: bytes) -> Message:
    """Return the message of a line. Raises ``ValueError`` for what is none."""
    message: Message = msgspec.convert(json.loads(line), Message)
    return message


def decode_request(line: bytes) -> Request:
    """Return the request of a line. Raises ``ValueError`` for what is none."""
    return msgspec.convert(json.loads(line), Request)
