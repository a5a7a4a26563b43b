"""Evaluate: figures come together, and the verdict stands in metrics.json."""

import msgspec
import pytest

from shortlist.contracts.keys import RunKeys
from shortlist.contracts.metrics import RunMetrics
from shortlist.contracts.records import CurrentRun
from shortlist.stages.evaluate import evaluate
from tests.fakes import FixedClock, MemoryRunsTable, MemoryStore
from tests.finished_run import INDEX, RECALLS, RUN, holdout, write_json, write_learned, write_metrics

KEYS = RunKeys(RUN.run_id)


@pytest.fixture
def store():
    store = MemoryStore()
    write_learned(store)
    return store


def run_evaluate(store, runs=None, run=RUN):
    return evaluate(run, store=store, runs=runs or MemoryRunsTable(), clock=FixedClock())


def metrics_of(store):
    return msgspec.json.decode(store.read(KEYS.metrics), type=RunMetrics)


def published(run_id, previous=""):
    runs = MemoryRunsTable()
    runs.pointers[RUN.campaign] = CurrentRun(
        campaign=RUN.campaign, run_id=run_id, published_at=RUN.as_of, previous_run_id=previous
    )
    return runs


def test_the_first_run_is_judged_by_its_baselines(store):
    manifest, skipped = run_evaluate(store)

    assert not skipped
    assert manifest.summary["publish"] is True
    assert metrics_of(store) == RunMetrics(holdout=holdout(), index=INDEX, publish=True, reasons=(), published_run="")


def test_a_bad_model_is_not_published(store):
    write_json(store, KEYS.holdout_metrics, holdout({**RECALLS, "new_for_you": (0.01, 0.038, 0.0)}))

    manifest, _ = run_evaluate(store)

    assert manifest.summary["publish"] is False
    assert metrics_of(store).reasons[0].startswith("new_for_you")


def test_the_published_run_is_the_measure_of_the_next(store):
    write_metrics(store, run=msgspec.structs.replace(RUN, run_id="last-week"))
    write_json(store, KEYS.holdout_metrics, holdout({**RECALLS, "everything": (0.29, 0.1, 0.2)}))

    manifest, _ = run_evaluate(store, published("last-week"))

    assert manifest.summary["publish"] is False
    assert metrics_of(store).published_run == "last-week"
    assert metrics_of(store).published["everything"].recall == RECALLS["everything"][0]


def test_a_published_run_whose_figures_are_gone_is_no_measure(store):
    manifest, _ = run_evaluate(store, published("long-ago"))

    assert manifest.summary["publish"] is True
    assert metrics_of(store).published_run == ""


def test_a_second_execution_finds_the_work_done_although_the_pointer_has_moved_to_this_run(store):
    write_metrics(store, run=msgspec.structs.replace(RUN, run_id="last-week"))
    first, _ = run_evaluate(store, published("last-week"))

    second, skipped = run_evaluate(store, published(RUN.run_id, previous="last-week"))

    assert skipped
    assert second == first


def test_new_figures_are_judged_again(store):
    run_evaluate(store)
    write_json(store, KEYS.holdout_metrics, holdout({**RECALLS, "everything": (0.1, 0.115, 0.315)}))

    manifest, skipped = run_evaluate(store)

    assert not skipped
    assert manifest.summary["publish"] is False
