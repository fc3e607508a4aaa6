"""Pages of the old runtime's API are read off the indexes of lists: what is sorted is one page."""

from __future__ import annotations

import pytest

from holdfast import schema, sql
from holdfast.adapters import runtime_rows
from holdfast.adapters.runtime_types import SortKey
from holdfast.clock import wall_ms
from holdfast.sqlite import Store

ASKED = {
    "home_id": 1, "archived": 0, "any_source": 1, "sources": "[]", "any_provider": 1, "providers": "[]",
    "after_s": 1, "after_id": b"", "below_ms": 2_000, "from_ms": 0, "before": 4, "limit": 5,
}  # fmt: skip


@pytest.mark.parametrize("key", list(SortKey))
def test_a_page_is_a_range_of_one_index_between_its_anchor_and_its_last_second(tmp_path, key):
    def plan(tx, statement):
        explain = sql.statement(f"EXPLAIN QUERY PLAN {statement.sqlite}")
        return [row["detail"] for row in tx.rows(explain, **{name: ASKED[name] for name in statement.params})]

    column = f"{key.value}_ms"
    with Store.open(tmp_path / "state.db", clock=wall_ms) as engine:
        schema.migrate(engine)
        with engine.write() as tx:
            tx.script(sql.load_script("holdfast.threads", "indexes.sql"))
            edge, page = plan(tx, runtime_rows._EDGES[key]), plan(tx, runtime_rows._PAGES[key])
    index = f"SEARCH t USING INDEX threads_by_{key.value} (home_id=? AND archived=? AND"
    assert edge[0] == f"{index} {column}<?)"
    assert not any("TEMP B-TREE" in step for step in edge)
    assert page[0] == f"{index} {column}>? AND {column}<?)"
