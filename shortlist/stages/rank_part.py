"""Rank as a job: the part of the user shards that is one child's in, ranked one after another, their manifests out."""

from collections.abc import Iterator

from shortlist.contracts.keys import RunKeys
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.payloads import RankJobRequest, ShardRequest
from shortlist.ports import Clock, ObjectStore
from shortlist.stages.rank import rank
from shortlist.stages.resume import read_manifest


def rank_part(
    request: RankJobRequest, child: int, *, store: ObjectStore, clock: Clock
) -> Iterator[tuple[Manifest, bool]]:
    """Rank every `children`-th shard from number `child` on; the items are fetched once for all of them.

    Yields:
        What Rank answers: a shard's manifest, and whether it was complete already.
    """
    run = request.run
    repackaged = read_manifest(run.run_id, "Repackage", store=store)
    shards = sorted(key for key in repackaged.outputs if key.startswith(RunKeys(run.run_id).user_shards))
    for key in shards[child :: request.children]:
        yield rank(ShardRequest(run=run, key=key), store=store, clock=clock)
