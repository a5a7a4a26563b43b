"""How the team is told: one topic for reports, failures, alarms and the budget. An address in, a topic out."""

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from cdk.grants import Resource


class Team(Construct):
    """Messages to the team hold figures and names of stages, never a customer's data, so the topic needs no key."""

    def __init__(self, scope: Construct, construct_id: str, *, alert_email: str) -> None:
        super().__init__(scope, construct_id)
        self.topic = sns.Topic(self, "Topic", enforce_ssl=True)
        # A topic with a policy of its own no longer has the default one, which let the account's alarms in.
        for service, sources in (("cloudwatch", "cloudwatch:*:{0}:alarm:*"), ("budgets", "budgets::{0}:*")):
            self.topic.add_to_resource_policy(_from_service(self, service, sources))
        if alert_email:
            self.topic.add_subscription(subscriptions.EmailSubscription(alert_email))

    def resources(self) -> dict[str, Resource]:
        return {"topic_arn": Resource([self.topic.topic_arn], self.topic.topic_arn)}


def _from_service(team: Team, service: str, sources: str) -> iam.PolicyStatement:
    stack = Stack.of(team)
    return iam.PolicyStatement(
        actions=["sns:Publish"],
        principals=[iam.ServicePrincipal(f"{service}.amazonaws.com")],
        resources=[team.topic.topic_arn],
        conditions={
            "StringEquals": {"aws:SourceAccount": stack.account},
            "ArnLike": {"aws:SourceArn": f"arn:{stack.partition}:{sources.format(stack.account)}"},
        },
    )
