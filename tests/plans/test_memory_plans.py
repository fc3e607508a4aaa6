"""The last memories of a scope are read off one index, in its order."""

from __future__ import annotations

from holdfast import schema, sql
from holdfast.clock import wall_ms
from holdfast.memory import store
from holdfast.sqlite import Store

ASKED = {"homes": "[1]", "scope_kind": "cwd", "scope_key": "/w", "limit": 5}


def test_the_last_of_a_scope_are_a_range_of_one_index_and_nothing_is_sorted(tmp_path):
    explain = sql.statement(f"EXPLAIN QUERY PLAN {store._LAST.sqlite}")
    with Store.open(tmp_path / "state.db", clock=wall_ms) as engine:
        schema.migrate(engine)
        with engine.read() as tx:
            plan = [row["detail"] for row in tx.rows(explain, **ASKED)]
    assert plan[0] == "SEARCH m USING INDEX thread_memories_by_scope (scope_kind=? AND scope_key=?)"
    assert not any("TEMP B-TREE" in step or step.startswith("SCAN m") for step in plan)
