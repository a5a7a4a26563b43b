"""A mailing that waits: for the team's approval, and for a pause to end; by real functions on the embedded AWS."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from shortlist.aws.ledger import DynamoLedger
from shortlist.commands.decide import decide
from shortlist.contracts.keys import RunKeys
from shortlist.stages.plan_mailing import read_approval
from tests.pipeline.weekly_run import CAMPAIGN, WeeklyRun, addresses
from tests.shop import Shop, make_shop


@pytest.fixture(scope="package")
def shop() -> Shop:
    return make_shop(n_users=30, n_items=60)


@pytest.fixture
def background() -> Iterator[Callable[..., Future[dict[str, Any]]]]:
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit


def wait_for(look: Callable[[], Any], seconds: float = 90) -> Any:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if seen := look():
            return seen
        threading.Event().wait(0.1)
    raise TimeoutError(f"nothing was seen in {seconds} s")


@pytest.mark.parametrize("decision", ["approved", "rejected"])
def test_nobody_is_mailed_before_the_team_has_said_so(
    weekly: WeeklyRun, shop: Shop, background: Callable[..., Future[dict[str, Any]]], decision: str
) -> None:
    # GIVEN a campaign that wants the team's approval, and a team that listens
    campaign, run_id = f"asks-{decision}", f"asks-{decision}-1"
    weekly.open_shop(campaign, shop, evaluation={"gate": False}, mail={**CAMPAIGN["mail"], "approval": True})
    heard = weekly.listen()

    # WHEN its run has published its lists, and the team answers
    execution = background(weekly.start, campaign, run_id)
    wait_for(lambda: read_approval(run_id, store=weekly.store))
    before, published = weekly.mails(run_id), weekly.published(campaign)
    machine = weekly.aws.client("stepfunctions")
    decide(run_id, decision, store=weekly.store, machine=machine, now=datetime.now(UTC))
    ended = execution.result()

    # THEN nobody was mailed before, and everybody or nobody afterwards
    assert (before, published) == (Counter(), run_id)
    assert ended["status"] == "SUCCEEDED"
    assert weekly.mails(run_id) == (addresses(shop) if decision == "approved" else Counter())
    assert any(f"shortlist campaign approve {run_id}" in message for message in heard())
    assert weekly.store.exists(RunKeys(run_id).approval("preview.eml"))


def test_a_mailing_that_is_paused_goes_on_where_it_stopped(
    weekly: WeeklyRun,
    shop: Shop,
    background: Callable[..., Future[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # GIVEN a campaign that is paused, and quarters of an hour that pass in a second
    monkeypatch.setattr(weekly.aws, "time_scale", 1 / 900)
    weekly.open_shop("waits", shop, evaluation={"gate": False})
    ledger = DynamoLedger(weekly.aws.client("dynamodb"), weekly.deployment.deliveries_table)
    ledger.give_order("waits", "pause", "2026-01-05T06:00:00+00:00")

    # WHEN its run has met the pause, and the team lets it go on
    execution = background(weekly.start, "waits", "waits-1")
    shards = wait_for(lambda: [m for name, m in weekly.manifests("waits-1").items() if name.startswith("SendEmails/")])
    while_paused = weekly.mails("waits-1")
    ledger.give_order("waits", "go", "2026-01-05T07:00:00+00:00")
    ended = execution.result()

    # THEN nobody was mailed meanwhile, and everybody once afterwards
    assert while_paused == Counter()
    assert shards[0].summary["waiting"] > 0
    assert ended["status"] == "SUCCEEDED"
    assert weekly.mails("waits-1") == addresses(shop)
    outcomes = [
        msgspec.json.decode(line)["outcome"]
        for entry in weekly.store.list(RunKeys("waits-1").outcomes_prefix)
        for line in weekly.store.read(entry.key).splitlines()
    ]
    assert Counter(outcomes) == {"sent": addresses(shop).total()}
