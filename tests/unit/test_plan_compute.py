"""PlanCompute: the state machine is told where each stage runs, by the bytes that Prepare and Train left."""

import msgspec

from shortlist.config import Compute
from shortlist.contracts.compute import Placement
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.stages import GROWING_STAGES
from shortlist.stages.plan_compute import plan_compute
from tests.trained_run import CAMPAIGN, RUN, request, trained_run


def placed(store):
    stages = plan_compute(request(), store=store)["stages"]
    return {stage: msgspec.convert(where, Placement) for stage, where in stages.items()}


def test_a_small_shop_stays_in_functions():
    found = placed(trained_run())

    assert set(found) == set(GROWING_STAGES)
    assert not any(where.job for where in found.values())


def test_a_campaign_may_ask_for_jobs():
    campaign = msgspec.structs.replace(CAMPAIGN, compute=Compute(function_memory_mib=0))

    assert all(where.job for where in placed(trained_run(campaign)).values())


def test_what_train_left_counts_and_not_what_lies_beside_it():
    # GIVEN a run whose manifest tells of large factors, and an object of Train's that Repackage never reads
    store = trained_run()
    key = RunKeys(RUN.run_id).manifest("Train")
    manifest = msgspec.json.decode(store.read(key))
    before = placed(store)
    manifest["outputs"][RunKeys(RUN.run_id).model("measured/user_factors.npy")] = {"sha256": "", "size": 10**10}
    store.write(key, msgspec.json.encode(manifest))
    beside = placed(store)
    manifest["outputs"][RunKeys(RUN.run_id).model("fm/user_factors.npy")]["size"] = 4 * 10**9
    store.write(key, msgspec.json.encode(manifest))

    # THEN only the factors make a job of it
    assert beside == before
    assert {stage for stage, where in placed(store).items() if where.job} == {"Repackage", "BuildIndex"}
