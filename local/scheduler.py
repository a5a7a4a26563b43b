"""EventBridge Scheduler that fires: the schedules moto keeps and a clock in, calls of their targets out.

moto stores schedules, checks nothing and never fires. Here expressions are checked when a schedule is made, and a
ticker calls what is due under the schedule's role, tries again as its policy says, and gives up into its dead-letter
queue.
"""

from __future__ import annotations

import logging
import random
import re
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfoNotFoundError

from botocore.exceptions import BotoCoreError, ClientError

from local.cron import parse
from local.role_clients import RoleClients

if TYPE_CHECKING:
    from local.server import EmbeddedAws

TICK_S = 0.5
_FIRST_RETRY_S, _LONGEST_RETRY_S = 1, 300
_INSTANT = timedelta(microseconds=1)
_NEVER = datetime.max.replace(tzinfo=UTC)
_FINAL = {
    "AccessDeniedException",
    "AccessDenied",
    "ValidationException",
    "InvalidExecutionInput",
    "InvalidParameterValue",
}
_TARGETS = {"states": "stepfunctions", "lambda": "lambda", "sqs": "sqs", "sns": "sns"}  # by the service of the ARN
_NAME = re.compile(r"[0-9a-zA-Z-_.]{1,64}")
_log = logging.getLogger(__name__)


def install(aws: EmbeddedAws) -> None:
    """Starts the ticker; it can be reached as `aws.scheduler`."""
    from moto.scheduler.models import EventBridgeSchedulerBackend as Backend

    create, update = Backend.create_schedule, Backend.update_schedule

    def create_schedule(self: Any, **given: Any) -> Any:
        self.get_schedule_group(given["group_name"])
        _check(given)
        return aws.scheduler.begin(lambda: create(self, **given))

    def update_schedule(self: Any, **given: Any) -> Any:
        _check(given)
        return update(self, **{**given, "state": given["state"] or "ENABLED"})

    aws.replace(Backend, "create_schedule", create_schedule)
    aws.replace(Backend, "update_schedule", update_schedule)
    aws.scheduler = Scheduler(aws)
    aws.scheduler.start()
    aws.on_stop(aws.scheduler.stop)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a schedule's target, to be made at `due`."""

    schedule: Any  # moto's
    scheduled: datetime
    due: datetime
    execution_id: str
    attempt: int = 1


class Scheduler:
    """Fires what became due between two looks at the clock.

    Attributes:
        now: the clock, in UTC; tests put their own in its place and call `tick`.
        rng: places calls within flexible windows.
    """

    def __init__(self, aws: EmbeddedAws, now: Callable[[], datetime] = lambda: datetime.now(tz=UTC)) -> None:
        self.now = now
        self.rng = random.Random()  # noqa: S311 - spreads load
        self._aws = aws
        self._clients = RoleClients(aws)
        self._lock = threading.Lock()
        self._began: dict[str, datetime] = {}  # by schedule ARN: when it was made
        self._looked: dict[str, datetime] = {}  # and up to when its calls are made or waiting
        self._waiting: list[Call] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scheduler", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(timeout=10)
        self._clients.close()

    def _run(self) -> None:
        while not self._stopped.wait(TICK_S):
            try:
                self.tick()
            except Exception:  # one schedule that cannot be read does not silence the others for good
                _log.exception("tick_failed")

    def begin(self, make: Callable[[], Any]) -> Any:
        """Makes a schedule that begins now: a rate starts here."""
        with self._lock:
            schedule, now = make(), self.now()
            self._began[schedule.arn], self._looked[schedule.arn] = now, now - _INSTANT
        return schedule

    def tick(self) -> None:
        """Calls every target due since the last tick."""
        with self._lock:
            now = self.now()
            for schedule in self._schedules():
                self._waiting += self._due(schedule, now)
            due = [call for call in self._waiting if call.due <= now]
            self._waiting = [call for call in self._waiting if call.due > now]
            for call in sorted(due, key=lambda call: call.due):
                self._make(call, now)

    def _schedules(self) -> list[Any]:
        from moto.scheduler.models import scheduler_backends

        groups = scheduler_backends[self._aws.account][self._aws.region].schedule_groups
        return [schedule for group in [*groups.values()] for schedule in [*group.schedules.values()]]

    def _due(self, schedule: Any, now: datetime) -> list[Call]:
        since = self._looked[schedule.arn]
        self._looked[schedule.arn] = now
        if schedule.state != "ENABLED":
            return []
        expression = parse(schedule.schedule_expression, schedule.schedule_expression_timezone)
        start = _moment(schedule.start_date) or self._began[schedule.arn]
        end = _moment(schedule.end_date) or _NEVER
        calls = []
        moment = expression.after(max(since, start - _INSTANT), start)
        while moment is not None and moment <= min(now, end):
            calls.append(Call(schedule, moment, moment + self._spread(schedule), uuid.uuid4().hex[:16]))
            moment = expression.after(moment, start)
        if (moment is None or moment > end) and schedule.action_after_completion == "DELETE":
            self._aws.client("scheduler").delete_schedule(Name=schedule.name, GroupName=schedule.group_name)
        return calls

    def _spread(self, schedule: Any) -> timedelta:
        window = schedule.flexible_time_window
        minutes = window["MaximumWindowInMinutes"] if window["Mode"] == "FLEXIBLE" else 0
        return timedelta(seconds=self.rng.uniform(0, minutes * 60))

    def _make(self, call: Call, now: datetime) -> None:
        target = call.schedule.target
        text = _with_context(target.get("Input", "{}"), call)
        try:
            self._send(call.schedule.name, target, text)
            _log.info("schedule_fired %s %s", call.schedule.name, call.scheduled.isoformat())
        except (ClientError, BotoCoreError) as error:
            code = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
            _log.warning("schedule_failed %s attempt %s: %s", call.schedule.name, call.attempt, error)
            self._again_or_never(call, now, code, str(error), text)

    def _send(self, name: str, target: dict[str, Any], text: str) -> None:
        """Calls the target as the schedule's role."""
        arn = target["Arn"]
        service = _TARGETS[arn.split(":")[2]]
        client = self._clients.get(service, target["RoleArn"], f"schedule:{name}")
        if service == "stepfunctions":
            client.start_execution(stateMachineArn=arn, input=text)
        elif service == "lambda":
            client.invoke(FunctionName=arn, InvocationType="Event", Payload=text.encode())
        elif service == "sqs":
            queue = f"{self._aws.endpoint}/{arn.split(':')[4]}/{arn.rpartition(':')[2]}"
            client.send_message(QueueUrl=queue, MessageBody=text, **target.get("SqsParameters", {}))
        else:
            client.publish(TopicArn=arn, Message=text)

    def _again_or_never(self, call: Call, now: datetime, code: str, said: str, text: str) -> None:
        policy = call.schedule.target["RetryPolicy"]
        exhausted = None
        if call.attempt > policy.get("MaximumRetryAttempts", 185):
            exhausted = "MaximumRetryAttempts"
        wait = min(_FIRST_RETRY_S * 2 ** (call.attempt - 1), _LONGEST_RETRY_S)
        again = now + timedelta(seconds=wait)
        if again - call.due > timedelta(seconds=policy.get("MaximumEventAgeInSeconds", 86_400)):
            exhausted = exhausted or "MaximumEventAgeInSeconds"
        if exhausted or code in _FINAL:
            self._bury(call, code, said, text, exhausted or "MaximumRetryAttempts")
        else:
            self._waiting.append(replace(call, due=again, attempt=call.attempt + 1))

    def _bury(self, call: Call, code: str, said: str, text: str, exhausted: str) -> None:
        """Puts the event into the dead-letter queue, if there is one."""
        arn = call.schedule.target.get("DeadLetterConfig", {}).get("Arn")
        if not arn:
            return
        told = {
            "ERROR_CODE": code,
            "ERROR_MESSAGE": said,
            "EXECUTION_ID": call.execution_id,
            "EXHAUSTED_RETRY_CONDITION": exhausted,
            "IS_PAYLOAD_TRUNCATED": "false",
            "RETRY_ATTEMPTS": str(call.attempt - 1),
            "SCHEDULED_TIME": _iso(call.scheduled),
            "SCHEDULE_ARN": call.schedule.arn,
            "TARGET_ARN": call.schedule.target["Arn"],
        }
        attributes = {name: {"StringValue": value, "DataType": "String"} for name, value in told.items()}
        sqs = self._aws.client("sqs")
        queue = sqs.get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"]
        sqs.send_message(QueueUrl=queue, MessageBody=text, MessageAttributes=attributes)


def _check(given: dict[str, Any]) -> None:
    """Raises ValidationException for what EventBridge Scheduler refuses, NotImplementedError for other targets."""
    from moto.scheduler.exceptions import ValidationException

    expression, zone = given["schedule_expression"], given["schedule_expression_timezone"] or "UTC"
    try:
        parse(expression, zone)
    except ZoneInfoNotFoundError as error:
        raise ValidationException(f"Invalid Schedule Expression Timezone {zone}.") from error
    except ValueError as error:
        raise ValidationException(f"Invalid Schedule Expression {expression}. ({error})") from error
    for wrong in _wrong(given):
        raise ValidationException(wrong)
    arn = given["target"]["Arn"]
    if arn.split(":")[2] not in _TARGETS:
        raise NotImplementedError(
            f"a schedule with the target {arn} (Step Functions, Lambda, SQS and SNS are emulated)"
        )


def _wrong(given: dict[str, Any]) -> list[str]:
    window, policy = given["flexible_time_window"], given["target"].get("RetryPolicy", {})
    minutes = window.get("MaximumWindowInMinutes")
    checks = {
        f"Invalid schedule name {given['name']}.": _NAME.fullmatch(given["name"]) is not None,
        "MaximumWindowInMinutes must be 1 to 1440 for a FLEXIBLE window, and absent when it is OFF.": (
            isinstance(minutes, int) and 1 <= minutes <= 1440 if window["Mode"] == "FLEXIBLE" else minutes is None
        ),
        "MaximumRetryAttempts must be 0 to 185.": 0 <= policy.get("MaximumRetryAttempts", 0) <= 185,
        "MaximumEventAgeInSeconds must be 60 to 86400.": 60 <= policy.get("MaximumEventAgeInSeconds", 60) <= 86_400,
        "The execution role of the target is missing.": bool(given["target"].get("RoleArn")),
    }
    return [said for said, right in checks.items() if not right]


def _with_context(text: str, call: Call) -> str:
    """The input with the scheduler's own attributes filled in."""
    values = {
        "schedule-arn": call.schedule.arn,
        "scheduled-time": _iso(call.scheduled),
        "execution-id": call.execution_id,
        "attempt-number": str(call.attempt),
    }
    for name, value in values.items():
        text = text.replace(f"<aws.scheduler.{name}>", value)
    return text


def _moment(given: float | str | None) -> datetime | None:
    if given is None:
        return None
    return datetime.fromtimestamp(given, tz=UTC) if isinstance(given, int | float) else datetime.fromisoformat(given)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
