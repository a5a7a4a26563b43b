"""Stored runs and lists come in; what was asked of them goes out, and the pointer moves where that was asked."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

import shortlist
from shortlist.config import Campaign
from shortlist.contracts.arrays import Catalogue, StringTable
from shortlist.contracts.keys import CAMPAIGNS_PREFIX, RunKeys
from shortlist.contracts.lists import ListedItem, ListKind, UserLists
from shortlist.contracts.records import CurrentRun, RunRecord, StoredItem, StoredLists
from shortlist.contracts.report import Report
from shortlist.errors import ContractError, MissingObjectError
from shortlist.ports import ListsTable, ObjectStore, RunsTable

SHIPPED_CAMPAIGNS: Final = Path(shortlist.__file__).resolve().parent.parent / "campaigns"
"""The campaign files that are deployed."""


def campaigns(*, store: ObjectStore, shipped: Path) -> list[str]:
    """Names of the campaigns: those in the bucket and those in the folder of campaign files that are deployed."""
    in_bucket = (entry.key.removeprefix(CAMPAIGNS_PREFIX) for entry in store.list(CAMPAIGNS_PREFIX))
    names = {name.removesuffix(".yaml") for name in in_bucket if name.endswith(".yaml")}
    return sorted(names | {path.stem for path in shipped.glob("*.yaml")})


def check_campaign(name: str, known: Sequence[str], *, runs: RunsTable) -> str:
    """The name, where there is such a campaign, with a file or with runs: an order to another one would stop nobody.

    Raises:
        ContractError: there is none; names those there are.
    """
    if name not in known and next(iter(runs.list(name)), None) is None:
        raise ContractError(f"there is no campaign {name!r}. Cure: one of {', '.join(known)}.")
    return name


def published_campaign(wanted: str, names: Sequence[str], *, runs: RunsTable) -> CurrentRun:
    """The pointer of the campaign that is wanted, or of the only one that has published.

    Raises:
        ContractError: there is none, or more than one to choose from.
    """
    candidates = [wanted] if wanted else names
    pointers = [pointer for name in candidates if (pointer := runs.current(name)) is not None]
    if not pointers:
        raise ContractError(f"no run of {wanted or 'any campaign'} is published. `shortlist runs` lists the runs.")
    if len(pointers) > 1:
        known = ", ".join(pointer.campaign for pointer in pointers)
        raise ContractError(f"several campaigns have published lists: {known}. Choose one with `--campaign`.")
    return pointers[0]


def find_lists(user_id: str, pointer: CurrentRun, *, lists: ListsTable) -> StoredLists:
    """Raises ContractError where the published run has no lists of that user."""
    found = lists.get(user_id, pointer.run_id)
    if found is None:
        raise ContractError(
            f"run {pointer.run_id} of {pointer.campaign} has no lists of user {user_id!r}. "
            "Ids are as they stand in the users table, upper and lower case told apart."
        )
    return found


def choose_list(
    found: StoredLists, wanted: ListKind | None, *, store: ObjectStore
) -> tuple[ListKind, tuple[StoredItem, ...]]:
    """One list of a user: the kind that is wanted, or the campaign's first.

    Raises:
        ContractError: the campaign does not make that list.
    """
    raw = store.read(RunKeys(found.run_id).campaign)
    first = msgspec.json.decode(raw, type=Campaign).lists[0]
    by_kind = {first: found.items, **found.more}
    kind = wanted or first
    if kind not in by_kind:
        raise ContractError(f"this campaign makes no list {kind}; it makes {', '.join(by_kind)}.")
    return kind, by_kind[kind]


def with_titles(run_id: str, items: Sequence[StoredItem], *, store: ObjectStore) -> tuple[ListedItem, ...]:
    """Stored places with their titles, from the catalogue that the run saw; untitled once the bucket has dropped it."""
    keys, wanted = RunKeys(run_id), {item.item_id for item in items}
    titles: dict[str, str] = {}
    try:
        ids = StringTable.from_bytes(store.read(keys.dataset("item_ids.npz")))
        catalogue = Catalogue.from_bytes(store.read(keys.dataset("items.npz")))
    except MissingObjectError:
        pass
    else:
        titles = {item_id: catalogue.title[row] for row, item_id in enumerate(ids.to_list()) if item_id in wanted}
    return tuple(
        ListedItem(item_id=i.item_id, score=i.score, reason=i.reason, title=titles.get(i.item_id, "")) for i in items
    )


def read_report(record: RunRecord) -> Report | None:
    """The report of a run that has ended; None where it has none, or one of an older version."""
    if not record.report:
        return None
    try:
        return msgspec.json.decode(record.report, type=Report)
    except msgspec.ValidationError:
        return None


def publish(
    campaign: str, run_id: str, *, store: ObjectStore, runs: RunsTable, lists: ListsTable, now: datetime
) -> CurrentRun | None:
    """Let customers see the lists of an earlier run again.

    Returns:
        The pointer that was replaced; None where there was none.

    Raises:
        ContractError: the run's lists are not complete, or have expired.
        PublishError: another run was published meanwhile.
    """
    keys = RunKeys(run_id)
    if not store.exists(keys.manifest("Publish")):
        raise ContractError(
            f"run {run_id} was never published, so its lists may not be complete. Resume it: shortlist rerun {run_id}"
        )
    if lists.get(_first_user(keys, store=store), run_id) is None:
        raise ContractError(
            f"the lists of run {run_id} have expired (`keep_days`). Make them anew: "
            f"shortlist rerun {run_id} --from Recommend --no-mail"
        )
    standing = runs.current(campaign)
    if standing is None or standing.run_id != run_id:
        runs.move_current(
            CurrentRun(
                campaign=campaign,
                run_id=run_id,
                published_at=now.astimezone(UTC).isoformat(timespec="seconds"),
                previous_run_id=standing.run_id if standing else "",
            )
        )
    return standing


def _first_user(keys: RunKeys, *, store: ObjectStore) -> str:
    """A user whose lists the run has stored: all of a run's lists expire together."""
    for shard in store.list(keys.topx_prefix):
        for line in store.read(shard.key).splitlines():
            return msgspec.json.decode(line, type=UserLists).user_id
    raise ContractError(f"run {keys.run_id} has no lists. Choose another run: `shortlist runs`.")
