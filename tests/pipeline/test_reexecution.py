"""Every stage is stopped once in the middle, and the run is started again: the lists are those of an undisturbed run.

The faults hit the real processes at a chosen request to AWS: a job's container and a function's process are killed, a
function's request is refused so that it raises, a function hangs into its time limit.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from shortlist.contracts.keys import RunKeys
from shortlist.contracts.records import StoredLists
from shortlist.contracts.report import Report
from shortlist.mail.pace import MAX_SENDERS
from tests.pipeline.weekly_run import WeeklyRun, addresses, user_ids
from tests.shop import Shop, make_shop

CAMPAIGN = "disturbed"
REFUSED: dict[str, Any] = {"action": "error", "code": "AccessDenied", "status": 403}

FAULTS: dict[str, dict[str, Any]] = {
    "Prepare": {"principal": "job:Prepare", "action": "kill", "key": "dataset/", "after_requests": 5},
    "Train-measuring": {"principal": "job:Train", "action": "kill", "key": "checkpoint/", "after_requests": 9},
    "Train-publishing": {"principal": "job:Train", "action": "kill", "key": "model/", "after_requests": 3},
    "Repackage": {"principal": "function:Repackage", "action": "kill", "key": "latent/users/", "after_requests": 3},
    "BuildIndex": {"principal": "function:BuildIndex", "key": "index/", **REFUSED},
    "Evaluate": {"principal": "function:Evaluate", "key": "metrics.json", "operation": "PutObject", **REFUSED},
    "Rank": {"principal": "function:Rank", "action": "kill", "key": "topx/00001", "operation": "PutObject"},
    "WriteTopX": {
        "principal": "function:WriteTopX",
        "action": "kill",
        "operation": "BatchWriteItem",
        "after_requests": 2,
    },
    "Publish": {"principal": "function:Publish", "service": "dynamodb", "operation": "PutItem", **REFUSED},
    "Report": {"principal": "function:Report", "action": "kill", "key": "report.json", "operation": "PutObject"},
}


@dataclass
class Consumer:
    """A shop's page that reads lists all the while, and what it saw that it must not see."""

    weekly: WeeklyRun
    users: list[str]
    seen: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def read(self) -> None:
        current = self.weekly.runs_table.current(CAMPAIGN)
        if current is None:
            return
        if not self.seen or self.seen[-1] != current.run_id:
            self.seen.append(current.run_id)
        for user in self.users:
            lists = self.weekly.lists_table.get(user, current.run_id)
            if lists is None or len(lists.items) != 6:
                self.broken.append(f"{current.run_id} {user}")


@pytest.fixture(scope="package")
def shop() -> Shop:
    return make_shop()


@pytest.fixture(scope="package")
def undisturbed(weekly: WeeklyRun, shop: Shop) -> str:
    """The run that nobody disturbed, published before the others."""
    weekly.open_shop(CAMPAIGN, shop)
    ended = weekly.start(CAMPAIGN, "undisturbed")
    assert ended["status"] == "SUCCEEDED", (ended.get("error"), ended.get("cause"))
    return "undisturbed"


@pytest.fixture
def consumer(weekly: WeeklyRun, shop: Shop) -> Iterator[Consumer]:
    reader = Consumer(weekly, user_ids(shop)[::11])
    stopped = threading.Event()

    def read_on() -> None:
        while not stopped.wait(0.1):
            reader.read()

    thread = threading.Thread(target=read_on)
    thread.start()
    yield reader
    stopped.set()
    thread.join()


def content(stored: dict[str, StoredLists]) -> dict[str, Any]:
    """What consumers are shown, without the name of the run."""
    return {user: (lists.items, lists.more, lists.generated_at) for user, lists in stored.items()}


def report(weekly: WeeklyRun, run_id: str) -> Report:
    return msgspec.json.decode(weekly.store.read(RunKeys(run_id).report_json), type=Report)


def outcomes(weekly: WeeklyRun, run_id: str) -> list[tuple[str, str]]:
    """Shard and outcome of every recipient."""
    lines = [
        (entry.key, line)
        for entry in weekly.store.list(RunKeys(run_id).outcomes_prefix)
        for line in weekly.store.read(entry.key).splitlines()
    ]
    return [(shard, msgspec.json.decode(line)["outcome"]) for shard, line in lines]


@pytest.mark.parametrize("name", FAULTS)
def test_a_stage_stopped_in_the_middle_is_taken_up_again(
    weekly: WeeklyRun, shop: Shop, undisturbed: str, consumer: Consumer, name: str
) -> None:
    # GIVEN a run that fails in the middle of a stage
    run_id = f"stopped-{name}"
    fault = weekly.aws.faults.add(**FAULTS[name])
    before = weekly.published(CAMPAIGN)
    failed = weekly.start(CAMPAIGN, run_id)
    assert fault.fired == 1
    assert failed["status"] == "FAILED", failed
    assert name.split("-")[0] in failed["cause"] or failed["cause"].startswith("Recommend")
    if name != "Report":
        assert weekly.published(CAMPAIGN) == before

    # WHEN it is started again
    resumed = weekly.start(CAMPAIGN, run_id, execution=f"{run_id}-again")

    # THEN its lists are those of the undisturbed run, to the byte, and nobody was mailed twice
    assert resumed["status"] == "SUCCEEDED", (resumed.get("error"), resumed.get("cause"))
    assert weekly.ranked(run_id) == weekly.ranked(undisturbed)
    assert content(weekly.stored(run_id, shop)) == content(weekly.stored(undisturbed, shop))
    assert weekly.mails(run_id) == addresses(shop)
    assert report(weekly, run_id).lists_written == shop.n_users

    # AND consumers saw one whole run or the other
    consumer.read()
    assert consumer.seen[-1] == run_id
    assert not consumer.broken


@pytest.mark.parametrize("operation", ["PutItem", "SendEmail"])
def test_a_mailing_stopped_in_the_middle_mails_nobody_twice(
    weekly: WeeklyRun, shop: Shop, undisturbed: str, operation: str
) -> None:
    # GIVEN a function killed while it claims, or after it claimed and before SES answered, others at work beside it
    run_id = f"mailing-{operation}"
    fault = weekly.aws.faults.add("function:SendEmails", action="kill", operation=operation, after_requests=4)
    failed = weekly.start(CAMPAIGN, run_id)
    assert fault.fired == 1
    assert failed["status"] == "FAILED", failed
    assert failed["cause"].startswith("SendEmails")

    # WHEN the run is started again
    resumed = weekly.start(CAMPAIGN, run_id, execution=f"{run_id}-again")

    # THEN nobody has two messages, and who has none is counted in the report as in doubt
    assert resumed["status"] == "SUCCEEDED", (resumed.get("error"), resumed.get("cause"))
    mails = weekly.mails(run_id)
    assert set(mails.values()) == {1}
    told = report(weekly, run_id)
    assert told.mails_sent == mails.total()
    assert told.mails_sent + told.mails_in_doubt == len(shop.mailable)
    # AND they are messages of the function that was killed, one for each of its threads at most
    in_doubt = Counter(outcome for outcome in outcomes(weekly, run_id) if outcome[1] == "in_doubt")
    assert in_doubt.total() == told.mails_in_doubt <= MAX_SENDERS
    assert len(in_doubt) <= 1


def test_a_function_that_hangs_is_ended_by_its_time_limit_and_tried_again(
    weekly: WeeklyRun, shop: Shop, undisturbed: str, time_limit: Callable[[str, int], None]
) -> None:
    time_limit("Publish", 3)
    fault = weekly.aws.faults.add("function:Publish", action="hang", service="s3")

    ended = weekly.start(CAMPAIGN, "hung")

    assert fault.fired == 1
    assert ended["status"] == "SUCCEEDED", (ended.get("error"), ended.get("cause"))
    assert weekly.ranked("hung") == weekly.ranked(undisturbed)
    assert weekly.mails("hung") == addresses(shop)


@pytest.fixture
def time_limit(weekly: WeeklyRun) -> Iterator[Callable[[str, int], None]]:
    """Sets a function's time limit for one test."""
    functions = weekly.aws.client("lambda")
    before: dict[str, int] = {}

    def limit(fragment: str, seconds: int) -> None:
        names = [f["FunctionName"] for f in functions.list_functions()["Functions"] if fragment in f["FunctionName"]]
        assert len(names) == 1, names
        before[names[0]] = functions.get_function_configuration(FunctionName=names[0])["Timeout"]
        functions.update_function_configuration(FunctionName=names[0], Timeout=seconds)

    yield limit
    for name, seconds in before.items():
        functions.update_function_configuration(FunctionName=name, Timeout=seconds)


def test_two_executions_of_one_run_at_once_make_one_run(weekly: WeeklyRun, shop: Shop, undisturbed: str) -> None:
    # WHEN a schedule fires twice
    ended: list[str] = []
    starts = [
        threading.Thread(
            target=lambda name=name: ended.append(weekly.start(CAMPAIGN, "twice", execution=name)["status"])
        )
        for name in ("twice-a", "twice-b")
    ]
    for start in starts:
        start.start()
    for start in starts:
        start.join()

    # THEN there is one run: the same lists, and one message a recipient
    assert "SUCCEEDED" in ended
    assert weekly.ranked("twice") == weekly.ranked(undisturbed)
    assert set(weekly.mails("twice").values()) == {1}


@pytest.mark.parametrize("stage", ["Train", "Recommend"])
def test_forcing_a_stage_makes_the_same_lists_again_and_mails_nobody(
    weekly: WeeklyRun, shop: Shop, undisturbed: str, stage: str
) -> None:
    before = weekly.manifests(undisturbed)

    ended = weekly.start(CAMPAIGN, undisturbed, execution=f"forced-{stage}", force_from=stage)

    assert ended["status"] == "SUCCEEDED", (ended.get("error"), ended.get("cause"))
    after = weekly.manifests(undisturbed)
    assert after["Rank/00000"].started_at > before["Rank/00000"].started_at
    assert after["Rank/00000"].outputs == before["Rank/00000"].outputs
    assert after["Prepare"] == before["Prepare"]
    assert weekly.mails(undisturbed) == addresses(shop)
