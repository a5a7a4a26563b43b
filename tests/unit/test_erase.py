"""`shortlist erase`: nothing of a customer is left but the hash that keeps them suppressed."""

import hashlib

import msgspec
import numpy as np
import pytest

from shortlist.commands.erase import Erased, erase
from shortlist.contracts.arrays import StringTable, UserShard
from shortlist.contracts.inputs import RejectedRow
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.lists import Reason
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.records import Response, RunRecord, StoredItem, StoredLists
from shortlist.errors import ContractError, MessageRejectedError
from shortlist.mail.address import address_hash
from shortlist.stages.resume import read_manifest
from tests.fakes import MemoryListsTable, MemoryResponses, MemoryRunsTable
from tests.mailing import RUN, Mailing, recipient

GONE = "Philippa@example.com"
KEYS = RunKeys(RUN.run_id)


class Shop:
    """A run that was mailed, and everything that is kept of its customers."""

    def __init__(self) -> None:
        self.mailing = Mailing([recipient(0), recipient(1, email=GONE, first_name="Philippa"), recipient(2)])
        self.mailing.send()
        self.runs, self.lists, self.responses = MemoryRunsTable(), MemoryListsTable(), MemoryResponses()
        self.runs.put(
            RunRecord(campaign="weekly-picks", run_id="r1", status="completed", started_at="", as_of=RUN.as_of)
        )
        for number in range(3):
            user_id = f"user-{number:05d}"
            item = StoredItem(item_id="item-0", score=1.0, reason=Reason("popular"))
            self.lists.put(
                [
                    StoredLists(
                        user_id=user_id,
                        run_id="r1",
                        items=(item,),
                        more={},
                        generated_at="",
                        model_run="r1",
                        expires_at=1,
                    )
                ]
            )
            self.responses.note(
                Response(
                    user_id=user_id,
                    item_id="item-0",
                    kind="clicked",
                    campaign="weekly-picks",
                    run_id="r1",
                    times=("2026-01-05T07:00:00+00:00",),
                )
            )
        self.mailing.store.write(KEYS.responses, msgspec.json.Encoder().encode_lines(list(self.responses.all())))
        self.write_arrays([f"user-{number:05d}" for number in range(3)])
        rows = [f"user-0000{number},item-0,user-00001x,yesterday" for number in range(3)]
        lines = [RejectedRow(file="f.csv", line=2, column="timestamp", reason="no date", row=row) for row in rows]
        self.mailing.store.write(KEYS.rejected("interactions"), msgspec.json.Encoder().encode_lines(lines))

    def write_arrays(self, users: list[str]) -> None:
        ids, none = StringTable.of(users), np.zeros(0, np.int32)
        shard = UserShard(
            first_row=0,
            user_ids=ids,
            latent=np.ones((3, 2), np.float32),
            indptr=np.zeros(4, np.int64),
            item_rows=none,
            repeat=none.astype(np.float32),
            weight=none.astype(np.float32),
            last_seen=none.astype(np.int64),
            days=none,
            segment=np.zeros(3, np.int32),
            prior=np.zeros((3, 2), np.float32),
            withheld_indptr=np.zeros(4, np.int64),
            withheld_rows=none,
        )
        for stage, key, body in (
            ("Prepare", KEYS.dataset("user_ids.npz"), ids.to_bytes()),
            ("Repackage", KEYS.user_shard("00000"), shard.to_bytes()),
        ):
            outputs = {key: self.mailing.store.write(key, body)}
            manifest = Manifest(stage=stage, inputs="", outputs=outputs, summary={}, seconds=0, peak_rss_mib=0)
            self.mailing.store.write(KEYS.manifest(stage), msgspec.json.encode(manifest))

    def erase(self, user_id: str = "user-00001", *addresses: str) -> Erased:
        return erase(
            user_id,
            addresses,
            store=self.mailing.store,
            runs=self.runs,
            lists=self.lists,
            ledger=self.mailing.ledger,
            suppressions=self.mailing.suppressions,
            responses=self.responses,
            at="2026-01-06T00:00:00+00:00",
        )

    def kept(self) -> str:
        """All that is kept, as text."""
        parts = [
            *(f"{key} {body!r}" for key, body in self.mailing.store.objects.items()),
            repr(self.mailing.ledger.deliveries),
            repr(self.mailing.ledger.addresses),
            repr(self.lists.items),
            repr(self.responses.noted),
            repr(self.mailing.suppressions.standings),
        ]
        return "\n".join(parts)


def test_nothing_of_the_customer_is_left_but_the_hash() -> None:
    shop = Shop()

    erased = shop.erase()

    kept = shop.kept()
    assert erased == Erased(addresses=1, lists=1, deliveries=1, responses=1, arrays=2, lines=5)
    assert "user-00001" not in kept.replace("user-00001x", "")
    assert "hilippa" not in kept
    assert kept.count(address_hash(GONE)) == 1
    assert shop.mailing.suppressions.causes == {address_hash(GONE): "erased"}


def test_the_others_keep_what_is_theirs() -> None:
    shop = Shop()

    shop.erase()

    kept = shop.kept()
    assert all(f"user-0000{number}" in kept for number in (0, 2))
    assert len(shop.lists.items) == len(shop.responses.noted) == len(shop.mailing.ledger.deliveries) == 2
    assert len(shop.mailing.store.read(KEYS.rejected("interactions")).splitlines()) == 2


def test_rows_of_arrays_stay_without_saying_whose_they_were() -> None:
    shop = Shop()

    shop.erase()

    store = shop.mailing.store
    vocabulary = StringTable.from_bytes(store.read(KEYS.dataset("user_ids.npz"))).to_list()
    shard = UserShard.from_bytes(store.read(KEYS.user_shard("00000")))
    assert vocabulary == shard.user_ids.to_list()
    assert (vocabulary[0], vocabulary[2]) == ("user-00000", "user-00002")
    assert vocabulary[1].startswith("erased-")
    assert shard.latent.tolist() == [[1.0, 1.0]] * 3
    for stage, key in (("Prepare", KEYS.dataset("user_ids.npz")), ("Repackage", KEYS.user_shard("00000"))):
        manifest = read_manifest(RUN.run_id, stage, store=store)
        assert manifest.outputs[key].sha256 == hashlib.sha256(store.read(key)).hexdigest()


def test_who_is_erased_is_not_mailed_again_although_the_shop_still_lists_them() -> None:
    shop = Shop()
    shop.erase()
    later = Mailing(
        [recipient(1, email=GONE), recipient(2)],
        run=msgspec.structs.replace(RUN, run_id="r2"),
        suppressions=shop.mailing.suppressions,
    )

    manifest, _ = later.send()

    assert later.deliveries() == {"user2@example.com": 1}
    assert manifest.summary["suppressed_by_cause"] == {"erased": 1}


def test_resuming_the_run_afterwards_mails_nobody_again() -> None:
    shop = Shop()
    shop.erase()

    manifest, _ = shop.mailing.send()

    assert shop.mailing.deliveries().total() == 3
    assert (manifest.summary["recipients"], manifest.summary["sent"]) == (2, 2)


def test_somebody_whose_address_no_run_has_is_suppressed_by_the_address_given() -> None:
    shop = Shop()

    erased = shop.erase("never seen", "New@example.com")

    assert erased == Erased(addresses=1, lists=0, deliveries=0, responses=0, arrays=0, lines=0)
    assert shop.mailing.suppressions.causes == {address_hash("new@example.com"): "erased"}


@pytest.mark.parametrize(
    ("user_id", "address", "error"),
    [("never seen", (), ContractError), ("user-00001", ("no address",), MessageRejectedError)],
)
def test_a_mistake_is_named_and_erases_nothing(user_id: str, address: tuple[str, ...], error: type[Exception]) -> None:
    shop = Shop()
    before = shop.kept()

    with pytest.raises(error):
        shop.erase(user_id, *address)

    assert shop.kept() == before
