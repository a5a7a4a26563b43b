"""A run in; the published run whose models its training goes on from, pinned, and these models in its rows, out."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from shortlist.adopt import Vocabularies, moved
from shortlist.config import Campaign
from shortlist.contracts.inputs import PinnedRun
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.payloads import Run
from shortlist.dataset.dataset import Dataset
from shortlist.errors import MissingObjectError
from shortlist.fm.model import FactorModel
from shortlist.fm.repeat import RepeatModel
from shortlist.fm.storage import MANIFEST
from shortlist.ports import ObjectStore, RunsTable
from shortlist.stages.evaluate import published_before
from shortlist.stages.resume import read_campaign

MEASURED: Final = "measured/"
"""Below `model/`: the model that was measured. It never saw the held-out interactions, nor any that came after them."""


class Predecessor(msgspec.Struct, frozen=True):
    """`model/predecessor.json`: what a run goes on from, as its first execution found it.

    Attributes:
        run_id: empty: nothing, the run trains from scratch.
        generation: runs since the one that trained from scratch, which is 0.
    """

    run_id: str = ""
    generation: int = 0


@dataclass(frozen=True, slots=True)
class WarmStart:
    """Models of the predecessor in the rows of this run.

    Attributes:
        measured: trained without its held-out part.
        everything: trained on all it had.
        repeat: its repeat-purchase term.
    """

    measured: FactorModel
    everything: FactorModel
    repeat: RepeatModel


def predecessor(run: Run, campaign: Campaign, *, store: ObjectStore, runs: RunsTable) -> Predecessor:
    """The published run of the campaign, unless it is time to train from scratch or it is not of this run's kind."""
    if campaign.model.from_scratch_every == 1:
        return Predecessor()
    key = RunKeys(run.run_id).predecessor
    found = _find(run, campaign, published_before(run, runs=runs), store)
    if store.write_if_absent(key, msgspec.json.encode(found)):
        return found
    return _read(run.run_id, store)


def warm_start(run_id: str, dataset: Dataset, *, store: ObjectStore) -> WarmStart:
    """The models of the run `run_id` in the rows of `dataset`; new rows are what their features say."""
    keys = RunKeys(run_id)
    vocabularies = Vocabularies.from_files(lambda name: store.read(keys.dataset(name)))
    matches = vocabularies.matches(Vocabularies.of(dataset))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for part in (MEASURED, "fm/", "repeat/"):
            for entry in store.list(keys.model(part)):
                store.download(entry.key, folder / entry.key.removeprefix(keys.model("")))
        return WarmStart(
            moved(FactorModel.load(folder / MEASURED), matches),
            moved(FactorModel.load(folder / "fm"), matches),
            RepeatModel.load(folder / "repeat"),
        )


def _find(run: Run, campaign: Campaign, candidate: str, store: ObjectStore) -> Predecessor:
    if not candidate or not store.exists(RunKeys(candidate).model(f"{MEASURED}{MANIFEST}")):
        return Predecessor()
    try:
        theirs = read_campaign(candidate, store=store)
        fixed = [msgspec.json.decode(store.read(RunKeys(of).run), type=PinnedRun) for of in (candidate, run.run_id)]
    except MissingObjectError:  # taken by the bucket's lifecycle
        return Predecessor()
    older = fixed[0].as_of <= fixed[1].as_of
    generation = _read(candidate, store).generation + 1
    if not older or generation >= campaign.model.from_scratch_every or _kind(theirs) != _kind(campaign):
        return Predecessor()
    return Predecessor(candidate, generation)


def _read(run_id: str, store: ObjectStore) -> Predecessor:
    try:
        return msgspec.json.decode(store.read(RunKeys(run_id).predecessor), type=Predecessor)
    except MissingObjectError:
        return Predecessor()


def _kind(campaign: Campaign) -> Mapping[str, Any]:
    """What two runs must share: with another split, a model that was measured may have seen what is held out now."""
    model = msgspec.structs.replace(campaign.model, from_scratch_every=1, max_train_seconds=None)
    return {
        "model": msgspec.to_builtins(model),
        "input": msgspec.to_builtins(campaign.input),
        "evaluation": msgspec.to_builtins(campaign.evaluation),
        "feedback": msgspec.to_builtins(campaign.feedback),
    }
