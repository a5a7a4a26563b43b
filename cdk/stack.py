"""The stack: settings and campaigns in, every capability composed, and what the command line looks up as outputs."""

from collections.abc import Sequence
from typing import Any

from aws_cdk import CfnOutput, Stack, Tags
from constructs import Construct

from cdk.bundling import function_code, layer_code
from cdk.functions import CodeOf, Functions
from cdk.mail import Mail
from cdk.monitoring import Monitoring
from cdk.schedules import Schedules
from cdk.settings import Settings
from cdk.state_machine import StateMachine
from cdk.storage import Storage
from cdk.team import Team
from cdk.training import Training
from shortlist.config import Campaign
from shortlist.contracts.keys import INPUT_PREFIX


class ShortlistStack(Stack):
    """One deployment of Shortlist."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        campaigns: Sequence[Campaign],
        code_of: CodeOf = function_code,
        layer_of: CodeOf = layer_code,
        **stack: Any,
    ) -> None:
        super().__init__(scope, construct_id, **stack)
        storage = Storage(self, "Storage")
        team = Team(self, "Team", alert_email=settings.alert_email)
        mailed = [campaign.mail for campaign in campaigns if campaign.mail]
        mail = Mail(
            self,
            "Mail",
            senders={one.sender for one in mailed if not one.smtp},
            domain=settings.sender_domain,
            track=settings.track,
            smtp=any(one.smtp for one in mailed),
        )
        resources = storage.resources() | team.resources() | mail.resources()
        prefixes = tuple(sorted({INPUT_PREFIX, *(campaign.input.prefix for campaign in campaigns)}))
        training = Training(self, "Training", settings=settings, input_prefixes=prefixes, resources=resources)
        functions = Functions(
            self, "Functions", target=settings.target, resources=resources, code_of=code_of, layer_of=layer_of
        )
        mail.tell(functions.by_word["MailEvents"])
        machine = StateMachine(
            self, "StateMachine", bucket=storage.bucket, training=training, functions=functions.by_word
        ).machine
        schedules = Schedules(self, "Schedules", campaigns=campaigns, machine=machine)
        monitoring = Monitoring(
            self,
            "Monitoring",
            topic=team.topic,
            machine=machine,
            functions=functions.by_word,
            tables=storage.tables,
            queues={"MissedStart": schedules.missed_starts, "LostMailEvent": mail.lost_events},
            configuration_set=mail.configuration_set.configuration_set_name,
            monthly_budget_usd=settings.monthly_budget_usd,
            scheduled=any(campaign.schedule and campaign.schedule.enabled for campaign in campaigns),
        )
        Tags.of(self).add("project", "shortlist")
        self._output(
            BucketName=storage.bucket.bucket_name,
            StateMachineArn=machine.state_machine_arn,
            **{f"{name.capitalize()}TableName": table.table_name for name, table in storage.tables.items()},
            TopicArn=team.topic.topic_arn,
            UnsubscribeUrl=functions.unsubscribe_url,
            DashboardUrl=monitoring.dashboard_url,
        )

    def _output(self, **values: str) -> None:
        """What the command line finds the deployment by."""
        for name, value in values.items():
            CfnOutput(self, name, value=value)
