"""NotifyFailure: whatever Step Functions says, the team reads where, why and what to do."""

import json

import msgspec
import pytest

from shortlist import errors
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.payloads import FailureRequest
from shortlist.contracts.records import CurrentRun, Failure
from shortlist.failures import CURES, OTHER_CURE, cure_of
from shortlist.stages.notify_failure import explain, notify_failure
from tests.fakes import FixedClock, MemoryNotifier, MemoryRunsTable, MemoryStore
from tests.finished_run import RUN, write_json, write_manifest

KEYS = RunKeys(RUN.run_id)
MAP_ERROR = "States.ExceedToleratedFailureThreshold"


def request(state, error="", cause=""):
    return FailureRequest(run=RUN, state=state, error=error, cause=cause)


def function_cause(error, message):
    return json.dumps({"errorMessage": message, "errorType": error, "requestId": "r", "stackTrace": ["line\n"] * 3})


def failed_child(shard, error, message, execution=RUN.execution):
    run = msgspec.to_builtins(msgspec.structs.replace(RUN, execution=execution))
    return {
        "Input": json.dumps({"run": run, "key": KEYS.user_shard(shard)}),
        "Error": error,
        "Cause": function_cause(error, message),
        "Status": "FAILED",
    }


def error_classes():
    return [v.__name__ for v in vars(errors).values() if isinstance(v, type) and issubclass(v, errors.ShortlistError)]


@pytest.mark.parametrize("error", error_classes())
def test_every_error_of_ours_has_a_cure(error):
    assert cure_of(error) == CURES[error]
    assert cure_of(error) != OTHER_CURE


def test_a_function_that_raised_is_quoted():
    why = explain(
        request("Publish", "PublishError", function_cause("PublishError", 'Shard "00003" is not stored.')),
        store=MemoryStore(),
    )

    assert (why.state, why.shard, why.error) == ("Publish", "", "PublishError")
    assert why.sentence == 'Shard "00003" is not stored.'
    assert why.cure == CURES["PublishError"]


def test_a_cause_that_was_cut_off_is_still_read():
    cause = function_cause("DatasetError", "items.csv has no column title.")[:90]

    why = explain(request("Repackage", "DatasetError", cause), store=MemoryStore())

    assert why.sentence == "items.csv has no column title."


def test_a_job_that_left_a_note_is_quoted():
    store = MemoryStore()
    note = Failure("DatasetError", "items.csv line 3: no title. Add one.", RUN.execution)
    write_json(store, KEYS.failure("Prepare"), note)

    why = explain(request("Prepare", "States.TaskFailed", '{"Status": "FAILED"}'), store=store)

    assert (why.error, why.sentence) == ("DatasetError", "items.csv line 3: no title. Add one.")


def test_a_job_that_was_killed_is_described_by_batch_and_not_by_an_old_note():
    store = MemoryStore()
    write_json(store, KEYS.failure("Train"), Failure("DatasetError", "of last time", "another execution"))
    cause = json.dumps(
        {
            "Container": {"ExitCode": 137, "Reason": "OutOfMemoryError: killed", "LogStreamName": "Train/1"},
            "StatusReason": "Essential container in task exited",
        }
    )

    why = explain(request("Train", "States.TaskFailed", cause), store=store)

    assert why.error == "States.TaskFailed"
    assert why.sentence == (
        "Essential container in task exited; OutOfMemoryError: killed; exit code 137; log stream Train/1"
    )
    assert "memory" in why.cure


@pytest.mark.parametrize(("stage", "child"), [("Repackage", ""), ("BuildIndex", ""), ("Rank", "7")])
def test_a_job_in_place_of_a_function_is_told_of_as_the_stage_it_runs(stage, child):
    store = MemoryStore()
    write_json(store, KEYS.failure(stage, "0" if child else ""), Failure("DatasetError", "last week's", "another"))
    write_json(store, KEYS.failure(stage, child), Failure("ContractError", "the model has no items.", RUN.execution))

    why = explain(request(f"{stage}Job", "States.TaskFailed", "{}"), store=store)

    assert (why.state, why.error, why.sentence) == (stage, "ContractError", "the model has no items.")


def test_a_failed_shard_of_a_map_is_named_with_its_stage_and_its_own_error():
    store = MemoryStore()
    write_manifest(store, "Rank", {}, at_s=0, seconds=1, shard="00003")
    results = [failed_child("00007", "OutOfTimeError", "later"), failed_child("00003", "TransientError", "DynamoDB")]
    write_json(store, KEYS.map_results("Recommend") + "run-2/FAILED_0.json", results)
    old = [failed_child("00000", "DatasetError", "of an earlier execution", execution="another")]
    write_json(store, KEYS.map_results("Recommend") + "run-1/FAILED_0.json", old)
    write_json(store, KEYS.map_results("Recommend") + "run-2/SUCCEEDED_0.json", [])

    why = explain(request("Recommend", MAP_ERROR, "threshold"), store=store)

    assert (why.state, why.shard) == ("WriteTopX", "00003, 00007")
    assert (why.error, why.sentence) == ("TransientError", "DynamoDB")


def test_without_results_of_the_map_the_unfinished_shards_are_named():
    store = MemoryStore()
    for number in range(13):
        store.write(KEYS.user_shard(f"{number:05d}"), b"")
    write_manifest(store, "WriteTopX", {}, at_s=0, seconds=1, shard="00000")

    why = explain(request("Recommend", MAP_ERROR, "threshold exceeded"), store=store)

    assert why.state == "Recommend"
    assert why.shard.startswith("00001, 00002, ")
    assert why.shard.endswith("00010 and 2 more")
    assert why.sentence == "threshold exceeded"


def test_a_failed_recipient_shard_is_named_too():
    store = MemoryStore()
    store.write(KEYS.recipient_shard("00000", 1), b"")

    why = explain(request("SendEmails", MAP_ERROR, "threshold exceeded"), store=store)

    assert (why.state, why.shard) == ("SendEmails", "00000-001")


def test_an_unforeseen_error_without_a_cause_still_makes_a_message():
    why = explain(request("Report", "Weird.Error"), store=MemoryStore())

    assert why.error == "Weird.Error"
    assert why.sentence == "no cause was given"
    assert why.cure == OTHER_CURE


@pytest.mark.parametrize(
    ("current", "sentence"),
    [
        ("", "No run has been published so far."),
        ("last-week", "Customers still get the lists of run last-week."),
        (RUN.run_id, "The lists of this run are published"),
    ],
)
def test_the_run_is_recorded_as_failed_and_the_team_told_how_to_resume(current, sentence):
    runs, notifier = MemoryRunsTable(), MemoryNotifier()
    if current:
        runs.pointers[RUN.campaign] = CurrentRun(campaign=RUN.campaign, run_id=current, published_at=RUN.as_of)
    cause = function_cause("TransientError", "SES is throttled.")

    notify_failure(
        request("Publish", "TransientError", cause),
        store=MemoryStore(),
        runs=runs,
        notifier=notifier,
        clock=FixedClock(),
    )

    record = runs.get(RUN.campaign, RUN.run_id)
    assert record.status == "failed"
    assert record.message.startswith("Publish: TransientError: SES is throttled.\nWhat to do: ")
    ((subject, body),) = notifier.told
    assert subject == "Shortlist: weekly-picks failed in Publish"
    assert f"shortlist rerun {RUN.run_id}" in body
    assert sentence in body
