"""The made-up shop is one that every stage can work on, and what is reckoned for it is a function's."""

import pytest

from bench.stage_memory import KEYS, RUN, FolderStore, make_up, work
from shortlist.contracts.payloads import StageRequest
from shortlist.stages.plan_compute import plan_compute


@pytest.mark.parametrize("purchases", [4, 40])
def test_the_stages_work_on_what_is_made_up(tmp_path, purchases):
    store = FolderStore(tmp_path)
    make_up(store, 50, 30, purchases)

    manifests = {stage: work(stage, store) for stage in ("Repackage", "BuildIndex", "Rank")}

    reckoned = plan_compute(StageRequest(run=RUN), store=store)["stages"]
    assert not any(reckoned[stage]["job"] for stage in manifests)
    assert manifests["BuildIndex"].summary["n_items"] == 30
    assert manifests["Rank"].summary["users"] == 50
    assert store.exists(KEYS.topx("00000"))
