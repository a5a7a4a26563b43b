"""When campaigns run: campaigns and the state machine in, one EventBridge schedule per campaign and a queue out."""

from collections.abc import Iterable

from aws_cdk import Duration, Stack, TimeZone
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as targets
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from cdk.nag import acknowledge
from shortlist.config import Campaign, Schedule


class Schedules(Construct):
    """A start that fails is tried again for two hours; one that fails for good is kept in a queue with an alarm."""

    def __init__(
        self, scope: Construct, construct_id: str, *, campaigns: Iterable[Campaign], machine: sfn.StateMachine
    ) -> None:
        super().__init__(scope, construct_id)
        self.missed_starts = sqs.Queue(
            self,
            "MissedStarts",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.days(14),
        )
        acknowledge(self.missed_starts, "SQS3", "this is the dead-letter queue of the schedules")
        self._group = scheduler.ScheduleGroup(self, "Group", schedule_group_name=Stack.of(self).stack_name)
        self._role = iam.Role(self, "Role", assumed_by=self._scheduler())
        for campaign in campaigns:
            if campaign.schedule:
                self._add(campaign.name, campaign.description, campaign.schedule, machine)

    def _add(self, name: str, description: str, when: Schedule, machine: sfn.StateMachine) -> None:
        window = Duration.minutes(when.flexible_window_minutes)
        scheduler.Schedule(
            self,
            name,
            schedule_name=name,
            schedule_group=self._group,
            description=description or None,
            schedule=scheduler.ScheduleExpression.expression(f"cron({when.cron})", TimeZone.of(when.time_zone)),
            time_window=scheduler.TimeWindow.flexible(window)
            if when.flexible_window_minutes
            else scheduler.TimeWindow.off(),
            enabled=when.enabled,
            target=targets.StepFunctionsStartExecution(
                machine,
                role=self._role,
                input=scheduler.ScheduleTargetInput.from_object(
                    {"campaign": name, "scheduled": scheduler.ContextAttribute.scheduled_time}
                ),
                dead_letter_queue=self.missed_starts,
                retry_attempts=10,
                max_event_age=Duration.hours(2),
            ),
        )

    def _scheduler(self) -> iam.IPrincipal:
        stack = Stack.of(self)
        group = stack.format_arn(service="scheduler", resource="schedule-group", resource_name=stack.stack_name)
        return iam.ServicePrincipal(
            "scheduler.amazonaws.com",
            conditions={"StringEquals": {"aws:SourceAccount": stack.account, "aws:SourceArn": group}},
        )
