"""Prepare: the shop's tables in; the dataset, the recipients and the rejected rows of the run out (Batch: pyarrow)."""

import hashlib
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np

from shortlist.campaigns import FoundCampaign, load_campaign
from shortlist.config import Campaign
from shortlist.contracts.arrays import Withheld
from shortlist.contracts.keys import INPUT_TABLES, RunKeys, input_prefix
from shortlist.contracts.manifests import Manifest, Output
from shortlist.contracts.payloads import Run, StageRequest
from shortlist.contracts.records import Response, RunRecord
from shortlist.contracts.summaries import PrepareSummary, RejectReason
from shortlist.dataset.build import Built, build
from shortlist.dataset.intake import Intake, take_in
from shortlist.dataset.recipients import Audience, audience, recipient_parts
from shortlist.dataset.withheld import NamedPairs, withhold
from shortlist.errors import MissingObjectError
from shortlist.ports import Clock, ObjectStore, Progress, Responses, RunsTable, StoredObject
from shortlist.responses import of_people
from shortlist.stages.attribution import MAILINGS, attribute
from shortlist.stages.mailings import Mailed, mailings_before, shown
from shortlist.stages.pin import pin
from shortlist.stages.resume import Work, run_once


def prepare(
    request: StageRequest,
    *,
    store: ObjectStore,
    clock: Clock,
    shipped_campaigns: Path,
    runs: RunsTable | None = None,
    responses: Responses | None = None,
    progress: Progress = lambda event, figures: None,
) -> tuple[Manifest, bool]:
    """Leave `dataset/`, `recipients/`, `rejected/` and the resolved campaign in the run.

    Args:
        shipped_campaigns: folder of the campaign files that were deployed.
        runs: where the run is noted as running, and earlier mailings are found; None: nowhere.
        responses: to earlier mailings; None: there are none.

    Raises:
        DatasetError: the input cannot be used; names the file, the line and the cure.
        ContractError: the campaign file or the request cannot be used.
    """
    run = pin(request.run, store=store)
    if runs is not None:
        _note_running(run, runs=runs, clock=clock)
    found = load_campaign(run.campaign, store=store, shipped=shipped_campaigns)
    store.write(RunKeys(run.run_id).campaign, msgspec.json.encode(found.campaign))
    objects = {table: _objects(table, found.campaign, store) for table in INPUT_TABLES}
    said = _pinned_responses(run, responses, store=store)
    most = found.campaign.rules.rest_mailed_runs
    mailings = mailings_before(run, most, runs=runs, store=store) if runs is not None else []
    inputs = {
        "campaign": msgspec.to_builtins(found.campaign),
        "objects": msgspec.to_builtins(objects),
        "as_of": run.as_of,
        "responses": hashlib.sha256(said).hexdigest(),
        "mailings": mailings,
    }

    def work() -> Work:
        with tempfile.TemporaryDirectory() as folder:
            preparation = _Preparation(run, found, objects, said, Path(folder), store, progress)
            earlier = mailings_before(run, MAILINGS, runs=runs, store=store) if runs is not None else []
            return preparation.work(NamedPairs.of(shown(mailings, store=store)), earlier)

    return run_once("Prepare", run, inputs, work, store=store, clock=clock)


class _Preparation:
    """One pass over the input of a run."""

    def __init__(
        self,
        run: Run,
        found: FoundCampaign,
        objects: Mapping[str, Sequence[StoredObject]],
        said: bytes,
        folder: Path,
        store: ObjectStore,
        progress: Progress,
    ) -> None:
        self._run = run
        self._keys = RunKeys(run.run_id)
        self._as_of = int(datetime.fromisoformat(run.as_of).timestamp())
        self._found = found
        self._campaign = found.campaign
        self._objects = objects
        self._responses = list(of_people(msgspec.json.Decoder(Response).decode_lines(said)))
        self._folder = folder
        self._store = store
        self._progress = progress
        self._outputs: dict[str, Output] = {}

    def work(self, rested: NamedPairs, earlier: Sequence[Mailed]) -> Work:
        """Args: `rested`, what recent mailings showed to whom; `earlier`, mailings of which purchases tell."""
        with self._timed("input_downloaded"):
            files = {table: self._downloaded(table) for table in INPUT_TABLES}
        with self._timed("input_read"):
            intake = take_in(files, self._campaign.input, self._as_of, self._progress)
        reasons = self._write_rejected(intake)
        with self._timed("dataset_built"):
            built = build(
                intake.purchases,
                intake.items,
                intake.users,
                self._campaign.evaluation,
                offers=intake.offers,
                responses=self._responses,
                as_of=self._as_of,
            )
            withheld = _withheld(intake, built, rested)
        with self._timed("mailings_attributed"):
            self._attribute(built, earlier)
        with self._timed("recipients_chosen"):
            addressed = audience(built.users)
        with self._timed("dataset_written"):
            for name, body in built.dataset.files():
                self._write(self._keys.dataset(name), body)
            self._write(self._keys.dataset("withheld.npz"), withheld.to_bytes())
            self._write_recipients(addressed, len(built.dataset.user_ids))
        withheld_counts = {
            "blocks": sum(map(len, intake.blocks.values())),
            "rested": len(rested),
            "withheld": len(withheld.item_rows),
        }
        return Work(self._outputs, self._summary(intake, reasons, built, addressed) | withheld_counts)

    def _attribute(self, built: Built, earlier: Sequence[Mailed]) -> None:
        """Leave what came of the campaign's earlier mailings."""
        days = self._campaign.mail.attribution_days if self._campaign.mail else 0.0
        found = attribute(self._run, days, built, self._responses, earlier, store=self._store) if days else []
        self._write(self._keys.attribution, msgspec.json.encode(found))

    def _downloaded(self, table: str) -> list[tuple[Path, str]]:
        files = [(self._folder / table / str(number), entry.key) for number, entry in enumerate(self._objects[table])]
        for path, key in files:
            self._store.download(key, path)
        return files

    def _write_rejected(self, intake: Intake) -> list[RejectReason]:
        """Keep the bad rows of every table, then refuse the run where they are too many; worst reasons first."""
        reasons: list[RejectReason] = []
        worst: dict[str, tuple[RejectReason, ...]] = {}
        for name, table in intake.tables.items():
            path = self._folder / f"rejected-{name}.jsonl"
            with path.open("wb") as out:
                worst[name] = table.rejects.write(table.sources, out)
            key = self._keys.rejected(name)
            self._outputs[key] = self._store.upload(path, key)
            reasons += worst[name]
        self._store.delete(self._keys.rejected(name) for name in INPUT_TABLES if name not in intake.tables)
        for name, table in intake.tables.items():
            table.rejects.check_share(worst[name], self._campaign.input.max_rejected_share, self._keys.rejected(name))
        return sorted(reasons, key=lambda reason: -reason.rows)

    def _write_recipients(self, addressed: Audience, n_users: int) -> None:
        """Write the parts, then remove those that an earlier execution left and this one did not write.

        A campaign without `mail` has none: the SendEmails map runs over what lies there.
        """
        shards = self._campaign.shards
        recipients = addressed.recipients if self._campaign.mail else ()
        for shard, part, body in recipient_parts(recipients, n_users, shards.users, shards.recipients):
            self._write(self._keys.recipient_shard(shard, part), body)
        there = [entry.key for entry in self._store.list(self._keys.recipient_shards)]
        self._store.delete(key for key in there if key not in self._outputs)

    def _write(self, key: str, body: bytes) -> None:
        self._outputs[key] = self._store.write(key, body)

    def _summary(
        self, intake: Intake, reasons: Sequence[RejectReason], built: Built, addressed: Audience
    ) -> dict[str, object]:
        dataset = built.dataset
        summary = PrepareSummary(
            users=len(dataset.user_ids),
            items=len(dataset.item_ids),
            interactions=len(dataset.interactions),
            rejected=sum(table.rejects.rejected for table in intake.tables.values()),
            reject_reasons=tuple(reasons),
            mailable=len(addressed.recipients),
        )
        counts: dict[str, object] = msgspec.json.decode(msgspec.json.encode(summary))
        return counts | {
            "no_address": addressed.no_address,
            "invalid_address": addressed.invalid_address,
            "unsubscribed": addressed.unsubscribed,
            "unknown_items": built.unknown_items if "items" in intake.tables else 0,
            "unknown_users": built.unknown_users if "users" in intake.tables else 0,
            "untitled_items": int(np.count_nonzero(np.diff(dataset.catalogue.title.offsets) == 0)),
            "superseded_items": intake.items.superseded,
            "superseded_users": intake.users.superseded,
            "ignored": intake.purchases.ignored,
            "responses": len(dataset.responses),
            "held_out": int(np.count_nonzero(dataset.interactions.held_out)),
            "split": built.split,
            "user_features": len(dataset.user_features.names),
            "item_features": len(dataset.item_features.names),
            "campaign_source": self._found.source,
        }

    @contextmanager
    def _timed(self, event: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._progress(event, {"seconds": round(time.perf_counter() - started, 3)})


def _withheld(intake: Intake, built: Built, rested: NamedPairs) -> Withheld:
    catalogue = built.dataset.catalogue
    return withhold(
        (intake.blocks["item_id"], rested),
        ((intake.blocks["category"], catalogue.category), (intake.blocks["brand"], catalogue.brand)),
        built.dataset.responses,
        built.users.ids,
        built.items.ids,
    )


def _objects(table: str, campaign: Campaign, store: ObjectStore) -> list[StoredObject]:
    """The files of a table in the order of their keys, without folders and what tools leave (`_SUCCESS`, `.crc`)."""
    prefix = input_prefix(campaign.input.prefix, table)
    return [entry for entry in store.list(prefix) if not _name(entry.key).startswith(("_", ".")) and _name(entry.key)]


def _pinned_responses(run: Run, responses: Responses | None, *, store: ObjectStore) -> bytes:
    """Lines of the responses that stood when the run first asked: later ones are for the next run."""
    key = RunKeys(run.run_id).responses
    try:
        return store.read(key)
    except MissingObjectError:
        found = sorted(responses.all() if responses else (), key=msgspec.structs.astuple)
        store.write_if_absent(key, msgspec.json.Encoder().encode_lines(found))
        return store.read(key)


def _name(key: str) -> str:
    return key.rpartition("/")[2]


def _note_running(run: Run, *, runs: RunsTable, clock: Clock) -> None:
    """Note the run as running; what an earlier execution reported stays until this one reports."""
    now = clock.now().astimezone(UTC).isoformat(timespec="seconds")
    earlier = runs.get(run.campaign, run.run_id)
    if earlier is None:
        record = RunRecord(
            campaign=run.campaign,
            run_id=run.run_id,
            status="running",
            started_at=run.started_at or now,
            as_of=run.as_of,
            execution=run.execution,
        )
    else:
        record = msgspec.structs.replace(earlier, status="running", finished_at="", message="", execution=run.execution)
    runs.put(record)
