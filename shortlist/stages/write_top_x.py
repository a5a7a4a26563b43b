"""WriteTopX: `topx/<shard>.jsonl` in; an item a user in the recommendations table and a receipt out. Needs no numpy."""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from shortlist.contracts.keys import RunKeys, shard_of
from shortlist.contracts.lists import ListedItem, ListKind, Reason, UserLists
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.payloads import Run, ShardRequest
from shortlist.contracts.records import StoredItem, StoredLists
from shortlist.contracts.summaries import WriteTopXSummary
from shortlist.errors import ContractError
from shortlist.ports import Clock, ListsTable, ObjectStore
from shortlist.stages.artifacts import output_of
from shortlist.stages.pin import pinned
from shortlist.stages.resume import Work, read_campaign, read_manifest, run_once

SUBJECT_CHARS = 32
"""A reason's subject is cut to so much: with 50 places an item stays under 4 KB, the unit of reading."""


def write_top_x(request: ShardRequest, *, store: ObjectStore, lists: ListsTable, clock: Clock) -> tuple[Manifest, bool]:
    """Store the lists of one user shard. Repeating it writes the same items again.

    Raises:
        MissingObjectError: the shard has not been ranked.
        ContractError: the lists are not those that Rank recorded.
        TransientError: the table throttles for longer than is worth waiting for.
    """
    run = pinned(request.run, store=store)
    shard = shard_of(request.key)
    key = RunKeys(run.run_id).topx(shard)
    campaign = read_campaign(run.run_id, store=store)
    ranked = output_of(read_manifest(run.run_id, "Rank", store=store, shard=shard), key)
    trained = read_manifest(run.run_id, "Train", store=store)
    model_run = str(trained.summary.get("model_run") or run.run_id)
    inputs = {
        "lists": ranked.sha256,
        "kinds": list(campaign.lists),
        "keep_days": campaign.keep_days,
        "as_of": run.as_of,
        "started_at": run.started_at,
        "model_run": model_run,
    }

    def work() -> Work:
        body = store.read(key)
        if hashlib.sha256(body).hexdigest() != ranked.sha256:
            raise ContractError(f"{key} is not what Rank wrote. Re-run the run from Recommend.")
        users = msgspec.json.Decoder(UserLists).decode_lines(body)
        written = lists.put(_stored(users, campaign.lists, run, model_run, campaign.keep_days))
        receipt: dict[str, Any] = msgspec.to_builtins(WriteTopXSummary(lists_written=written))
        return Work({}, receipt | {"topx_sha256": ranked.sha256})

    return run_once("WriteTopX", run, inputs, work, store=store, clock=clock, shard=shard)


def _stored(
    users: Sequence[UserLists], kinds: Sequence[ListKind], run: Run, model_run: str, keep_days: int
) -> Iterator[StoredLists]:
    """One item a user; the campaign's first list is `items`."""
    expires_at = int((datetime.fromisoformat(run.started_at) + timedelta(days=keep_days)).timestamp())
    for user in users:
        yield StoredLists(
            user_id=user.user_id,
            run_id=run.run_id,
            items=tuple(map(_place, user.lists[kinds[0]])),
            more={kind: tuple(map(_place, user.lists[kind])) for kind in kinds[1:]},
            generated_at=run.as_of,
            model_run=model_run,
            expires_at=expires_at,
        )


def _place(item: ListedItem) -> StoredItem:
    subject = item.reason.subject
    if len(subject) > SUBJECT_CHARS:
        subject = subject[: SUBJECT_CHARS - 1] + "…"
    return StoredItem(item.item_id, item.score, Reason(item.reason.kind, subject))
