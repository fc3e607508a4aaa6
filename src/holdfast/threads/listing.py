"""Pages of threads: keyset paging over one index range per home, archive state and leading filter value."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import msgspec

from holdfast import ids, sql
from holdfast.engine import Read
from holdfast.errors import Refused
from holdfast.sql import Statement
from holdfast.threads import edges, rules
from holdfast.threads.model import Page, Query, Thread

_SQL = sql.load("holdfast.threads")

# The filter that decides which index is read: the most selective first.
_LEADING = ("cwd", "provider", "source")
_COLUMN = {"cwd": "cwd_id", "provider": "provider_id", "source": "source_kind_id"}
_BRANCHES_MAX = 64  # SQLite takes 500 terms of a compound select (sqlite.org/limits.html); past 64 a list is a mistake
_UUID_LAST = b"\xff" * 16


def page(
    tx: Read,
    homes: Sequence[int],
    query: Query,
    *,
    limit: int = 25,
    cursor: str | None = None,
    among: str | None = None,
) -> Page:
    """Return up to ``limit`` threads of ``homes`` (their ids) that match ``query``, after ``cursor``.

    Costs one statement whose work grows with ``limit``, not with the number
    of threads or the depth of the page, unless ``search`` is rare and
    ``among`` (a JSON list of candidate row ids) is not given. ``parent`` and
    ``ancestor`` cost the size of that family, ``deleted`` how much was deleted.
    Raises ``Refused`` for ``parent`` and ``ancestor`` together.
    """
    rules.check_limit(limit)
    rules.check_relation(query)
    rules.check_texts(query)
    after = rules.decode_cursor(query, cursor) if cursor else None
    values = _filter_values(tx, query)
    among = _among(tx, homes, query, among)
    if not homes or any(not found for found in values.values()):
        return Page(threads=(), next_cursor=None)  # a filter nobody matches: no label, no thread
    archived = (0, 1) if query.archived is None else (int(query.archived),)
    leading = next((name for name in _LEADING if name in values), None)
    terms = list(itertools.product(homes, archived, values[leading] if leading else (None,)))
    if len(terms) > _BRANCHES_MAX:
        raise Refused(
            f"this list asks for {len(terms)} combinations of homes and filter values, {_BRANCHES_MAX} is the most",
            remedy="Ask for fewer homes or fewer values of one filter.",
        )
    rest = tuple((name, len(found)) for name, found in values.items() if name != leading)
    params: dict[str, object] = {"limit": limit + 1}
    for at, (home_id, is_archived, value) in enumerate(terms):
        params |= {f"home{at}": home_id, f"archived{at}": is_archived}
        if leading:
            params[f"value{at}"] = value
    for name, found in values.items():
        if name != leading:
            params |= {f"{name}{at}": value for at, value in enumerate(found)}
    if after:
        n = after.n if after.n > 0 else _row_id(tx, homes, after.thread_id)
        params |= {"after_ms": after.ms, "after_n": n}
    if query.search is not None:
        params["needle"] = rules.like(query.search)
    if among is not None:
        params["among"] = among
    plain = query.search is None or query.search.isascii()
    shape = _Shape(
        query.sort, query.direction, len(terms), leading, rest, after is not None, query.missing,
        query.search is not None, plain, among is not None, query.deleted,
    )  # fmt: skip
    rows = tx.rows(_statement(shape), **params)
    shown = rows[:limit]
    threads = tuple(thread(row) for row in shown)
    if len(rows) <= limit:
        return Page(threads=threads, next_cursor=None)
    last = shown[-1]
    return Page(
        threads=threads,
        next_cursor=rules.encode_cursor(query, last[f"{query.sort}_ms"], last["n"], threads[-1].id),
    )


def thread(row: Mapping[str, Any]) -> Thread:
    """Return the row of ``select_thread`` as a ``Thread``."""
    return Thread(
        id=ids.text(row["thread_id"]),
        home=row["home"],
        rollout_path=f"{row['home']}/{row['path']}",
        created_at_ms=row["created_ms"],
        updated_at_ms=row["updated_ms"],
        recency_at_ms=row["recency_ms"],
        source=row["source"],
        source_kind=row["source_kind"],
        thread_source=row["thread_source"],
        model_provider=row["model_provider"],
        model=row["model"],
        reasoning_effort=row["reasoning_effort"],
        cwd=row["cwd"],
        cli_version=row["cli_version"],
        originator=row["originator"],
        title=row["title"],
        name=row["name"],
        preview=row["preview"],
        first_user_message=row["first_user_message"],
        tokens_used=row["tokens_used"],
        archived=bool(row["archived"]),
        archived_at_ms=row["archived_at_ms"],
        git_sha=row["git_sha"],
        git_branch=row["git_branch"],
        git_origin_url=row["git_origin_url"],
        parent_thread_id=_id_text(row["parent_thread_id"]),
        forked_from_id=_id_text(row["forked_from_id"]),
        agent_nickname=row["agent_nickname"],
        agent_role=row["agent_role"],
        agent_path=row["agent_path"],
        sandbox_policy=row["sandbox_policy"],
        approval_mode=row["approval_mode"],
        memory_mode=row["memory_mode"],
        history_mode=row["history_mode"],
        lines_unread=row["lines_unread"],
        missing_since_ms=row["missing_since_ms"],
        deleted_at_ms=row["deleted_said_ms"],
    )


class _Shape(msgspec.Struct, frozen=True):
    """Everything about a page that changes its SQL, and nothing else: the key of the statement cache."""

    sort: str
    direction: str
    terms: int
    leading: str | None
    rest: tuple[tuple[str, int], ...]
    after: bool
    missing: bool
    search: bool
    plain: bool
    among: bool
    deleted: bool


@cache
def _statement(shape: _Shape) -> Statement:
    sort = f"{shape.sort}_ms"
    rest: list[Statement | str] = []
    if shape.after:
        # Row values: one range of the index, at any depth (the OR form scans; sqlite.md §1).
        rest.append(f"AND ({sort}, n) {'<' if shape.direction == 'desc' else '>'} (:after_ms, :after_n)")
    if not shape.missing:
        rest.append("AND missing_since_ms IS NULL")
    rest.append(f"AND deleted_said_ms IS {'NOT ' if shape.deleted else ''}NULL")
    for name, count in shape.rest:
        rest.append(f"AND +{_COLUMN[name]} IN ({', '.join(f':{name}{at}' for at in range(count))})")
    if shape.search:
        looks = _SQL["looks_like" if shape.plain else "looks_like_in_any_case"]
        rest.append(looks.fill(haystack=_SQL["haystack"]))
    branch = _SQL["branch_among" if shape.among else "branch"]
    filters = sql.joined(" ", rest)
    branches = [
        branch.fill(sort=sort, direction=shape.direction, leading=_leading(shape, at), rest=filters)
        for at in range(shape.terms)
    ]
    return _SQL["select_thread"].fill(
        chosen=_SQL["chosen_page"].fill(branches=sql.joined("\nUNION ALL\n", branches), direction=shape.direction),
        tail=_SQL["page_order"].fill(direction=shape.direction),
    )


def _leading(shape: _Shape, at: int) -> str:
    plus = "+" if shape.among else ""
    terms = f"{plus}home_id = :home{at} AND {plus}archived = :archived{at}"
    if shape.leading:
        return f"{terms} AND {plus}{_COLUMN[shape.leading]} = :value{at}"
    return terms


def _filter_values(tx: Read, query: Query) -> dict[str, list[Any]]:
    """Return each filter that was set with the values to look for: labels as their ids, unknown ones left out."""
    values: dict[str, list[Any]] = {}
    wanted = {
        "cwd": [rules.normal_cwd(cwd) for cwd in query.cwds],
        "provider": list(query.providers),
        "source": list(query.sources),
    }
    texts = sorted(set(itertools.chain.from_iterable(wanted.values())))
    known = label_ids(tx, texts) if texts else {}
    for name, labels in wanted.items():
        if labels:
            values[name] = [known[label] for label in dict.fromkeys(labels) if label in known]
    return values


def _among(tx: Read, homes: Sequence[int], query: Query, among: str | None) -> str | None:
    """Return the row ids that a family or the deleted ones leave over of ``among``, as JSON; None: any row."""
    sets: list[set[int]] = []
    if query.parent is not None or query.ancestor is not None:
        sets.append(edges.family(tx, homes, parent=query.parent, ancestor=query.ancestor))
    if query.deleted:
        sets.append({row["n"] for row in tx.rows(_SQL["deleted_ns"], homes=msgspec.json.encode(homes).decode())})
    if not sets:
        return among
    if among is not None:
        sets.append(set(msgspec.json.decode(among, type=list[int])))
    return msgspec.json.encode(sorted(set.intersection(*sets))).decode()


def label_ids(tx: Read, texts: Sequence[str]) -> dict[str, int]:
    """Return the ids of those ``texts`` that are labels."""
    rows = tx.rows(_SQL["get_labels"], labels=msgspec.json.encode(texts).decode())
    return {row["label"]: row["label_id"] for row in rows}


def _row_id(tx: Read, homes: Sequence[int], thread_id: str) -> int:
    row = tx.row(_SQL["get_n"], homes=msgspec.json.encode(homes).decode(), thread_id=ids.parse(thread_id))
    return int(row["n"]) if row else 0


def _id_text(id16: bytes | None) -> str | None:
    return None if id16 is None else ids.text(id16)
