"""What `show`, `runs` and `publish` find, and what they say where they find nothing."""

from datetime import UTC, datetime

import pytest

from shortlist.commands import look
from shortlist.contracts.arrays import StringTable
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.lists import Reason
from shortlist.contracts.records import CurrentRun, RunRecord, StoredItem, StoredLists
from shortlist.errors import ContractError
from tests.catalogues import catalogue
from tests.fakes import MemoryListsTable, MemoryRunsTable, MemoryStore
from tests.finished_run import RUN, write_finished

NOW = datetime(2026, 1, 6, tzinfo=UTC)
KEYS = RunKeys(RUN.run_id)
MILK = StoredItem("milk-0", 1.5, Reason("bought_before", "3"))
BREAD = StoredItem("bread", 0.5, Reason("popular"))


def stored():
    return StoredLists(
        user_id="household,0",
        run_id=RUN.run_id,
        items=(MILK, BREAD),
        more={"new_for_you": (BREAD,)},
        generated_at=RUN.as_of,
        model_run=RUN.run_id,
        expires_at=4_000_000_000,
    )


def pointing(campaign, run_id, previous=""):
    return CurrentRun(campaign=campaign, run_id=run_id, published_at=RUN.as_of, previous_run_id=previous)


@pytest.fixture
def lists():
    table = MemoryListsTable()
    table.put([stored()])
    return table


@pytest.fixture
def runs():
    return MemoryRunsTable()


@pytest.fixture
def store():
    store = MemoryStore()
    write_finished(store)
    return store


def test_an_order_to_a_campaign_that_does_not_exist_is_refused(runs):
    runs.put(RunRecord(campaign="elsewhere", run_id="r", status="running", started_at="", as_of=RUN.as_of))

    with pytest.raises(ContractError, match=r"no campaign 'weekly-pick'\. Cure: one of deals, weekly-picks"):
        look.check_campaign("weekly-pick", ["deals", "weekly-picks"], runs=runs)
    found = [look.check_campaign(name, ["deals", "weekly-picks"], runs=runs) for name in ("deals", "elsewhere")]

    assert found == ["deals", "elsewhere"]


def test_campaigns_are_those_in_the_bucket_and_those_deployed(tmp_path, store):
    store.write("campaigns/own.yaml", b"name: own")
    store.write("campaigns/own.yaml.bak", b"")
    (tmp_path / "weekly-picks.yaml").write_text("name: weekly-picks")

    assert look.campaigns(store=store, shipped=tmp_path) == ["own", "weekly-picks"]


def test_the_only_published_campaign_needs_no_name(runs):
    runs.move_current(pointing("a", "a-1"))

    assert look.published_campaign("", ["a", "b"], runs=runs).run_id == "a-1"


@pytest.mark.parametrize(
    ("wanted", "sentence"), [("", "Choose one with `--campaign`"), ("c", "no run of c is published")]
)
def test_which_campaign_is_meant_must_be_clear(runs, wanted, sentence):
    runs.move_current(pointing("a", "a-1"))
    runs.move_current(pointing("b", "b-1"))

    with pytest.raises(ContractError, match=sentence):
        look.published_campaign(wanted, ["a", "b", "c"], runs=runs)


def test_nothing_published_is_said(runs):
    with pytest.raises(ContractError, match="no run of any campaign is published"):
        look.published_campaign("", ["a"], runs=runs)


def test_a_user_without_lists_is_named(lists):
    with pytest.raises(ContractError, match="no lists of user 'nobody'"):
        look.find_lists("nobody", pointing(RUN.campaign, RUN.run_id), lists=lists)


def test_the_first_list_is_the_campaigns_and_the_others_have_names(store):
    assert look.choose_list(stored(), None, store=store) == ("everything", (MILK, BREAD))
    assert look.choose_list(stored(), "new_for_you", store=store) == ("new_for_you", (BREAD,))


def test_a_list_that_the_campaign_does_not_make_is_refused(store):
    with pytest.raises(ContractError, match="makes no list buy_again; it makes everything, new_for_you"):
        look.choose_list(stored(), "buy_again", store=store)


def test_titles_come_from_the_catalogue_that_the_run_saw(store):
    store.write(KEYS.dataset("items.npz"), catalogue(["Bread", "Milk, whole"]).to_bytes())
    store.write(KEYS.dataset("item_ids.npz"), StringTable.of(["bread", "milk-0"]).to_bytes())

    titled = look.with_titles(RUN.run_id, (MILK, BREAD), store=store)

    assert [(item.item_id, item.title, item.score) for item in titled] == [
        ("milk-0", "Milk, whole", 1.5),
        ("bread", "Bread", 0.5),
    ]


def test_a_catalogue_that_is_gone_leaves_the_ids(store):
    assert [item.title for item in look.with_titles(RUN.run_id, (MILK,), store=store)] == [""]


@pytest.mark.parametrize("report", ["", '{"run_id": "of another version"}'])
def test_a_record_without_a_report_that_can_be_read_has_none(report):
    record = RunRecord(campaign="c", run_id="r", status="failed", started_at="t", as_of="t", report=report)

    assert look.read_report(record) is None


def publish(store, runs, lists, run_id=RUN.run_id):
    return look.publish(RUN.campaign, run_id, store=store, runs=runs, lists=lists, now=NOW)


def test_going_back_moves_the_pointer_and_remembers_where_it_stood(store, runs, lists):
    runs.move_current(pointing(RUN.campaign, "bad-week"))

    before = publish(store, runs, lists)

    assert before.run_id == "bad-week"
    assert runs.current(RUN.campaign) == CurrentRun(
        campaign=RUN.campaign,
        run_id=RUN.run_id,
        published_at="2026-01-06T00:00:00+00:00",
        previous_run_id="bad-week",
    )


def test_publishing_what_is_published_changes_nothing(store, runs, lists):
    runs.move_current(pointing(RUN.campaign, RUN.run_id))

    publish(store, runs, lists)

    assert runs.current(RUN.campaign) == pointing(RUN.campaign, RUN.run_id)


def test_a_run_that_was_never_published_stays_unpublished(store, runs, lists):
    store.delete([KEYS.manifest("Publish")])

    with pytest.raises(ContractError, match="was never published"):
        publish(store, runs, lists)
    assert runs.current(RUN.campaign) is None


def test_lists_that_have_expired_are_not_shown_again(store, runs):
    with pytest.raises(ContractError, match="have expired"):
        publish(store, runs, MemoryListsTable())


def test_a_run_without_lists_is_not_published(store, runs, lists):
    store.delete([entry.key for entry in store.list(KEYS.topx_prefix)])

    with pytest.raises(ContractError, match="has no lists"):
        publish(store, runs, lists)
