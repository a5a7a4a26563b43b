"""WriteTopX: an item a user, the same whatever goes wrong on the way, with a receipt that Publish can check."""

import hashlib
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from shortlist.contracts.inputs import PinnedRun
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.lists import ListedItem, Reason, UserLists
from shortlist.contracts.records import StoredItem
from shortlist.contracts.summaries import WriteTopXSummary
from shortlist.errors import ContractError, MissingObjectError
from shortlist.stages.write_top_x import write_top_x
from tests.fakes import FixedClock, MemoryListsTable
from tests.trained_run import (
    AS_OF,
    CAMPAIGN,
    N_USERS,
    RUN,
    STARTED_AT,
    indexed_run,
    ranked_run,
    requests,
    user_id,
    write,
)

KEYS = RunKeys(RUN.run_id)
EXPIRES_AT = int(datetime.fromisoformat(STARTED_AT).timestamp()) + 60 * 86_400


@pytest.fixture
def store():
    return ranked_run(model_run="weekly-2025-12-29")


def write_all(store, lists):
    return [write_top_x(shard, store=store, lists=lists, clock=FixedClock()) for shard in requests(store)]


def test_every_user_finds_the_ranked_lists(store):
    lists = MemoryListsTable()

    write_all(store, lists)

    assert len(lists.items) == N_USERS
    for user in msgspec.json.Decoder(UserLists).decode_lines(store.read(KEYS.topx("00001"))):
        stored = lists.get(user.user_id, RUN.run_id)
        assert [item.item_id for item in stored.items] == [item.item_id for item in user.lists["everything"]]
        assert list(stored.more) == ["new_for_you", "buy_again"]
        assert stored.more["buy_again"] == tuple(
            StoredItem(item.item_id, item.score, item.reason) for item in user.lists["buy_again"]
        )


def test_an_item_says_when_it_was_made_by_which_model_and_until_when_it_lives(store):
    lists = MemoryListsTable()

    write_all(store, lists)

    stored = lists.get(user_id(0), RUN.run_id)
    assert (stored.generated_at, stored.model_run, stored.expires_at) == (AS_OF, "weekly-2025-12-29", EXPIRES_AT)


def test_lists_of_a_run_that_looks_back_years_live_as_long_as_others(store):
    write(store, KEYS.run, PinnedRun(campaign=RUN.campaign, as_of="2011-12-10T00:00:00Z", started_at=STARTED_AT))
    lists = MemoryListsTable()

    write_all(store, lists)

    stored = lists.get(user_id(0), RUN.run_id)
    assert (stored.generated_at, stored.expires_at) == ("2011-12-10T00:00:00Z", EXPIRES_AT)


def test_a_later_execution_writes_the_same_items(store):
    first, again = MemoryListsTable(), MemoryListsTable()
    write_all(store, first)
    later = replace(RUN, force_from="WriteTopX", started_at="2026-03-01T00:00:00Z")

    for shard in requests(store):
        write_top_x(replace(shard, run=later), store=store, lists=again, clock=FixedClock())

    assert again.items == first.items


def test_the_receipt_names_the_lists_that_were_stored(store):
    manifest, skipped = write_all(store, MemoryListsTable())[0]

    assert not skipped
    assert msgspec.convert(manifest.summary, WriteTopXSummary) == WriteTopXSummary(lists_written=30)
    assert manifest.summary["topx_sha256"] == hashlib.sha256(store.read(KEYS.topx("00000"))).hexdigest()


def test_a_second_execution_writes_nothing(store):
    write_all(store, MemoryListsTable())
    untouched = MemoryListsTable()

    assert [skipped for _, skipped in write_all(store, untouched)] == [True] * 3

    assert untouched.items == {}


def test_a_writer_killed_in_the_middle_leaves_no_receipt_and_is_made_good_by_the_next(store):
    class Killed(MemoryListsTable):
        def put(self, lists):
            for count, entry in enumerate(lists):
                if count == 10:
                    raise KeyboardInterrupt
                super().put([entry])
            return 0

    lists = Killed()
    with pytest.raises(KeyboardInterrupt):
        write_top_x(requests(store)[0], store=store, lists=lists, clock=FixedClock())
    assert len(lists.items) == 10
    assert not store.exists(KEYS.manifest("WriteTopX", "00000"))

    undisturbed, repaired = MemoryListsTable(), MemoryListsTable()
    repaired.items = dict(lists.items)
    write_all(store, repaired)
    store.delete([KEYS.manifest("WriteTopX", shard) for shard in ("00000", "00001", "00002")])
    write_all(store, undisturbed)

    assert repaired.items == undisturbed.items


def test_other_settings_are_written_anew(store):
    lists = MemoryListsTable()
    write_all(store, lists)
    write(store, KEYS.campaign, replace(CAMPAIGN, keep_days=7))

    write_all(store, lists)

    assert lists.get(user_id(0), RUN.run_id).expires_at == EXPIRES_AT - 53 * 86_400


def test_long_subjects_are_cut_so_that_an_item_stays_small(store):
    title = "Wholemeal spelt bread with sunflower seeds, sliced, 750 g"
    bread = ListedItem(item_id="bread", score=1.0, reason=Reason("bought_with", title), title="Butter")
    user = UserLists(user_id="anna", user_row=0, lists={"everything": (bread,), "new_for_you": (), "buy_again": ()})
    replace_shard(store, [user])
    lists = MemoryListsTable()

    write_top_x(requests(store)[0], store=store, lists=lists, clock=FixedClock())

    subject = lists.get("anna", RUN.run_id).items[0].reason.subject
    assert subject == "Wholemeal spelt bread with sunf…"
    assert len(subject) == 32


def replace_shard(store, users):
    """Put other lists in the place of the first shard's, with a manifest that fits them."""
    output = store.write(KEYS.topx("00000"), msgspec.json.Encoder().encode_lines(users))
    manifest = msgspec.json.decode(store.read(KEYS.manifest("Rank", "00000")))
    manifest["outputs"] = {KEYS.topx("00000"): msgspec.to_builtins(output)}
    write(store, KEYS.manifest("Rank", "00000"), manifest)


def test_lists_that_rank_did_not_record_are_refused(store):
    store.write(KEYS.topx("00000"), store.read(KEYS.topx("00001")))

    with pytest.raises(ContractError, match="is not what Rank wrote"):
        write_top_x(requests(store)[0], store=store, lists=MemoryListsTable(), clock=FixedClock())


def test_a_shard_that_was_not_ranked_is_refused():
    store = indexed_run()

    with pytest.raises(MissingObjectError):
        write_top_x(requests(store)[0], store=store, lists=MemoryListsTable(), clock=FixedClock())


@pytest.mark.parametrize("folder", ["write_top_x", "publish"])
def test_the_function_needs_no_numpy(folder):
    code = f"import sys; sys.modules['numpy'] = None; import lambdas.{folder}.handler"

    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
