"""PlanCompute: what Prepare and Train left in; where Repackage, BuildIndex and Rank run, and how large, out."""

from typing import Any

import msgspec

from shortlist.compute import Sizes, place
from shortlist.config import Campaign
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.payloads import StageRequest
from shortlist.ports import ObjectStore
from shortlist.stages.resume import read_campaign, read_manifest


def plan_compute(request: StageRequest, *, store: ObjectStore) -> dict[str, Any]:
    """`stages`: a Placement for each of the three.

    Raises:
        ShortlistError: a stage needs more memory than any job has.
    """
    run_id = request.run.run_id
    campaign = read_campaign(run_id, store=store)
    prepared, trained = (read_manifest(run_id, stage, store=store) for stage in ("Prepare", "Train"))
    placed = place(_sizes(RunKeys(run_id), campaign, prepared, trained), campaign.compute.function_memory_mib)
    return {"stages": {stage: msgspec.to_builtins(where) for stage, where in placed.items()}}


def _sizes(keys: RunKeys, campaign: Campaign, prepared: Manifest, trained: Manifest) -> Sizes:
    def size(manifest: Manifest, *prefixes: str) -> int:
        return sum(output.size for key, output in manifest.outputs.items() if key.startswith(prefixes))

    return Sizes(
        users=prepared.summary["users"],
        items=prepared.summary["items"],
        user_bytes=size(prepared, keys.dataset("user_"), keys.dataset("withheld"))
        + size(trained, keys.model("fm/user_"), keys.model("history/")),
        item_bytes=size(prepared, keys.dataset("item_features")) + size(trained, keys.model("fm/item_")),
        catalogue_bytes=size(prepared, keys.dataset("items"), keys.dataset("item_ids")),
        users_per_shard=campaign.shards.users,
        places_per_user=len(campaign.lists) * campaign.x,
        factory=campaign.index.factory,
    )
