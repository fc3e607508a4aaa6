"""Where a database is: a URL taken apart, and how it may be shown. The password is never shown."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from holdfast.errors import Refused

SCHEMES = ("postgresql", "postgres")
DEFAULT_SCHEMA = "holdfast"

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")  # needs no quotes in any SQL, and fits a name (NAMEDATALEN)


@dataclass(frozen=True, slots=True)
class Address:
    """A database and the schema in it that is ours."""

    url: str
    """For libpq, with the password: for no eye and no log."""
    schema: str
    shown: str
    """The same for people: ``postgresql://host:port/database?schema=name``."""

    @property
    def whole(self) -> str:
        """The URL with the schema in it, as it may be given to ``parse`` again."""
        return f"{self.url}{'&' if urlsplit(self.url).query else '?'}schema={quote(self.schema)}"


def is_url(text: object) -> bool:
    """Return True when ``text`` names a database on a server, and no file or directory."""
    return isinstance(text, str) and text.partition("://")[0] in SCHEMES and "://" in text


def parse(url: str, schema: str | None = None) -> Address:
    """Take ``url`` apart. ``?schema=`` names the schema, as ``schema`` does; a team has one each.

    Everything else is libpq's (libpq, "Connection URIs"). Raises ``Refused``.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Refused("the URL of the database cannot be read: is its port a number, its IPv6 address in []?") from None
    if parts.scheme not in SCHEMES:
        raise Refused(f"{parts.scheme}:// is no PostgreSQL", remedy="Write postgresql://user@host/database.")
    asked = parse_qsl(parts.query, keep_blank_values=True)
    named = [value for key, value in asked if key == "schema"]
    name = schema or (named[-1] if named else DEFAULT_SCHEMA)
    if not _SCHEMA.fullmatch(name) or name.startswith("pg_"):
        raise Refused(
            f"{name!r} cannot be the name of our schema",
            remedy="Use up to 63 small letters, digits and _, not beginning with a digit or pg_.",
        )
    query = urlencode([(key, value) for key, value in asked if key != "schema"], quote_via=quote)
    options = dict(asked)
    host = options.get("host") or unquote(parts.hostname or "") or "local socket"
    database = options.get("dbname") or parts.path.lstrip("/") or "default database"
    at = f"{host}:{port}" if port else host
    return Address(
        parts._replace(query=query).geturl(),
        name,
        f"postgresql://{at}/{database}" + (f"?schema={name}" if name != DEFAULT_SCHEMA else ""),
    )
