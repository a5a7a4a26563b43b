"""Rank as an array job: the children share the shards, and a child that starts again makes only what is missing."""

import pytest

from shortlist.contracts.payloads import RankJobRequest
from shortlist.stages.rank_part import rank_part
from tests.fakes import FixedClock
from tests.trained_run import RUN, indexed_run, ranked_run


def ranked_by(child, children, store):
    request = RankJobRequest(run=RUN, children=children)
    return [
        (manifest.shard, skipped) for manifest, skipped in rank_part(request, child, store=store, clock=FixedClock())
    ]


@pytest.mark.parametrize("children", [1, 2, 3, 5])
def test_the_children_rank_every_shard_once_and_to_the_same_bytes(children):
    store, whole = indexed_run(), ranked_run()

    shares = [ranked_by(child, children, store) for child in range(children)]

    assert sorted(shard for share in shares for shard, _ in share) == ["00000", "00001", "00002"]
    assert not any(skipped for share in shares for _, skipped in share)
    lists = {key: body for key, body in whole.objects.items() if "/topx/" in key}
    assert {key: store.objects[key] for key in lists} == lists


def test_a_child_that_was_stopped_makes_only_the_shards_that_it_had_not_finished():
    store = indexed_run()
    request = RankJobRequest(run=RUN, children=2)
    stopped = rank_part(request, 0, store=store, clock=FixedClock())
    next(stopped)
    stopped.close()

    assert ranked_by(0, 2, store) == [("00000", True), ("00002", False)]
