"""A run in; the run whose model it takes over, as its first execution found it, out."""

from typing import Final

import msgspec

from shortlist.contracts.keys import RunKeys
from shortlist.contracts.payloads import Run
from shortlist.errors import ContractError
from shortlist.ports import ObjectStore, RunsTable

LATEST: Final = "latest"


class Reused(msgspec.Struct, frozen=True):
    """`model/reused.json`: whose model `latest` was when the run's first execution asked."""

    run_id: str


def reused_run(run: Run, *, store: ObjectStore, runs: RunsTable) -> str:
    """The run whose model is taken over, empty where this run trains its own.

    Raises:
        ContractError: `reuse_model` is `latest`, and nothing is published.
    """
    model_run = _latest(run, store=store, runs=runs) if run.reuse_model == LATEST else run.reuse_model
    return "" if model_run == run.run_id else model_run


def _latest(run: Run, *, store: ObjectStore, runs: RunsTable) -> str:
    """Pinned: another run may have been published when a run is resumed."""
    key = RunKeys(run.run_id).reused
    if not store.exists(key):
        current = runs.current(run.campaign)
        if current is None:
            raise ContractError(
                f"reuse_model is latest, but {run.campaign} has no published run. Cure: leave reuse_model out once."
            )
        store.write_if_absent(key, msgspec.json.encode(Reused(current.run_id)))
    return msgspec.json.decode(store.read(key), type=Reused).run_id
