"""Lambda as AWS runs it: each case deploys a few lines as a zip and invokes them."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.conformance.kit import archive, make_role


@pytest.fixture(scope="module")
def role(aws):
    return make_role(aws, "plain-function", {"Effect": "Allow", "Action": "logs:*", "Resource": "*"})


@pytest.fixture
def function(aws, role, request):
    """Deploys a handler under the test's name; returns a function that invokes it."""
    name = request.node.name.removeprefix("test_").replace("[", "-").replace("]", "")[:60]

    def deploy(source: str, handler: str = "index.handler", **settings):
        aws.client("lambda").create_function(
            FunctionName=name,
            Runtime="python3.13",
            Role=role,
            Handler=handler,
            Code={"ZipFile": archive(index=source)},
            **{"MemorySize": 256, "Timeout": 10, **settings},
        )
        return Deployed(aws, name)

    return deploy


class Deployed:
    def __init__(self, aws, name):
        self.aws = aws
        self.name = name

    def __call__(self, event=None, **settings):
        return self.aws.client("lambda").invoke(FunctionName=self.name, Payload=json.dumps(event or {}), **settings)

    def result(self, event=None):
        answer = self(event)
        assert "FunctionError" not in answer, answer["Payload"].read()
        return json.load(answer["Payload"])

    def error(self, event=None):
        answer = self(event)
        assert answer["FunctionError"] == "Unhandled"
        return json.load(answer["Payload"])

    def log(self):
        events = self.aws.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{self.name}")["events"]
        return [event["message"] for event in events]


def test_the_handler_of_the_zip_runs_with_the_event(function):
    double = function("def handler(event, context): return {'twice': event['n'] * 2}")

    assert double.result({"n": 21}) == {"twice": 42}


def test_an_invocation_without_payload_gets_an_empty_event(aws, function):
    echo = function("def handler(event, context): return event")

    answer = aws.client("lambda").invoke(FunctionName=echo.name)

    assert json.load(answer["Payload"]) == {}


def test_it_calls_aws_as_its_own_role(function):
    whoami = function("""
        import boto3
        def handler(event, context):
            return boto3.client("sts").get_caller_identity()["Arn"]
    """)

    assert whoami.result().startswith("arn:aws:sts::123456789012:assumed-role/plain-function/")


def test_only_the_zip_and_what_the_runtime_brings_can_be_imported(function):
    importer = function("""
        def handler(event, context):
            import boto3
            __import__(event["module"])
    """)

    error = importer.error({"module": "numpy"})  # installed beside this test, absent from the zip

    assert error["errorType"] == "ModuleNotFoundError"


def test_it_sees_its_own_settings_and_the_reserved_variables(function):
    variables = function(
        "import os\ndef handler(event, context): return dict(os.environ)",
        Environment={"Variables": {"TABLE": "t"}},
        MemorySize=512,
    ).result()

    assert variables["TABLE"] == "t"
    assert variables["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "512"
    assert variables["_HANDLER"] == "index.handler"
    assert variables["AWS_REGION"] == "eu-west-1"
    assert "PYTEST_CURRENT_TEST" not in variables


def test_the_context_knows_request_deadline_and_function(function):
    context = function(
        """
        def handler(event, context):
            return [context.get_remaining_time_in_millis(), context.function_name, context.invoked_function_arn,
                    context.memory_limit_in_mb, len(context.aws_request_id)]
        """,
        Timeout=5,
    )

    left, name, arn, memory, id_length = context.result()

    assert 4000 < left <= 5000
    assert (name, memory, id_length) == (context.name, "256", 36)
    assert arn.endswith(f":function:{context.name}")


def test_a_second_invocation_finds_the_environment_warm(aws, function):
    counter = function("""
        import os
        calls = []
        def handler(event, context):
            calls.append(1)
            return [len(calls), os.getpid()]
    """)

    first, second = counter.result(), counter.result()

    assert (first[0], second[0]) == (1, 2)
    assert first[1] == second[1]
    assert [i.cold for i in aws.invocations if i.name == counter.name] == [True, False]


def test_invocations_at_the_same_time_get_environments_of_their_own(function):
    sleeper = function("import os, time\ndef handler(event, context): time.sleep(0.5); return os.getpid()")

    with ThreadPoolExecutor(2) as pool:
        processes = set(pool.map(lambda _: sleeper.result(), range(2)))

    assert len(processes) == 2


def test_an_exception_is_told_by_type_message_and_trace(function):
    raiser = function("def handler(event, context): raise ValueError('no such shard')")

    error = raiser.error()

    assert (error["errorType"], error["errorMessage"]) == ("ValueError", "no such shard")
    assert "index.py" in error["stackTrace"][0]
    assert any("[ERROR] ValueError: no such shard" in line for line in raiser.log())


def test_a_function_over_its_time_is_killed_and_the_next_starts_cold(aws, function):
    sleeper = function("import time\ndef handler(event, context): time.sleep(event['s']); return 'woke'", Timeout=1)

    error = sleeper.error({"s": 30})

    assert error["errorType"] == "Sandbox.Timedout"
    assert error["errorMessage"].endswith("Task timed out after 1.00 seconds")
    assert sleeper.result({"s": 0}) == "woke"
    assert [i.cold for i in aws.invocations if i.name == sleeper.name] == [True, True]


def test_a_function_over_its_memory_is_killed(aws, function):
    eater = function(
        "import time\ndef handler(event, context):\n    x = bytearray(300 * 1024 * 1024)\n    time.sleep(3)",
        MemorySize=128,
    )

    error = eater.error()

    assert error["errorType"] == "Runtime.OutOfMemory"
    assert error["errorMessage"].endswith("Error: Runtime exited with error: signal: killed")
    assert next(i for i in aws.invocations if i.name == eater.name).peak_rss_mib > 128


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("os._exit(3)", "Runtime exited with error: exit status 3"),
        ("sys.exit(0)", "Runtime exited without providing a reason"),
        ("os.kill(os.getpid(), 9)", "Runtime exited with error: signal: killed"),
    ],
)
def test_a_process_that_ends_is_a_runtime_exit(aws, role, statement, message):
    name = f"exits-{abs(hash(statement))}"
    source = f"import os, sys\ndef handler(event, context): {statement}"
    aws.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=role,
        Handler="index.handler",
        Code={"ZipFile": archive(index=source)},
    )

    error = Deployed(aws, name).error()

    assert error["errorType"] == "Runtime.ExitError"
    assert error["errorMessage"].endswith(message)


@pytest.mark.parametrize(
    ("source", "handler", "kind"),
    [
        ("import nothing_of_the_kind\ndef handler(e, c): pass", "index.handler", "Runtime.ImportModuleError"),
        ("x = 1", "index.handler", "Runtime.HandlerNotFound"),
        ("x = 1", "handler", "Runtime.MalformedHandlerName"),
        ("def handler(:", "index.handler", "Runtime.UserCodeSyntaxError"),
        ("raise KeyError('TABLE')", "index.handler", "KeyError"),
    ],
)
def test_a_failed_initialisation_fails_each_invocation(aws, role, source, handler, kind):
    name = f"init-{kind.replace('.', '-')}"
    aws.client("lambda").create_function(
        FunctionName=name, Runtime="python3.13", Role=role, Handler=handler, Code={"ZipFile": archive(index=source)}
    )
    failing = Deployed(aws, name)

    assert [failing.error()["errorType"] for _ in range(2)] == [kind, kind]


def test_a_result_that_is_no_json_is_a_marshal_error(function):
    error = function("def handler(event, context): return {1, 2}").error()

    assert error["errorType"] == "Runtime.MarshalError"


def test_a_decimal_comes_back_as_a_number(function):
    result = function("""
        from decimal import Decimal
        def handler(event, context): return [Decimal("2"), Decimal("0.5")]
    """).result()

    assert result == [2, 0.5]


def test_what_it_prints_is_in_its_log_between_start_and_report(function):
    talker = function("""
        import sys
        def handler(event, context):
            print("to stdout")
            print("to stderr", file=sys.stderr)
    """)

    talker.result()
    talker.result()

    words = [line.split()[0] for line in talker.log() if not line.startswith("to ")]
    assert words == ["START", "END", "REPORT"] * 2
    assert talker.log().count("to stdout") == talker.log().count("to stderr") == 2


def test_the_log_goes_to_the_group_that_the_function_names(aws, function):
    aws.client("logs").create_log_group(logGroupName="named")
    talker = function("def handler(e, c): print('here')", LoggingConfig={"LogGroup": "named", "LogFormat": "JSON"})

    talker.result()

    assert "here" in [e["message"] for e in aws.client("logs").filter_log_events(logGroupName="named")["events"]]
    assert aws.client("lambda").get_function_configuration(FunctionName=talker.name)["LoggingConfig"] == {
        "LogFormat": "JSON",
        "LogGroup": "named",
    }


def test_without_the_permission_there_is_no_log(aws):
    role = make_role(aws, "silent")
    aws.client("lambda").create_function(
        FunctionName="silent",
        Runtime="python3.13",
        Role=role,
        Handler="index.handler",
        Code={"ZipFile": archive(index="def handler(event, context): print('unheard')")},
    )
    silent = Deployed(aws, "silent")

    silent.result()

    with pytest.raises(aws.client("logs").exceptions.ResourceNotFoundException):
        silent.log()


def test_new_code_takes_effect_at_the_next_invocation(aws, function):
    versioned = function("def handler(event, context): return 1")
    assert versioned.result() == 1

    aws.client("lambda").update_function_code(
        FunctionName=versioned.name, ZipFile=archive(index="def handler(event, context): return 2")
    )

    assert versioned.result() == 2


def test_a_new_setting_takes_effect_at_the_next_invocation(aws, function):
    reader = function("import os\ndef handler(e, c): return os.environ.get('X')")
    assert reader.result() is None

    aws.client("lambda").update_function_configuration(
        FunctionName=reader.name, Environment={"Variables": {"X": "new"}}
    )

    assert reader.result() == "new"


def test_a_payload_over_six_mebibytes_is_refused(aws, function):
    function("def handler(event, context): return 1")
    client = aws.client("lambda")

    with pytest.raises(client.exceptions.RequestTooLargeException):
        client.invoke(FunctionName="a_payload_over_six_mebibytes_is_refused", Payload=json.dumps("x" * 7_000_000))


def test_a_result_over_six_mebibytes_is_an_error(function):
    error = function("def handler(event, context): return 'x' * 7_000_000").error()

    assert error["errorType"] == "Function.ResponseSizeTooLarge"


def test_an_asynchronous_invocation_answers_at_once_and_is_tried_three_times(aws, function):
    failing = function("import time\ndef handler(event, context): time.sleep(0.2); raise ValueError('again')")

    begun = time.monotonic()
    answer = failing(InvocationType="Event")
    took = time.monotonic() - begun
    deadline = time.monotonic() + 10
    while sum(i.name == failing.name for i in aws.invocations) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)

    assert answer["StatusCode"] == 202
    assert took < 0.2
    assert [i.error for i in aws.invocations if i.name == failing.name] == ["ValueError"] * 3


def test_a_dry_run_runs_nothing(aws, function):
    never = function("def handler(event, context): raise ValueError")

    assert never(InvocationType="DryRun")["StatusCode"] == 204
    assert not [i for i in aws.invocations if i.name == never.name]


def test_a_function_with_no_concurrency_is_throttled(aws, function):
    closed = function("def handler(event, context): return 1")
    client = aws.client("lambda")
    client.put_function_concurrency(FunctionName=closed.name, ReservedConcurrentExecutions=0)

    with pytest.raises(client.exceptions.TooManyRequestsException):
        closed()


def test_it_may_write_to_a_temporary_folder_of_its_own(function):
    folder = function("import tempfile\ndef handler(event, context): return tempfile.gettempdir()").result()

    assert Path(folder).is_dir()
    assert folder != "/tmp"


def test_what_is_no_zip_is_refused(aws, role):
    client = aws.client("lambda")

    with pytest.raises(client.exceptions.InvalidParameterValueException, match="Could not unzip"):
        client.create_function(
            FunctionName="no-zip", Runtime="python3.13", Role=role, Handler="i.h", Code={"ZipFile": b"nothing"}
        )


def test_metrics_in_the_log_are_metrics_of_cloudwatch(aws, function):
    printing = function("""
        import json
        def handler(event, context):
            metrics = [{"Name": "Sent", "Unit": "Count"}]
            told = {"Namespace": "Shop", "Dimensions": [["service"], []], "Metrics": metrics}
            print(json.dumps({"_aws": {"CloudWatchMetrics": [told]}, "service": "mail", "Sent": [2, 3]}))
    """)

    printing.result()

    found = aws.client("cloudwatch").list_metrics(Namespace="Shop", MetricName="Sent")["Metrics"]
    assert {len(metric["Dimensions"]) for metric in found} == {0, 1}
    now = datetime.now(UTC)
    points = aws.client("cloudwatch").get_metric_statistics(
        Namespace="Shop",
        MetricName="Sent",
        Dimensions=[{"Name": "service", "Value": "mail"}],
        StartTime=now - timedelta(minutes=5),
        EndTime=now + timedelta(minutes=5),
        Period=600,
        Statistics=["Sum"],
    )["Datapoints"]
    assert sum(point["Sum"] for point in points) == 5
