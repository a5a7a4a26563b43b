"""Rank: a line for every user, the same bytes on every run, and made anew when what it depends on changes."""

import csv
import itertools

import msgspec
import pytest
from msgspec.structs import replace

from shortlist.contracts.keys import RunKeys
from shortlist.contracts.lists import LIST_KINDS, ListedItem, Reason, UserLists
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.payloads import ShardRequest
from shortlist.errors import ContractError, MissingObjectError
from shortlist.stages import artifacts
from shortlist.stages.build_index import build_index
from shortlist.stages.rank import rank
from shortlist.stages.repackage import repackage
from tests.fakes import FixedClock, MemoryStore
from tests.trained_run import (
    CAMPAIGN,
    GREEDY_USER,
    N_ITEMS,
    N_USERS,
    NEW_USER,
    RUN,
    X,
    indexed_run,
    item_id,
    ranked_run,
    request,
    requests,
    user_id,
    with_rules,
    write,
)

KEYS = RunKeys(RUN.run_id)


@pytest.fixture(autouse=True)
def cold_process():
    """No copies of an earlier test's items."""
    artifacts.forget_all_but(())


def lines_of(store, shard="00000"):
    return msgspec.json.Decoder(UserLists).decode_lines(store.read(KEYS.topx(shard)))


def rank_all(store):
    return [rank(shard, store=store, clock=FixedClock()) for shard in requests(store)]


def topx(store):
    return {entry.key: store.read(entry.key) for entry in store.list(KEYS.topx_prefix)}


def test_every_user_has_a_line_with_every_kind_of_list():
    store = ranked_run()

    users = [user for shard in ("00000", "00001", "00002") for user in lines_of(store, shard)]
    assert [user.user_id for user in users] == [user_id(row) for row in range(N_USERS)]
    assert [user.user_row for user in users] == list(range(N_USERS))
    assert all(tuple(user.lists) == CAMPAIGN.lists for user in users)


def test_lists_are_full_distinct_and_in_the_order_of_their_scores():
    for user in lines_of(ranked_run()):
        for kind, places in user.lists.items():
            ids = [place.item_id for place in places]
            scores = [place.score for place in places]
            assert len(set(ids)) == len(ids)
            assert scores == sorted(scores, reverse=True)
            if kind == "everything" or (kind == "new_for_you" and user.user_row != GREEDY_USER):
                assert len(ids) == X


def test_a_place_says_what_the_catalogue_says():
    first = lines_of(ranked_run())[0].lists["everything"][0]

    row = int(first.item_id.removeprefix("item-"))
    assert first == ListedItem(
        item_id=item_id(row),
        score=first.score,
        reason=first.reason,
        title=f"Product {row}",
        price=1 + row / 4 if row else None,
        currency="EUR",
        url=f"https://shop.example.com/{row}",
        category=("Dairy", "Bread", "Fruit", "")[row % 4],
        brand=f"Brand {row % 7}",
    )
    assert first.score == float(f"{first.score:.6g}")


def test_lists_of_users_of_whom_nothing_is_known_are_marked():
    lists = lines_of(ranked_run())[NEW_USER].lists

    for kind in ("everything", "new_for_you"):
        assert all(place.filled and place.reason == Reason("popular") for place in lists[kind])
    assert lists["buy_again"] == ()


def test_the_manifest_counts_what_was_listed():
    store = indexed_run()

    manifest, skipped = rank_all(store)[0]

    users = lines_of(store)
    places = [place for user in users for places in user.lists.values() for place in places]
    kinds = [place.reason.kind for place in places]
    assert not skipped
    assert manifest.summary["users"] == len(users) == 30
    assert manifest.summary["listed"] == len(places)
    assert manifest.summary["filled"] == sum(place.filled for place in places) == 2 * X
    assert manifest.summary["reasons"] == {kind: kinds.count(kind) for kind in sorted(set(kinds))}
    assert manifest.summary["short"] == {
        kind: sum(len(user.lists[kind]) < X for user in users) for kind in CAMPAIGN.lists
    }


def test_a_run_leaves_its_lists_as_csv_where_the_campaign_says_so():
    assert not ranked_run().exists(KEYS.export("00000"))

    store = ranked_run(replace(CAMPAIGN, export_csv=True))

    rows = list(csv.DictReader(store.read(KEYS.export("00001")).decode().splitlines()))
    places = [
        (user.user_id, kind, str(rank), place.item_id)
        for user in lines_of(store, "00001")
        for kind, listed in user.lists.items()
        for rank, place in enumerate(listed, 1)
    ]
    assert [(row["user_id"], row["list"], row["rank"], row["item_id"]) for row in rows] == places


def test_two_runs_make_the_same_bytes():
    first, second = indexed_run(), indexed_run()

    for store in (first, second):
        rank_all(store)

    assert topx(first) == topx(second)


def test_shards_may_be_ranked_in_any_order_and_twice():
    undisturbed, store = ranked_run(), indexed_run()

    for shard in [*reversed(requests(store)), requests(store)[1]]:
        rank(shard, store=store, clock=FixedClock())

    assert topx(store) == topx(undisturbed)


def test_a_second_execution_ranks_nothing():
    store = ranked_run()
    writes = dict(store.writes)

    assert [skipped for _, skipped in rank_all(store)] == [True] * 3

    assert store.writes == writes


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(replace(CAMPAIGN, x=3), id="list length"),
        pytest.param(replace(CAMPAIGN, lists=("buy_again",)), id="kinds"),
        pytest.param(with_rules(max_per_category=1), id="a cap"),
        pytest.param(with_rules(max_price=5.0), id="what may be listed"),
    ],
)
def test_lists_follow_the_campaign(changed):
    store = ranked_run()
    before = topx(store)
    write(store, KEYS.campaign, changed)
    build_index(request(), store=store, clock=FixedClock())

    assert [skipped for _, skipped in rank_all(store)] == [False] * 3

    assert all(topx(store)[key] != body for key, body in before.items())
    assert topx(store) == topx(ranked_run(changed))


def test_forcing_the_map_ranks_again():
    store = ranked_run()

    _, skipped = rank(
        ShardRequest(run=replace(RUN, force_from="Recommend"), key=KEYS.user_shard("00000")),
        store=store,
        clock=FixedClock(),
    )

    assert not skipped


def test_prices_keep_the_lists_within_their_range():
    for user in lines_of(ranked_run(with_rules(min_price=2.0, max_price=9.0))):
        for place in itertools.chain(*user.lists.values()):
            assert place.price is not None
            assert 2.0 <= place.price <= 9.0


def test_at_most_so_many_of_a_category_are_on_a_list():
    for user in lines_of(ranked_run(with_rules(max_per_category=2))):
        for kind in LIST_KINDS:
            categories = [place.category for place in user.lists[kind] if place.category]
            assert all(categories.count(category) <= 2 for category in categories)


class CountingStore(MemoryStore):
    def __init__(self, objects):
        super().__init__()
        self.objects = objects
        self.downloads = []

    def download(self, key, path):
        self.downloads.append(key)
        super().download(key, path)


def test_a_warm_process_fetches_the_items_once():
    store = CountingStore(indexed_run().objects)

    rank_all(store)

    assert len(store.downloads) == len(set(store.downloads)) == 8


def test_a_warm_process_serves_a_rerun_and_keeps_one_runs_copies():
    store = CountingStore(indexed_run().objects)
    rank_all(store)
    write(store, KEYS.campaign, with_rules(max_price=9.0))
    build_index(request(), store=store, clock=FixedClock())

    rank_all(store)

    assert topx(store) == topx(ranked_run(with_rules(max_price=9.0)))
    assert len(list(artifacts.folder().iterdir())) == 8


def test_a_shard_that_repackage_has_not_left_is_refused():
    store = indexed_run()

    with pytest.raises(MissingObjectError, match=r"latent/users/00009\.npz"):
        rank(ShardRequest(run=RUN, key=KEYS.user_shard("00009")), store=store, clock=FixedClock())


def test_an_object_that_was_tampered_with_is_refused():
    store = indexed_run()
    store.write(KEYS.latent("items.npy"), store.read(KEYS.latent("items.npy"))[:-4] + b"\x01\x02\x03\x04")

    with pytest.raises(ContractError, match="is not what Repackage wrote"):
        rank(requests(store)[0], store=store, clock=FixedClock())


def test_an_approximate_index_gives_lists_as_full():
    campaign = replace(CAMPAIGN, index=replace(CAMPAIGN.index, factory="IVF4,Flat", min_recall=0.5))
    store = ranked_run(campaign)

    manifest = msgspec.json.decode(store.read(KEYS.manifest("BuildIndex")), type=Manifest)
    assert manifest.summary["factory"] == "IVF4,Flat"
    assert all(len(user.lists["everything"]) == X for user in lines_of(store))


def test_a_shop_with_one_user_is_ranked():
    store = ranked_run(n_users=1)

    assert [user.user_id for user in lines_of(store)] == [user_id(0)]


def test_a_list_longer_than_the_catalogue_holds_what_there_is():
    user = lines_of(ranked_run(replace(CAMPAIGN, x=200)))[0]

    assert len(user.lists["everything"]) == N_ITEMS - 1
    assert len(user.lists["new_for_you"]) + len(user.lists["buy_again"]) == N_ITEMS - 1


def test_repackaging_makes_stale_lists_known():
    store = ranked_run()
    model = store.read(KEYS.manifest("Train"))
    changed = msgspec.json.decode(model, type=Manifest)
    write(store, KEYS.manifest("Train"), replace(changed, summary={"model_run": "another"}))
    repackage(request(), store=store, clock=FixedClock())

    # the same latent rows: nothing to rank again
    assert [skipped for _, skipped in rank_all(store)] == [True] * 3
