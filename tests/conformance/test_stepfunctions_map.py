"""Distributed Maps as Step Functions runs them: readers, children, thresholds, results."""

import json

import pytest

from tests.conformance.machines import LIST_OBJECTS, Machines

GET_OBJECT = "arn:aws:states:::s3:getObject"
WRITER = "arn:aws:states:::s3:putObject"
ECHO = {"Echo": {"Type": "Pass", "End": True}}


@pytest.fixture(scope="module")
def machines(aws):
    return Machines(aws)


@pytest.fixture(scope="module")
def s3(aws):
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="shards", CreateBucketConfiguration={"LocationConstraint": aws.region})
    for n in range(5):
        s3.put_object(Bucket="shards", Key=f"five/{n}.json", Body=b"x" * n)
    s3.put_object(Bucket="shards", Key="list.json", Body=json.dumps([{"n": n} for n in range(4)]).encode())
    s3.put_object(Bucket="shards", Key="object.json", Body=b'{"n": 1}')
    return s3


@pytest.fixture(autouse=True)
def bucket(s3):
    """Every case may read the bucket."""


def listing(prefix, **arguments):
    return {"Resource": LIST_OBJECTS, "Arguments": {"Bucket": "shards", "Prefix": prefix, **arguments}}


def distributed(states=None, **fields):
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": next(iter(states or ECHO)),
        "States": states or ECHO,
    }
    return {"Map": {"Type": "Map", "ItemProcessor": processor, "End": True, **fields}}


def failing_when(condition):
    """A workflow for one item that fails with the error ShardError when the condition holds."""
    return {
        "Which": {
            "Type": "Choice",
            "Choices": [{"Condition": f"{{% {condition} %}}", "Next": "Bad"}],
            "Default": "Good",
        },
        "Bad": {"Type": "Fail", "Error": "ShardError", "Cause": "{% 'item ' & $string($states.input) %}"},
        "Good": {"Type": "Succeed"},
    }


def only_map_run(machines, execution):
    (listed,) = machines.client.list_map_runs(executionArn=execution)["mapRuns"]
    return machines.client.describe_map_run(mapRunArn=listed["mapRunArn"])


def test_each_object_under_the_prefix_is_an_item(machines):
    items = machines.output(distributed(ItemReader=listing("{% 'fi' & 've/' %}")))

    assert [(item["Key"], item["Size"]) for item in items] == [(f"five/{n}.json", n) for n in range(5)]
    assert {*items[0]} == {"Etag", "Key", "LastModified", "Size", "StorageClass"}
    assert isinstance(items[0]["LastModified"], int)


def test_a_listing_goes_on_beyond_its_first_page(machines):
    items = machines.output(distributed(ItemReader=listing("five/", MaxKeys=2)))

    assert len(items) == 5


def test_a_prefix_with_nothing_under_it_starts_no_child_and_succeeds(machines):
    execution = machines.start(distributed(ItemReader=listing("nothing/")))

    ended = machines.ended(execution)

    assert (ended["status"], ended["output"]) == ("SUCCEEDED", "[]")
    assert only_map_run(machines, execution)["itemCounts"]["total"] == 0


def test_a_json_array_in_an_object_gives_the_items(machines):
    reader = {
        "Resource": GET_OBJECT,
        "ReaderConfig": {"InputType": "JSON", "MaxItems": 3},
        "Arguments": {"Bucket": "shards", "Key": "list.json"},
    }

    assert machines.output(distributed(ItemReader=reader)) == [{"n": 0}, {"n": 1}, {"n": 2}]


@pytest.mark.parametrize(
    "arguments", [{"Bucket": "shards", "Key": "absent"}, {"Bucket": "shards", "Key": "object.json"}]
)
def test_items_that_cannot_be_read_fail_the_state(machines, arguments):
    reader = {"Resource": GET_OBJECT, "ReaderConfig": {"InputType": "JSON"}, "Arguments": arguments}

    assert machines.failure(distributed(ItemReader=reader))[0] == "States.ItemReaderFailed"


def test_items_may_come_from_the_states_input(machines):
    assert machines.output(distributed(Items="{% $states.input.values %}"), {"values": [1, "two", None]}) == [
        1,
        "two",
        None,
    ]
    assert machines.failure(distributed(Items="{% $states.input %}"), {"n": 1})[0] == "States.QueryEvaluationError"


def test_the_item_selector_sees_item_index_and_the_parents_variables(machines):
    selector = {
        "run": "{% $run %}",
        "n": "{% $states.context.Map.Item.Value.n %}",
        "place": "{% $states.context.Map.Item.Index %}",
        "input": "{% $states.input.given %}",
    }
    mapped = distributed(Items=[{"n": 7}, {"n": 8}], ItemSelector=selector)
    states = {"Set": {"Type": "Pass", "Assign": {"run": "r1"}, "Next": "Map"}, **mapped}

    outputs = machines.output(states, {"given": True})

    assert outputs[1] == {"run": "r1", "n": 8, "place": 1, "input": True}


def test_a_child_does_not_see_the_parents_variables(machines):
    each = {"Each": {"Type": "Pass", "Output": "{% $run %}", "End": True}}
    states = {"Set": {"Type": "Pass", "Assign": {"run": "r1"}, "Next": "Map"}, **distributed(each, Items=[1])}
    execution = machines.start(states)

    ended = machines.ended(execution)

    run = only_map_run(machines, execution)
    (child,) = machines.client.list_executions(mapRunArn=run["mapRunArn"])["executions"]
    told = machines.client.describe_execution(executionArn=child["executionArn"])
    assert ended["error"] == "States.ExceedToleratedFailureThreshold"
    assert told["error"] == "States.QueryEvaluationError"


def test_children_are_executions_of_their_own(machines):
    each = {"Each": {"Type": "Pass", "Output": "{% $states.context %}", "End": True}}
    execution = machines.start(distributed(each, Items=[{"n": 1}, {"n": 2}], Label="Shards"))
    outputs = json.loads(machines.ended(execution)["output"])

    children = machines.client.list_executions(mapRunArn=only_map_run(machines, execution)["mapRunArn"])["executions"]
    first = machines.client.describe_execution(executionArn=outputs[0]["Execution"]["Id"])

    machine = execution.split(":")[6]
    assert {child["executionArn"] for child in children} == {output["Execution"]["Id"] for output in outputs}
    assert ":execution:" + machine + "/Shards:" in first["executionArn"]
    assert first["stateMachineArn"].endswith(f":stateMachine:{machine}/Shards")
    assert json.loads(first["input"]) == {"n": 1}
    assert machines.history(first["executionArn"])[-1]["type"] == "ExecutionSucceeded"
    parents = machines.client.list_executions(stateMachineArn=machines.ended(execution)["stateMachineArn"])[
        "executions"
    ]
    assert [parent["executionArn"] for parent in parents] == [execution]


def test_a_map_run_counts_its_items(machines):
    states = distributed(failing_when("$states.input = 2"), Items=[1, 2, 3], ToleratedFailureCount=1, MaxConcurrency=1)
    execution = machines.start(states)
    machines.ended(execution)

    run = only_map_run(machines, execution)

    counts = run["itemCounts"]
    assert (run["status"], run["maxConcurrency"], run["toleratedFailureCount"]) == ("SUCCEEDED", 1, 1)
    assert (counts["total"], counts["succeeded"], counts["failed"], counts["running"]) == (3, 2, 1, 0)
    assert run["executionCounts"] == counts


def test_one_failed_child_fails_the_map_and_says_which(machines):
    execution = machines.start(distributed(failing_when("$states.input = 2"), Items=[1, 2, 3]))

    ended = machines.ended(execution)

    run = only_map_run(machines, execution)
    (failed,) = machines.client.list_executions(mapRunArn=run["mapRunArn"], statusFilter="FAILED")["executions"]
    told = machines.client.describe_execution(executionArn=failed["executionArn"])
    assert (ended["status"], ended["error"]) == ("FAILED", "States.ExceedToleratedFailureThreshold")
    assert ended["cause"] == "The specified tolerated failure threshold was exceeded"
    assert run["status"] == "FAILED"
    assert (told["error"], told["cause"]) == ("ShardError", "item 2")


@pytest.mark.parametrize(
    ("tolerated", "succeeds"),
    [
        ({"ToleratedFailurePercentage": 50}, True),
        ({"ToleratedFailurePercentage": 49.9}, False),
        ({"ToleratedFailurePercentage": 0}, False),
        ({"ToleratedFailurePercentage": "{% $states.input.share %}"}, True),
        ({"ToleratedFailureCount": 2}, True),
        ({"ToleratedFailureCount": 1}, False),
        ({"ToleratedFailureCount": 1, "ToleratedFailurePercentage": 90}, False),
    ],
)
def test_failures_within_the_threshold_are_tolerated_and_give_no_result(machines, tolerated, succeeds):
    states = distributed(failing_when("$states.input <= 2"), Items=[1, 2, 3, 4], **tolerated)

    ended = machines.run(states, {"share": 60})

    assert (ended["status"] == "SUCCEEDED") is succeeds
    assert ended.get("output") == ("[3,4]" if succeeds else None)


def test_the_failure_of_a_map_can_be_caught_and_retried(aws, machines):
    aws.time_scale = 0.001
    retry = [{"ErrorEquals": ["States.ExceedToleratedFailureThreshold"], "MaxAttempts": 1}]
    catch = [{"ErrorEquals": ["States.ALL"], "Output": "{% $states.errorOutput.Error %}", "Next": "Caught"}]
    states = distributed(failing_when("true"), Items=[1], Retry=retry, Catch=catch)
    execution = machines.start({**states, "Caught": {"Type": "Pass", "End": True}})

    ended = machines.ended(execution)

    aws.time_scale = 1.0
    assert json.loads(ended["output"]) == "States.ExceedToleratedFailureThreshold"
    assert len(machines.client.list_map_runs(executionArn=execution)["mapRuns"]) == 2


def test_no_more_children_run_at_once_than_max_concurrency(machines):
    slow = {"Slow": machines.probe({"sleep": 0.15}, End=True)}
    execution = machines.start(distributed(slow, Items=[1, 2, 3, 4], MaxConcurrency=2))
    machines.ended(execution)

    run = only_map_run(machines, execution)
    children = machines.client.list_executions(mapRunArn=run["mapRunArn"])["executions"]

    moments = [(child["startDate"], 1) for child in children] + [(child["stopDate"], -1) for child in children]
    at_once, most = 0, 0
    for _, change in sorted(moments, key=lambda moment: (moment[0], moment[1])):
        at_once += change
        most = max(most, at_once)
    assert most == 2


def test_the_result_writer_puts_results_and_manifest_in_s3(machines, s3):
    writer = {"Resource": WRITER, "Arguments": {"Bucket": "shards", "Prefix": "{% 'results/' & $states.input.run %}"}}
    states = distributed(
        failing_when("$states.input = 2"),
        Items=[1, 2, 3],
        ToleratedFailureCount=1,
        MaxConcurrency=1,
        ResultWriter=writer,
    )

    output = machines.output(states, {"run": "r1"})

    details = output["ResultWriterDetails"]
    folder = f"results/r1/{output['MapRunArn'].rpartition(':')[2]}"
    manifest = json.load(s3.get_object(Bucket=details["Bucket"], Key=details["Key"])["Body"])
    files = manifest["ResultFiles"]
    succeeded = json.load(s3.get_object(Bucket="shards", Key=files["SUCCEEDED"][0]["Key"])["Body"])
    failed = json.load(s3.get_object(Bucket="shards", Key=files["FAILED"][0]["Key"])["Body"])
    assert details["Key"] == f"{folder}/manifest.json"
    assert files["SUCCEEDED"][0]["Key"] == f"{folder}/SUCCEEDED_0.json"
    assert files["PENDING"] == []
    assert [(result["Status"], result["Input"], result["Output"]) for result in succeeded] == [
        ("SUCCEEDED", "1", "1"),
        ("SUCCEEDED", "3", "3"),
    ]
    assert [(result["Status"], result["Error"], result["Cause"]) for result in failed] == [
        ("FAILED", "ShardError", "item 2")
    ]


def test_results_that_cannot_be_written_fail_the_state(machines):
    writer = {"Resource": WRITER, "Arguments": {"Bucket": "absent", "Prefix": "results"}}

    assert machines.failure(distributed(Items=[1], ResultWriter=writer))[0] == "States.ResultWriterFailed"


def test_the_history_of_the_parent_tells_the_map_run(machines):
    execution = machines.start(distributed(Items=[1, 2]))
    machines.ended(execution)

    kinds = [event["type"] for event in machines.history(execution)]

    assert kinds == [
        "ExecutionStarted",
        "MapStateEntered",
        "MapStateStarted",
        "MapRunStarted",
        "MapRunSucceeded",
        "MapStateSucceeded",
        "MapStateExited",
        "ExecutionSucceeded",
    ]


def test_stopping_the_parent_stops_its_children(machines):
    each = {"Wait": {"Type": "Wait", "Seconds": 1000, "End": True}}
    execution = machines.start(distributed(each, Items=[1, 2, 3], MaxConcurrency=2))
    while not machines.client.list_map_runs(executionArn=execution)["mapRuns"]:
        pass
    run_arn = only_map_run(machines, execution)["mapRunArn"]
    while len(machines.client.list_executions(mapRunArn=run_arn, statusFilter="RUNNING")["executions"]) < 2:
        pass

    machines.client.stop_execution(executionArn=execution)

    assert machines.ended(execution)["status"] == "ABORTED"
    for child in machines.client.list_executions(mapRunArn=run_arn)["executions"]:
        assert machines.ended(child["executionArn"])["status"] == "ABORTED"
