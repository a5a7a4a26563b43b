"""Train: the dataset in, the model and its figures on held-out interactions out (Batch: numba and SciPy).

Two fits: one that never sees the held-out part, to be measured; one on everything, to be published, which goes on from
the first. Where the campaign wants it, each goes on from its like in the published run. The state after each epoch, the
first model and its figures are kept in `checkpoint/`, so that a reclaimed job goes on where it stood.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from shortlist.adopt import Vocabularies, adopt
from shortlist.config import Campaign, Model
from shortlist.contracts.arrays import npy_bytes
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.manifests import Manifest, Output, digest
from shortlist.contracts.metrics import HoldoutMetrics
from shortlist.contracts.payloads import StageRequest
from shortlist.dataset.dataset import Dataset
from shortlist.fm.history import Interactions
from shortlist.fm.model import FactorModel
from shortlist.fm.progress import EpochReport
from shortlist.fm.repeat import RepeatModel
from shortlist.measurement import measured
from shortlist.ports import Clock, ObjectStore, Progress, RunsTable
from shortlist.recommender import Recommender, goes_on, latent, learn
from shortlist.stages.checkpoint import CheckpointFolder, checkpoint_folder, files_below
from shortlist.stages.course import CourseNotes
from shortlist.stages.resume import Work, read_campaign, read_manifest, run_once
from shortlist.stages.reuse import reused_run
from shortlist.stages.warm_start import MEASURED as MEASURED_MODEL
from shortlist.stages.warm_start import Predecessor, WarmStart, predecessor, warm_start
from shortlist.training_data import TrainingData

HISTORY: Final = ("indptr", "item_rows", "repeat", "weight", "last_seen", "days")
"""Arrays below `model/history/`: the seen items of all users as contracts.arrays.UserShard describes them."""
MEASURED: Final = "measured.json"
"""In the checkpoint: the figures of the first fit."""
COURSE: Final = "course.json"
"""In the checkpoint: how each epoch went."""


def train(
    request: StageRequest,
    *,
    store: ObjectStore,
    clock: Clock,
    runs: RunsTable,
    progress: Progress = lambda event, figures: None,
) -> tuple[Manifest, bool]:
    """Leave `model/` in the run.

    Raises:
        ContractError: `reuse_model` names a run that has no model, or `latest` where nothing is published.
    """
    run = request.run
    campaign = read_campaign(run.run_id, store=store)
    model_run = reused_run(run, store=store, runs=runs)
    before = Predecessor() if model_run else predecessor(run, campaign, store=store, runs=runs)
    inputs = {
        "dataset": read_manifest(run.run_id, "Prepare", store=store).digest(),
        "model": msgspec.to_builtins(campaign.model),
        "evaluation": msgspec.to_builtins(campaign.evaluation),
        "feedback": msgspec.to_builtins(campaign.feedback),
        "x": campaign.x,
        "model_run": model_run,
        "predecessor": before.run_id,
    }

    def work() -> Work:
        with (
            tempfile.TemporaryDirectory() as folder,
            checkpoint_folder(Path(folder), run.run_id, store=store, vouching={MEASURED}) as checkpoint,
        ):
            training = _Training(run.run_id, campaign, digest(inputs), checkpoint, store, progress)
            return training.adopt(model_run) if model_run else training.fit(before.run_id)

    return run_once("Train", run, inputs, work, store=store, clock=clock)


class _Training:
    """The fits of one run, from the bucket into the bucket."""

    def __init__(
        self,
        run_id: str,
        campaign: Campaign,
        fingerprint: str,
        checkpoint: CheckpointFolder,
        store: ObjectStore,
        progress: Progress,
    ) -> None:
        self._run_id = run_id
        self._keys = RunKeys(run_id)
        self._campaign = campaign
        self._fingerprint = fingerprint
        self._folder = checkpoint.path
        self._store = store
        self._progress = progress
        self._checkpoint = checkpoint
        self._dataset = Dataset.from_files(lambda name: store.read(self._keys.dataset(name)))
        self._course = CourseNotes(self._folder / COURSE, fingerprint)
        self._data = TrainingData.of(self._dataset, campaign.feedback.click_weight)

    def fit(self, before: str) -> Work:
        """Measure, then train on everything; both go on from the models of the run `before`, where one is named."""
        self._checkpoint.fetch()
        warm = warm_start(before, self._dataset, store=self._store) if before else None
        found, repeat = self._measured(warm)
        start = warm.everything if warm else None
        if start is None and goes_on(len(self._data.known), len(self._data.events)):
            start = FactorModel.load(self._folder / MEASURED_MODEL)
        settings = msgspec.structs.replace(self._campaign.model, epochs=found.epochs)
        recommender = self._learn("everything", self._data.events, self._data.clicks, settings, repeat, start)
        metrics = msgspec.structs.replace(found.metrics, epochs=self._course.epochs)
        return self._save(recommender, metrics, self._run_id)

    def adopt(self, model_run: str) -> Work:
        """Take the model and the figures of another run; users' own vectors follow their newest purchases."""
        theirs = RunKeys(model_run)
        adopted = self._folder / "adopted"
        for entry in self._store.list(theirs.model("")):
            self._store.download(entry.key, adopted / entry.key.removeprefix(theirs.model("")))
        metrics = msgspec.json.decode(self._store.read(theirs.holdout_metrics), type=HoldoutMetrics)
        vocabularies = Vocabularies.from_files(lambda name: self._store.read(theirs.dataset(name)))
        recommender = adopt(
            Recommender.load(adopted),
            vocabularies.matches(Vocabularies.of(self._dataset)),
            self._data.events,
            self._data.shop,
        )
        return self._save(recommender, metrics, model_run)

    def _measured(self, warm: WarmStart | None) -> tuple["_Measured", RepeatModel]:
        """Figures on the held-out interactions, the epochs it took, and the repeat model learned without them."""
        note, folder = self._folder / MEASURED, self._folder / "repeat"
        found = msgspec.json.decode(note.read_bytes(), type=_Measured) if note.exists() else None
        if found is not None and found.fingerprint == self._fingerprint:
            self._progress("measurement_resumed", {})
            return found, RepeatModel.load(folder)
        data = self._data
        repeat, start = (warm.repeat, warm.measured) if warm else (None, None)
        settings = self._campaign.model
        recommender = self._learn("measurement", data.known, data.clicks_before_later(), settings, repeat, start)
        split = str(read_manifest(self._run_id, "Prepare", store=self._store).summary["split"])
        metrics = measured(recommender, data, self._campaign, split)
        self._progress("measured", {kind: figures.model.recall for kind, figures in metrics.kinds.items()})
        recommender.model.save(self._folder / MEASURED_MODEL)
        recommender.repeat.save(folder)
        done = _Measured(self._fingerprint, metrics, recommender.epochs)
        note.write_bytes(msgspec.json.encode(done))
        self._checkpoint.push()
        return done, recommender.repeat

    def _learn(
        self,
        purpose: str,
        events: Interactions,
        clicks: Interactions | None,
        settings: Model,
        repeat: RepeatModel | None,
        start_from: FactorModel | None,
    ) -> Recommender:
        def on_epoch(fit: str, report: EpochReport) -> None:
            done = self._course.note(purpose, fit, report)
            self._checkpoint.push()
            self._progress("epoch_done", done | {"of": report.epochs, "seconds": report.seconds})

        return learn(
            events,
            self._data.shop,
            settings,
            weak=clicks,
            repeat=repeat,
            start_from=start_from,
            on_epoch=on_epoch,
            checkpoint=self._folder / purpose,
        )

    def _save(self, recommender: Recommender, metrics: HoldoutMetrics, model_run: str) -> Work:
        past = recommender.past(self._data.events, self._data.shop)
        arrays: dict[str, NDArray[Any]] = {
            "indptr": past.indptr,
            "item_rows": past.item_rows,
            "repeat": recommender.pair_repeat(past, self._data.shop, *latent(recommender.model, self._data.shop)),
            "weight": past.weight,
            "last_seen": past.last_seen,
            "days": np.diff(past.day_start).astype(np.int32),
        }
        outputs: dict[str, Output] = {}
        for name in HISTORY:
            key = self._keys.model(f"history/{name}.npy")
            outputs[key] = self._store.write(key, npy_bytes(arrays[name]))
        folder = self._folder / "model"
        recommender.save(folder)
        if self._campaign.model.from_scratch_every > 1 and (self._folder / MEASURED_MODEL).exists():
            shutil.copytree(self._folder / MEASURED_MODEL, folder / MEASURED_MODEL)
        for path in files_below(folder):
            key = self._keys.model(path.relative_to(folder).as_posix())
            outputs[key] = self._store.upload(path, key)
        key = self._keys.holdout_metrics
        outputs[key] = self._store.write(key, msgspec.json.encode(metrics))
        self._checkpoint.drop()
        figures = metrics.kinds[self._campaign.lists[0]].model
        return Work(outputs, {"model_run": model_run, "recall": figures.recall, "ndcg": figures.ndcg})


class _Measured(msgspec.Struct, frozen=True):
    """The figures of the first fit, how many epochs one from scratch has, and what they were made from."""

    fingerprint: str
    metrics: HoldoutMetrics
    epochs: int
