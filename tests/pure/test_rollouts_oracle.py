"""Our facts beside what Codex itself derived of the same homes: every thread, every column."""

from __future__ import annotations

import tarfile

import pytest

import oracle
from holdfast import ids
from holdfast.rollouts import paths
from holdfast.rollouts.blocks import fold_block
from holdfast.rollouts.facts import ThreadFacts
from holdfast.rollouts.fold import inherit
from homes import FIXTURES


def facts_of(version: str) -> dict[bytes, tuple[str, ThreadFacts]]:
    found = {}
    with tarfile.open(FIXTURES / f"codex-home-{version}.tar.gz") as tar:
        for member in tar:
            path = member.name.partition("/")[2]
            if paths.is_rollout(path.rpartition("/")[2]):
                content = tar.extractfile(member)
                assert content is not None
                facts = ThreadFacts()
                fold_block(facts, content.read())
                assert facts.thread_id is not None
                found[facts.thread_id] = (path, facts)
    return found


@pytest.mark.parametrize("version", oracle.VERSIONS)
def test_we_derive_what_codex_derives_but_for_the_listed_differences(version):
    threads = facts_of(version)
    rows = oracle.rows(version)
    assert {row["id"] for row in rows} == {ids.text(id16) for id16 in threads}

    different = set()
    for row in rows:
        path, facts = threads[ids.parse(row["id"]) or b""]
        if facts.base_thread_id is not None:
            facts = inherit(facts, threads[facts.base_thread_id][1])
        assert row["rollout_path"].endswith(path)
        assert bool(row["archived"]) == paths.is_archived(path)
        for column in row.keys() - oracle.ELSEWHERE:
            if column in oracle.NEAR_MS:
                fact, near_ms = oracle.NEAR_MS[column]
                same = abs(row[column] - getattr(facts, fact)) <= near_ms
            else:
                same = row[column] == getattr(facts, oracle.SAME[column])
            if not same:
                different.add((version, row["id"], column))

    assert different == oracle.listed(version)
