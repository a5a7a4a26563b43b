"""Task states: integrations, the names of errors, Retry, Catch and timeouts, as Step Functions has them."""

import json
import time

import pytest

from tests.conformance.kit import make_role
from tests.conformance.machines import INVOKE, Machines


@pytest.fixture(scope="module")
def machines(aws):
    return Machines(aws)


@pytest.fixture(autouse=True)
def short_waits(aws):
    aws.time_scale = 0.001
    yield
    aws.time_scale = 1.0


def pairs(values):
    return zip(values[::2], values[1::2], strict=True)


CAUGHT = {"Type": "Pass", "Output": "{% $states.input %}", "End": True}
ERROR = "{% $states.errorOutput %}"


def test_a_functions_error_is_named_by_its_type_with_the_whole_error_as_cause(machines):
    error, cause = machines.failure({"Task": machines.probe({"fail": "TransientError", "message": "busy"}, End=True)})

    told = json.loads(cause)
    assert error == "TransientError"
    assert (told["errorType"], told["errorMessage"]) == ("TransientError", "busy")
    assert "stackTrace" in told


def test_a_function_that_times_out_fails_with_sandbox_timedout(machines):
    error, cause = machines.failure({"Task": machines.probe({"sleep": 3}, End=True)})

    assert error == "Sandbox.Timedout"
    assert "Task timed out after 1.00 seconds" in json.loads(cause)["errorMessage"]


def test_a_function_that_exits_fails_with_runtime_exiterror(machines):
    error, _ = machines.failure({"Task": machines.probe({"exit": 3}, End=True)})

    assert error == "Runtime.ExitError"


def test_a_function_that_is_not_there_is_a_lambda_error(machines):
    states = {"Task": {"Type": "Task", "Resource": INVOKE, "Arguments": {"FunctionName": "absent"}, "End": True}}

    error, cause = machines.failure(states)

    assert error == "Lambda.ResourceNotFoundException"
    assert "Service: AWSLambda; Status Code: 404; Error Code: ResourceNotFoundException" in cause


def test_a_function_that_may_not_run_now_is_a_lambda_error(aws, machines):
    aws.client("lambda").put_function_concurrency(FunctionName="probe", ReservedConcurrentExecutions=0)
    retry = [{"ErrorEquals": ["Lambda.TooManyRequestsException"], "MaxAttempts": 2}]

    error, _ = machines.failure({"Task": machines.probe({}, Retry=retry, End=True)})

    aws.client("lambda").delete_function_concurrency(FunctionName="probe")
    assert error == "Lambda.TooManyRequestsException"


def test_what_the_role_may_not_do_fails_as_an_aws_lambda_exception(aws, machines):
    role = make_role(aws, "powerless", {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}, service="states")

    error, cause = machines.failure({"Task": machines.probe({}, End=True)}, role=role)

    assert error == "Lambda.AWSLambdaException"
    assert "lambda:InvokeFunction" in cause


def test_retry_calls_again_until_the_function_succeeds(machines):
    retry = [{"ErrorEquals": ["TransientError"], "IntervalSeconds": 1, "MaxAttempts": 3, "BackoffRate": 2}]
    task = machines.probe(
        {"fail": "TransientError", "times": 2, "key": "third", "answer": "at last"}, Retry=retry, End=True
    )

    assert machines.output({"Task": task})["Payload"] == "at last"


def test_retry_gives_up_after_its_attempts_and_the_error_stays(machines):
    retry = [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 2}]
    execution = machines.start({"Task": machines.probe({"fail": "Broken", "key": "gives-up"}, Retry=retry, End=True)})

    ended = machines.ended(execution)

    attempts = [event for event in machines.history(execution) if event["type"] == "TaskScheduled"]
    assert (ended["error"], len(attempts)) == ("Broken", 3)


def test_retry_waits_longer_each_time_up_to_its_longest_delay(aws, machines):
    aws.time_scale = 0.1
    retry = [
        {"ErrorEquals": ["Broken"], "IntervalSeconds": 1, "BackoffRate": 3, "MaxDelaySeconds": 4, "MaxAttempts": 3},
    ]
    execution = machines.start({"Task": machines.probe({"fail": "Broken", "key": "waits"}, Retry=retry, End=True)})

    machines.ended(execution)

    told = [e for e in machines.history(execution) if e["type"] in ("TaskFailed", "TaskScheduled")][1:-1]
    waits = [(scheduled["timestamp"] - failed["timestamp"]).total_seconds() for failed, scheduled in pairs(told)]
    assert len(waits) == 3
    for wait, least in zip(waits, [0.1, 0.3, 0.4], strict=True):
        assert least <= wait < least + 0.45  # without MaxDelaySeconds the last would be 0.9


def test_each_retrier_counts_its_own_attempts_and_others_errors_pass_it_by(machines):
    retry = [{"ErrorEquals": ["Other"], "MaxAttempts": 9}, {"ErrorEquals": ["Broken"], "MaxAttempts": 1}]
    execution = machines.start({"Task": machines.probe({"fail": "Broken", "key": "own"}, Retry=retry, End=True)})

    machines.ended(execution)

    assert sum(event["type"] == "TaskScheduled" for event in machines.history(execution)) == 2


def test_the_first_catcher_that_matches_takes_the_error_with_its_assign_and_output(machines):
    catch = [
        {"ErrorEquals": ["Other"], "Next": "Wrong"},
        {
            "ErrorEquals": ["Broken"],
            "Assign": {"failure": {"error": "{% $states.errorOutput.Error %}"}},
            "Output": {
                "cause": "{% $parse($states.errorOutput.Cause).errorMessage %}",
                "given": "{% $states.input.n %}",
            },
            "Next": "Right",
        },
        {"ErrorEquals": ["States.ALL"], "Next": "Wrong"},
    ]
    states = {
        "Task": machines.probe({"fail": "Broken", "message": "glass"}, Catch=catch, End=True),
        "Right": {"Type": "Pass", "Output": ["{% $failure.error %}", "{% $states.input %}"], "End": True},
        "Wrong": {"Type": "Fail"},
    }

    assert machines.output(states, {"n": 4}) == ["Broken", {"cause": "glass", "given": 4}]


def test_a_catcher_without_output_hands_on_the_error_output(machines):
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
    states = {"Task": machines.probe({"fail": "Broken"}, Catch=catch, End=True), "Caught": CAUGHT}

    assert machines.output(states)["Error"] == "Broken"


@pytest.mark.parametrize(
    ("error", "wanted", "caught"),
    [
        ("Broken", "States.ALL", True),
        ("Broken", "States.TaskFailed", True),
        ("Broken", "States.Timeout", False),
        ("States.Timeout", "States.TaskFailed", False),
        ("States.Timeout", "States.ALL", True),
        ("States.Runtime", "States.ALL", False),
    ],
)
def test_wildcards_catch_what_aws_says_they_catch(machines, error, wanted, caught):
    branch = {"StartAt": "Fail", "States": {"Fail": {"Type": "Fail", "Error": error}}}
    catch = [{"ErrorEquals": [wanted], "Next": "Caught"}]
    states = {"Both": {"Type": "Parallel", "Branches": [branch], "Catch": catch, "End": True}, "Caught": CAUGHT}

    assert (machines.run(states)["status"] == "SUCCEEDED") is caught


def test_an_expression_that_fails_in_a_task_can_be_caught(machines):
    catch = [{"ErrorEquals": ["States.QueryEvaluationError"], "Output": ERROR, "Next": "Caught"}]
    states = {"Task": machines.probe({"n": "{% $states.input.absent %}"}, Catch=catch, End=True), "Caught": CAUGHT}

    assert "'Arguments/Payload/n' returned nothing (undefined)" in machines.output(states)["Cause"]


def test_a_task_that_takes_longer_than_timeout_seconds_fails_with_states_timeout(aws, machines):
    aws.client("lambda").update_function_configuration(FunctionName="probe", Timeout=9)
    catch = [{"ErrorEquals": ["States.Timeout"], "Output": ERROR, "Next": "Caught"}]
    states = {"Slow": machines.probe({"sleep": 2}, TimeoutSeconds=1, Catch=catch, End=True), "Caught": CAUGHT}
    begun = time.monotonic()

    output = machines.output(states)

    aws.client("lambda").update_function_configuration(FunctionName="probe", Timeout=1)
    assert output["Error"] == "States.Timeout"
    assert time.monotonic() - begun < 1.9


def test_a_machine_that_takes_longer_than_timeout_seconds_is_timed_out(machines):
    states = {"Wait": {"Type": "Wait", "Seconds": 60_000, "End": True}}

    assert machines.run(states, TimeoutSeconds=1)["status"] == "TIMED_OUT"


def test_a_states_result_over_256_kib_fails(machines):
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
    task = machines.probe(
        {"answer": "{% $join($map([1..3000], function($x) { $string($uuid()) & $uuid() & $uuid() })) %}"}
    )

    error, _ = machines.failure({"Task": {**task, "Catch": catch, "End": True}, "Caught": CAUGHT})

    assert error == "States.DataLimitExceeded"


def test_sdk_integrations_take_and_give_names_with_a_capital_letter(aws, machines):
    aws.client("dynamodb").create_table(
        TableName="sdk",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    item = {"id": {"S": "one"}, "lower": {"M": {"case": {"S": "kept"}}}}
    arguments = {"TableName": "sdk", "Item": item}
    key = {"TableName": "sdk", "Key": {"id": {"S": "one"}}}
    states = {
        "Put": {"Type": "Task", "Resource": "arn:aws:states:::dynamodb:putItem", "Arguments": arguments, "Next": "Get"},
        "Get": {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:dynamodb:getItem", "Arguments": key, "End": True},
    }

    assert machines.output(states)["Item"] == item


def test_sns_publish_sends_the_message(aws, machines):
    topic = aws.client("sns").create_topic(Name="team")["TopicArn"]
    queue = aws.client("sqs").create_queue(QueueName="team")["QueueUrl"]
    arn = aws.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    aws.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    arguments = {"TopicArn": topic, "Subject": "run", "Message": "{% 'lists: ' & $string($states.input.n) %}"}

    machines.output(
        {"Tell": {"Type": "Task", "Resource": "arn:aws:states:::sns:publish", "Arguments": arguments, "End": True}},
        {"n": 20},
    )

    message = aws.client("sqs").receive_message(QueueUrl=queue)["Messages"][0]
    assert json.loads(message["Body"])["Message"] == "lists: 20"


def test_parallel_gives_the_outputs_of_its_branches_in_order(machines):
    def branch(name, n):
        return {
            "StartAt": name,
            "States": {name: {"Type": "Pass", "Output": f"{{% $states.input.n * {n} %}}", "End": True}},
        }

    states = {"Both": {"Type": "Parallel", "Branches": [branch("A", 2), branch("B", 3)], "End": True}}

    assert machines.output(states, {"n": 5}) == [10, 15]


def test_an_inline_map_gives_the_outputs_of_its_items_in_order_and_sees_the_variables(machines):
    each = {
        "Each": {"Type": "Pass", "Output": "{% $states.input.value * $factor + $states.input.index %}", "End": True}
    }
    states = {
        "Set": {"Type": "Pass", "Assign": {"factor": 10}, "Next": "Map"},
        "Map": {
            "Type": "Map",
            "Items": "{% $states.input.values %}",
            "ItemSelector": {
                "value": "{% $states.context.Map.Item.Value %}",
                "index": "{% $states.context.Map.Item.Index %}",
            },
            "MaxConcurrency": 2,
            "ItemProcessor": {"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": "Each", "States": each},
            "End": True,
        },
    }

    assert machines.output(states, {"values": [1, 2, 3]}) == [10, 21, 32]
