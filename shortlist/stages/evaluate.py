"""Evaluate: figures of Train and BuildIndex and of the published run in, `metrics.json` with the gate's verdict out."""

import msgspec

from shortlist.contracts.keys import RunKeys
from shortlist.contracts.lists import ListKind
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.metrics import HoldoutMetrics, IndexMetrics, ListMetrics, RunMetrics
from shortlist.contracts.payloads import Run
from shortlist.errors import MissingObjectError
from shortlist.gate import judge
from shortlist.ports import Clock, ObjectStore, RunsTable
from shortlist.stages.resume import Work, read_campaign, read_manifest, run_once


def evaluate(run: Run, *, store: ObjectStore, runs: RunsTable, clock: Clock) -> tuple[Manifest, bool]:
    """Judge the run's model; `publish` in the manifest's summary is what the state machine chooses by."""
    keys = RunKeys(run.run_id)
    campaign = read_campaign(run.run_id, store=store)
    rules = campaign.evaluation
    index_manifest = read_manifest(run.run_id, "BuildIndex", store=store)
    holdout = msgspec.json.decode(store.read(keys.holdout_metrics), type=HoldoutMetrics)
    published_run = published_before(run, runs=runs)
    published = read_metrics(published_run, store=store)

    def work() -> Work:
        verdict = judge(
            holdout,
            campaign.lists,
            published.holdout if published else None,
            margin=rules.margin,
            gate=rules.gate,
        )
        metrics = RunMetrics(
            holdout=holdout,
            index=msgspec.convert(index_manifest.summary, IndexMetrics),
            publish=verdict.publish,
            reasons=verdict.reasons,
            published_run=published_run if published else "",
            published=_comparable(holdout, published),
        )
        output = store.write(keys.metrics, msgspec.json.format(msgspec.json.encode(metrics)))
        return Work({keys.metrics: output}, {"publish": verdict.publish, "reasons": list(verdict.reasons)})

    inputs = {
        "holdout": msgspec.to_builtins(holdout),
        "index": index_manifest.digest(),
        "published": msgspec.to_builtins(published.holdout) if published else None,
        "lists": list(campaign.lists),
        "margin": rules.margin,
        "gate": rules.gate,
    }
    return run_once("Evaluate", run, inputs, work, store=store, clock=clock)


def _comparable(holdout: HoldoutMetrics, published: RunMetrics | None) -> dict[ListKind, ListMetrics]:
    """Figures of the published run by list kind, where both were measured in the same way."""
    if published is None or published.holdout.protocol != holdout.protocol:
        return {}
    return {kind: measured.model for kind, measured in published.holdout.kinds.items() if kind in holdout.kinds}


def published_before(run: Run, *, runs: RunsTable) -> str:
    """The run that consumers see beside this one; empty where there is none. A run is not compared with itself."""
    pointer = runs.current(run.campaign)
    if pointer is None:
        return ""
    return pointer.run_id if pointer.run_id != run.run_id else pointer.previous_run_id


def read_metrics(run_id: str, *, store: ObjectStore) -> RunMetrics | None:
    """`metrics.json` of a run; None without a run, or where the bucket's lifecycle has taken it."""
    if not run_id:
        return None
    try:
        return msgspec.json.decode(store.read(RunKeys(run_id).metrics), type=RunMetrics)
    except MissingObjectError:
        return None
