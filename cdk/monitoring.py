"""What the team looks at and is woken by: the deployed parts in; alarms, a dashboard and a budget out."""

from collections.abc import Mapping
from typing import Final

from aws_cdk import Duration, Stack
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from shortlist.contracts.deployment import HELD_BACK_METRIC, METRIC_NAMESPACE
from shortlist.contracts.stages import LAMBDA_STAGES

MAX_BOUNCE_RATE: Final = 0.04
"""SES puts an account under review at 5 %; the alarm comes before."""
MAX_COMPLAINT_RATE: Final = 0.0008
"""SES puts an account under review at 0.1 %."""
DAYS_WITHOUT_RUN: Final = 7


class Monitoring(Construct):
    """Every alarm goes to the team's topic; docs/runbook.md says what to do about each.

    Args:
        functions, tables, queues: by word.
        scheduled: whether runs are expected every week.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        topic: sns.Topic,
        machine: sfn.StateMachine,
        functions: Mapping[str, lambda_.Function],
        tables: Mapping[str, dynamodb.Table],
        queues: Mapping[str, sqs.Queue],
        configuration_set: str,
        monthly_budget_usd: int,
        scheduled: bool,
    ) -> None:
        super().__init__(scope, construct_id)
        self._topic = topic
        self._reputation = {"ses:configuration-set": configuration_set}
        self._run_alarms(machine)
        if scheduled:
            self._missed_run_alarm(machine)
        self._mail_alarms()
        for word, queue in queues.items():
            self._alarm(
                word,
                queue.metric_approximate_number_of_messages_visible(period=Duration.minutes(5), statistic="Maximum"),
                above=0,
                says=f"{word}: a message lies in the dead-letter queue; it says what could not be done.",
            )
        self._budget(monthly_budget_usd)
        self._dashboard(machine, functions, tables)

    def _run_alarms(self, machine: sfn.StateMachine) -> None:
        period = Duration.minutes(5)
        ended_badly = cloudwatch.MathExpression(
            expression="failed + timed_out + aborted",
            using_metrics={
                "failed": machine.metric_failed(period=period),
                "timed_out": machine.metric_timed_out(period=period),
                "aborted": machine.metric_aborted(period=period),
            },
            period=period,
            label="runs that did not end well",
        )
        self._alarm("FailedRun", ended_badly, above=0, says="A run failed, timed out or was stopped.")
        held_back = cloudwatch.Metric(
            namespace=METRIC_NAMESPACE,
            metric_name=HELD_BACK_METRIC,
            dimensions_map={"service": "HoldBack"},
            statistic="Sum",
            period=period,
        )
        self._alarm("HeldBackModel", held_back, above=0, says="The quality gate held a model back: nothing was mailed.")

    def _missed_run_alarm(self, machine: sfn.StateMachine) -> None:
        self._alarm(
            "MissedRun",
            machine.metric_started(period=Duration.days(1), statistic="Sum"),
            below=1,
            periods=DAYS_WITHOUT_RUN,
            silence=cloudwatch.TreatMissingData.BREACHING,
            says=f"No run has started for {DAYS_WITHOUT_RUN} days.",
        )

    def _mail_alarms(self) -> None:
        for word, metric, limit in (
            ("BounceRate", "Reputation.BounceRate", MAX_BOUNCE_RATE),
            ("ComplaintRate", "Reputation.ComplaintRate", MAX_COMPLAINT_RATE),
        ):
            self._alarm(
                word,
                self._ses(metric, Duration.hours(1)),
                above=limit,
                says=f"{word} is over {limit:.2%}: SES stops accounts whose mail is unwanted. Stop the schedules.",
            )

    def _ses(self, name: str, period: Duration) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace="AWS/SES",
            metric_name=name,
            dimensions_map=self._reputation,
            statistic="Average" if name.startswith("Reputation") else "Sum",
            period=period,
        )

    def _alarm(
        self,
        word: str,
        metric: cloudwatch.IMetric,
        *,
        says: str,
        above: float | None = None,
        below: float | None = None,
        periods: int = 1,
        silence: cloudwatch.TreatMissingData = cloudwatch.TreatMissingData.NOT_BREACHING,
    ) -> None:
        over = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
        under = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD
        alarm = cloudwatch.Alarm(
            self,
            word,
            alarm_name=f"{Stack.of(self).stack_name}-{word}",
            alarm_description=f"{says} See docs/runbook.md.",
            metric=metric,
            threshold=above if above is not None else below or 0,
            comparison_operator=over if above is not None else under,
            evaluation_periods=periods,
            treat_missing_data=silence,
        )
        alarm.add_alarm_action(actions.SnsAction(self._topic))

    def _budget(self, limit_usd: int) -> None:
        """Of the whole account: one filtered by tag counts nothing until somebody activates the tag for billing."""
        to_team = budgets.CfnBudget.SubscriberProperty(subscription_type="SNS", address=self._topic.topic_arn)
        budgets.CfnBudget(
            self,
            "Budget",
            budget=budgets.CfnBudget.BudgetDataProperty(
                budget_name=Stack.of(self).stack_name,
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budgets.CfnBudget.SpendProperty(amount=limit_usd, unit="USD"),
            ),
            notifications_with_subscribers=[
                budgets.CfnBudget.NotificationWithSubscribersProperty(
                    notification=budgets.CfnBudget.NotificationProperty(
                        notification_type=kind,
                        comparison_operator="GREATER_THAN",
                        threshold=percent,
                        threshold_type="PERCENTAGE",
                    ),
                    subscribers=[to_team],
                )
                for kind, percent in (("ACTUAL", 80), ("FORECASTED", 100))
            ],
        )

    def _dashboard(
        self,
        machine: sfn.StateMachine,
        functions: Mapping[str, lambda_.Function],
        tables: Mapping[str, dynamodb.Table],
    ) -> None:
        day = Duration.days(1)
        seconds = [
            cloudwatch.Metric(
                namespace=METRIC_NAMESPACE,
                metric_name=f"{stage}Seconds",
                dimensions_map={"service": stage},
                statistic="Maximum",
                period=day,
                label=stage,
            )
            for stage in LAMBDA_STAGES
        ]
        hour = Duration.hours(1)
        self.dashboard = cloudwatch.Dashboard(
            self, "Dashboard", dashboard_name=Stack.of(self).stack_name, default_interval=Duration.days(28)
        )
        graph = cloudwatch.GraphWidget
        self.dashboard.add_widgets(
            graph(
                title="Runs",
                left=[m(period=day) for m in (machine.metric_succeeded, machine.metric_failed, machine.metric_started)],
            ),
            graph(title="Duration of a run", left=[machine.metric_time(period=day, statistic="Maximum")]),
            graph(title="Slowest call per stage, seconds", left=seconds),
            graph(title="Lambda errors", left=[f.metric_errors(period=hour) for f in functions.values()]),
        )
        self.dashboard.add_widgets(
            graph(title="Messages", left=[self._ses(n, day) for n in ("Send", "Delivery", "Bounce", "Complaint")]),
            graph(
                title="Reputation",
                left=[self._ses(f"Reputation.{rate}Rate", hour) for rate in ("Bounce", "Complaint")],
            ),
            graph(
                title="Written to DynamoDB, units",
                left=[t.metric_consumed_write_capacity_units(period=hour, label=n) for n, t in tables.items()],
            ),
        )
        region = Stack.of(self).region
        self.dashboard_url = (
            f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}"
            f"#dashboards/dashboard/{Stack.of(self).stack_name}"
        )
