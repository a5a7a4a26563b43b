"""EventBridge Scheduler as AWS runs it; the clock is put forward instead of waiting."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ParamValidationError as ParamError

from tests.conformance.kit import make_role

BEGIN = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)  # a Saturday


class Clock:
    def __init__(self):
        self.now = BEGIN

    def __call__(self):
        return self.now


@pytest.fixture
def clock(aws):
    """The scheduler's clock; what is due by its time is called by `tick`."""
    before, aws.scheduler.now = aws.scheduler.now, Clock()
    yield aws.scheduler.now
    aws.scheduler.now = before


@pytest.fixture
def wait(aws, clock):
    def forward(**period):
        clock.now += timedelta(**period)
        aws.scheduler.tick()

    return forward


@pytest.fixture(scope="module")
def role(aws):
    allowed = {"Effect": "Allow", "Action": ["sqs:SendMessage", "states:StartExecution"], "Resource": "*"}
    return make_role(aws, "schedules", allowed, service="scheduler")


@pytest.fixture
def queue(aws, request):
    name = request.node.name.translate(str.maketrans("", "", "[]()*?,.#@ :"))[:80]
    return Queue(aws, name)


class Queue:
    def __init__(self, aws, name):
        self.sqs = aws.client("sqs")
        self.url = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        self.arn = f"arn:aws:sqs:{aws.region}:{aws.account}:{name}"

    def messages(self):
        found = []
        while messages := self.sqs.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            found += messages
        return found

    def bodies(self):
        return [message["Body"] for message in self.messages()]


@pytest.fixture
def schedule(aws, clock, queue, role):
    """Creates a schedule that sends its input to the queue; removed when the test ends."""
    client, made = aws.client("scheduler"), []

    def create(expression, name="a-schedule", target=None, group="default", **given):
        settings = {"FlexibleTimeWindow": {"Mode": "OFF"}, **given}
        full = {"Arn": queue.arn, "RoleArn": role, "Input": "due", **(target or {})}
        client.create_schedule(Name=name, GroupName=group, ScheduleExpression=expression, Target=full, **settings)
        made.append((name, group))

    yield create
    for name, group in made:
        if name in {found["Name"] for found in client.list_schedules(GroupName=group)["Schedules"]}:
            client.delete_schedule(Name=name, GroupName=group)


def test_a_cron_fires_at_its_local_time_and_not_before(schedule, wait, queue):
    schedule("cron(0 6 ? * MON *)", ScheduleExpressionTimezone="Europe/Berlin")  # 05:00 UTC in winter

    wait(days=1, hours=16, minutes=59)
    early = queue.bodies()
    wait(minutes=1)
    on_time = queue.bodies()
    wait(hours=1)

    assert (early, on_time, queue.bodies()) == ([], ["due"], [])


def test_a_cron_keeps_its_local_time_when_the_clock_changes(schedule, wait, queue, clock):
    schedule("cron(0 6 1 * ? *)", ScheduleExpressionTimezone="Europe/Berlin", target={"Input": scheduled_time()})

    wait(days=200)

    hours = {body[11:16] for body in queue.bodies()}
    assert hours == {"05:00", "04:00"}


def scheduled_time():
    return "<aws.scheduler.scheduled-time>"


def test_a_rate_fires_at_once_and_every_period(schedule, wait, queue):
    schedule("rate(1 hour)")

    wait(seconds=1)
    at_once = queue.bodies()
    wait(hours=3)

    assert (at_once, len(queue.bodies())) == (["due"], 3)


def test_a_one_time_schedule_fires_once(schedule, wait, queue):
    schedule("at(2026-11-21T13:00:00)")

    wait(hours=2)
    wait(days=365)

    assert queue.bodies() == ["due"]


def test_a_one_time_schedule_may_go_when_it_is_done(aws, schedule, wait, queue):
    schedule("at(2026-11-21T13:00:00)", ActionAfterCompletion="DELETE")

    wait(hours=2)

    assert queue.bodies() == ["due"]
    assert aws.client("scheduler").list_schedules()["Schedules"] == []


def test_it_fires_between_its_start_and_end_only(schedule, wait, queue):
    begin, end = BEGIN + timedelta(days=2), BEGIN + timedelta(days=4)
    schedule("cron(0 12 * * ? *)", StartDate=begin, EndDate=end, target={"Input": scheduled_time()})

    wait(days=10)

    assert [body[:10] for body in queue.bodies()] == ["2026-11-23", "2026-11-24", "2026-11-25"]


def test_a_disabled_schedule_does_not_fire_until_it_is_enabled(aws, schedule, wait, queue, role):
    schedule("rate(1 hour)", State="DISABLED")
    wait(hours=5)
    silent = queue.bodies()

    aws.client("scheduler").update_schedule(
        Name="a-schedule",
        ScheduleExpression="rate(1 hour)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": queue.arn, "RoleArn": role, "Input": "due"},
    )
    wait(hours=1)

    assert (silent, queue.bodies()) == ([], ["due"])


def test_within_a_flexible_window_it_fires_once_not_before_and_not_after(schedule, wait, queue):
    schedule("at(2026-11-21T13:00:00)", FlexibleTimeWindow={"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 30})

    wait(minutes=59)
    before = queue.bodies()
    wait(minutes=31)

    assert (before, queue.bodies()) == ([], ["due"])


def test_the_input_is_filled_with_the_schedulers_attributes(aws, schedule, wait, queue):
    names = ("schedule-arn", "scheduled-time", "execution-id", "attempt-number")
    text = json.dumps({name: f"<aws.scheduler.{name}>" for name in names})
    schedule("cron(30 12 * * ? *)", target={"Input": text})

    wait(hours=1)

    told = json.loads(queue.bodies()[0])
    assert told["schedule-arn"] == f"arn:aws:scheduler:{aws.region}:{aws.account}:schedule/default/a-schedule"
    assert told["scheduled-time"] == "2026-11-21T12:30:00Z"
    assert told["attempt-number"] == "1"
    assert told["execution-id"]


def test_schedules_of_a_group_fire_and_go_with_it(aws, schedule, wait, queue):
    aws.client("scheduler").create_schedule_group(Name="campaigns")
    schedule("rate(1 day)", name="weekly", group="campaigns")

    wait(hours=1)
    fired = queue.bodies()
    aws.client("scheduler").delete_schedule_group(Name="campaigns")
    wait(days=2)

    assert (fired, queue.bodies()) == (["due"], [])


def test_a_state_machine_is_started_with_the_input(aws, schedule, wait):
    definition = {"StartAt": "End", "QueryLanguage": "JSONata", "States": {"End": {"Type": "Succeed"}}}
    machines = aws.client("stepfunctions")
    machine = machines.create_state_machine(
        name="scheduled", definition=json.dumps(definition), roleArn=make_role(aws, "scheduled", service="states")
    )["stateMachineArn"]
    text = json.dumps({"campaign": "weekly-picks", "scheduled": scheduled_time()})
    schedule("cron(0 13 * * ? *)", target={"Arn": machine, "Input": text})

    wait(hours=1)

    (execution,) = machines.list_executions(stateMachineArn=machine)["executions"]
    told = json.loads(machines.describe_execution(executionArn=execution["executionArn"])["input"])
    assert told == {"campaign": "weekly-picks", "scheduled": "2026-11-21T13:00:00Z"}


def test_what_the_role_may_not_do_goes_to_the_dead_letter_queue_at_once(aws, schedule, wait, queue):
    lost = Queue(aws, "lost-not-allowed")
    powerless = make_role(aws, "powerless", service="scheduler")
    schedule("at(2026-11-21T13:00:00)", target={"RoleArn": powerless, "DeadLetterConfig": {"Arn": lost.arn}})

    wait(hours=1)

    (message,) = lost.messages()
    told = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert (message["Body"], queue.bodies()) == ("due", [])
    assert told["ERROR_CODE"] == "AccessDeniedException"
    assert (told["TARGET_ARN"], told["RETRY_ATTEMPTS"]) == (queue.arn, "0")


def test_a_failed_call_is_tried_again_until_it_works(aws, schedule, wait):
    arn = f"arn:aws:sqs:{aws.region}:{aws.account}:not-yet"
    schedule("at(2026-11-21T13:00:00)", target={"Arn": arn, "Input": "<aws.scheduler.attempt-number>"})

    wait(hours=1)
    queue = Queue(aws, "not-yet")
    wait(minutes=10)

    assert queue.bodies() == ["2"]


@pytest.mark.parametrize(
    ("policy", "exhausted", "retries"),
    [
        ({"MaximumRetryAttempts": 2}, "MaximumRetryAttempts", "2"),
        ({"MaximumRetryAttempts": 0}, "MaximumRetryAttempts", "0"),
        ({"MaximumEventAgeInSeconds": 60}, "MaximumEventAgeInSeconds", None),
    ],
)
def test_after_its_retries_it_is_given_up_into_the_dead_letter_queue(aws, schedule, wait, policy, exhausted, retries):
    lost = Queue(aws, f"lost-{exhausted}-{retries}")
    arn = f"arn:aws:sqs:{aws.region}:{aws.account}:never"
    target = {"Arn": arn, "RetryPolicy": policy, "DeadLetterConfig": {"Arn": lost.arn}}
    schedule("at(2026-11-21T13:00:00)", target=target)

    wait(hours=1)
    for _ in range(80):
        wait(seconds=1)

    (message,) = lost.messages()
    told = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert told["EXHAUSTED_RETRY_CONDITION"] == exhausted
    assert told["RETRY_ATTEMPTS"] == retries or retries is None


@pytest.mark.parametrize(
    ("expression", "given"),
    [
        ("cron(0 6 * * MON *)", {}),
        ("cron(0 6 ? * ? *)", {}),
        ("rate(0 minutes)", {}),
        ("tomorrow", {}),
        ("rate(1 day)", {"ScheduleExpressionTimezone": "Europe/Nowhere"}),
        ("rate(1 day)", {"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}}),
        ("rate(1 day)", {"FlexibleTimeWindow": {"Mode": "OFF", "MaximumWindowInMinutes": 5}}),
        ("rate(1 day)", {"target": {"RetryPolicy": {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 86401}}}),
    ],
)
def test_what_aws_refuses_is_refused_when_the_schedule_is_made(aws, schedule, expression, given):
    client = aws.client("scheduler")

    with pytest.raises((client.exceptions.ValidationException, ParamError)):
        schedule(expression, **given)


def test_an_update_is_checked_like_a_creation(aws, schedule, queue, role):
    schedule("rate(1 day)")
    client = aws.client("scheduler")

    with pytest.raises(client.exceptions.ValidationException):
        client.update_schedule(
            Name="a-schedule",
            ScheduleExpression="cron(0 6 * * MON *)",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": queue.arn, "RoleArn": role},
        )


def test_a_group_that_is_not_there_is_refused(aws, schedule):
    with pytest.raises(aws.client("scheduler").exceptions.ResourceNotFoundException):
        schedule("rate(1 day)", group="absent")


def test_a_target_that_is_not_emulated_is_refused_in_so_many_words(aws, schedule):
    with pytest.raises(aws.client("scheduler").exceptions.ClientError, match="Step Functions, Lambda, SQS and SNS"):
        schedule("rate(1 day)", target={"Arn": "arn:aws:ecs:eu-west-1:123456789012:cluster/c"})


def test_the_real_clock_fires_too(aws, queue, role):
    aws.client("scheduler").create_schedule(
        Name="real",
        ScheduleExpression="rate(1 hour)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": queue.arn, "RoleArn": role, "Input": "due"},
    )

    found = queue.sqs.receive_message(QueueUrl=queue.url, WaitTimeSeconds=5)["Messages"]

    aws.client("scheduler").delete_schedule(Name="real")
    assert [message["Body"] for message in found] == ["due"]
