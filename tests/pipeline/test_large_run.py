"""A run that is too large for functions goes through jobs; its lists are those that functions make, to the byte."""

from collections import Counter

import msgspec
import pytest

from shortlist.contracts.keys import RunKeys
from shortlist.contracts.report import Report
from shortlist.contracts.stages import GROWING_STAGES
from tests.pipeline.weekly_run import WeeklyRun, addresses
from tests.shop import Shop, make_shop

SHARDS = {"shards": {"users": 20, "recipients": 15}}
BY_JOBS = {"compute": {"function_memory_mib": 0}, **SHARDS}


@pytest.fixture(scope="package")
def shop() -> Shop:
    return make_shop()


@pytest.fixture(scope="package")
def by_functions(weekly: WeeklyRun, shop: Shop) -> str:
    weekly.open_shop("small", shop, **SHARDS)
    ended = weekly.start("small", "by-functions", send=False)
    assert ended["status"] == "SUCCEEDED", ended
    return "by-functions"


@pytest.fixture(scope="package")
def by_jobs(weekly: WeeklyRun, shop: Shop) -> str:
    """A run of a campaign for which no function is large enough."""
    weekly.open_shop("large", shop, **BY_JOBS)
    ended = weekly.start("large", "by-jobs")
    assert ended["status"] == "SUCCEEDED", ended
    return "by-jobs"


@pytest.fixture
def unranked(weekly: WeeklyRun, by_jobs: str) -> str:
    """That run before it was ranked."""
    keys = RunKeys(by_jobs)
    for prefix in (keys.topx_prefix, keys.manifests("Rank")):
        weekly.store.delete([entry.key for entry in weekly.store.list(prefix)])
    return by_jobs


def ran_as(weekly: WeeklyRun, run_id: str) -> dict[str, str]:
    report = msgspec.json.decode(weekly.store.read(RunKeys(run_id).report_json), type=Report)
    return {stage.name: stage.ran_as for stage in report.stages}


def attempts(weekly: WeeklyRun, run_id: str, stage: str) -> list[str | None]:
    """The error of every attempt of a stage's jobs, None where it succeeded."""
    return [call.error for call in weekly.aws.invocations if call.name == f"{stage}-{run_id}"]


def times_ranked(weekly: WeeklyRun, run_id: str) -> Counter[str]:
    """How often each shard was ever stored: the bucket keeps every version."""
    prefix = RunKeys(run_id).topx_prefix
    versions = weekly.aws.client("s3").list_object_versions(Bucket=weekly.deployment.bucket, Prefix=prefix)["Versions"]
    return Counter(version["Key"].removeprefix(prefix).removesuffix(".jsonl") for version in versions)


def test_jobs_make_the_lists_that_functions_make(
    weekly: WeeklyRun, shop: Shop, by_functions: str, by_jobs: str
) -> None:
    # THEN the same stages ran as jobs, the lists are the same bytes, and everybody has a message
    assert weekly.ranked(by_jobs) == weekly.ranked(by_functions)
    assert weekly.mails(by_jobs) == addresses(shop)
    small, large = ran_as(weekly, by_functions), ran_as(weekly, by_jobs)
    assert {stage for stage in small if small[stage] != large[stage]} - {"SendEmails"} == set(GROWING_STAGES)
    assert {large[stage] for stage in (*GROWING_STAGES, "Prepare", "Train")} == {"job"}
    assert [attempts(weekly, by_jobs, stage) for stage in GROWING_STAGES] == [[None], [None], [None, None]]

    # AND they are measured as functions are
    metrics = weekly.aws.client("cloudwatch").list_metrics(Namespace="Shortlist")["Metrics"]
    assert {f"{stage}Seconds" for stage in (*GROWING_STAGES, "Train")} <= {metric["MetricName"] for metric in metrics}


def test_a_child_that_loses_its_machine_starts_again_and_makes_only_what_is_missing(
    weekly: WeeklyRun, by_functions: str, unranked: str
) -> None:
    # GIVEN a child that has stored a shard when its machine is reclaimed in the next one
    before = times_ranked(weekly, unranked), len(attempts(weekly, unranked, "Rank"))
    fault = weekly.aws.faults.add("job:Rank", action="reclaim", key="topx/00002", operation="PutObject")

    # WHEN the run goes on
    ended = weekly.start("large", unranked, execution="reclaimed", send=False)

    # THEN Batch has started that child again, and no shard but that one was made twice
    assert fault.fired == 1
    assert ended["status"] == "SUCCEEDED", ended
    assert weekly.ranked(unranked) == weekly.ranked(by_functions)
    made = times_ranked(weekly, unranked) - before[0]
    assert {shard for shard, times in made.items() if times != 1} <= {"00002"}
    assert len(made) == 5
    assert Counter(attempts(weekly, unranked, "Rank")[before[1] :]) == {None: 2, "Your Spot Task was interrupted.": 1}


def test_a_child_that_fails_says_why_and_only_its_shards_are_made_when_the_run_is_resumed(
    weekly: WeeklyRun, by_functions: str, unranked: str
) -> None:
    # GIVEN a child that is refused its second shard
    heard, before = weekly.listen(), times_ranked(weekly, unranked)
    refused = {"action": "error", "code": "AccessDenied", "status": 403, "operation": "PutObject"}
    weekly.aws.faults.add("job:Rank", key="topx/00002", **refused)
    failed = weekly.start("large", unranked, execution="refused", send=False)
    assert failed["status"] == "FAILED", failed
    (message,) = heard()
    assert "Rank" in message
    assert "AccessDenied" in message

    # WHEN the run is started again
    resumed = weekly.start("large", unranked, execution="refused-again", send=False)

    # THEN what was complete was not made again
    assert resumed["status"] == "SUCCEEDED", resumed
    assert weekly.ranked(unranked) == weekly.ranked(by_functions)
    made = times_ranked(weekly, unranked) - before
    assert len(made) == 5
    assert set(made.values()) == {1}


def test_a_run_of_functions_is_ranked_anew_by_jobs(weekly: WeeklyRun, shop: Shop, by_functions: str) -> None:
    # GIVEN a run of functions whose campaign asks for jobs by now
    lists = weekly.ranked(by_functions)
    weekly.open_shop("small", shop, **BY_JOBS)

    # WHEN it is ranked anew
    ended = weekly.start("small", by_functions, execution="anew", send=False, force_from="Recommend")

    # THEN only Rank ran, as a job, and the lists stay as they were
    assert ended["status"] == "SUCCEEDED", ended
    how = ran_as(weekly, by_functions)
    assert {stage: how[stage] for stage in GROWING_STAGES} == {
        "Repackage": "function",
        "BuildIndex": "function",
        "Rank": "job",
    }
    assert weekly.ranked(by_functions) == lists
