"""The way mail leaves and news of it comes back: senders in; identities, configuration set, key and event topic out."""

from collections.abc import Iterable

from aws_cdk import CfnOutput, Duration, RemovalPolicy, Stack
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_destinations as destinations
from aws_cdk import aws_lambda_event_sources as event_sources
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_ses as ses
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from cdk.grants import Resource
from cdk.nag import acknowledge


class Mail(Construct):
    """SES, the key that signs unsubscribe links, and the topic of what became of each message."""

    def __init__(self, scope: Construct, construct_id: str, *, senders: Iterable[str], domain: str) -> None:
        super().__init__(scope, construct_id)
        stack = Stack.of(self)
        self.configuration_set = ses.ConfigurationSet(
            self,
            "ConfigurationSet",
            configuration_set_name=stack.stack_name,
            reputation_metrics=True,
            suppression_reasons=ses.SuppressionReasons.BOUNCES_AND_COMPLAINTS,
            tls_policy=ses.ConfigurationSetTlsPolicy.REQUIRE,
        )
        self.identities = [self._identity(sender) for sender in identities_of(senders, domain)]
        self.events = sns.Topic(self, "Events", enforce_ssl=True)
        self.configuration_set.add_event_destination(
            "ToTopic",
            destination=ses.EventDestination.sns_topic(self.events),
            events=[
                ses.EmailSendingEvent.DELIVERY,
                ses.EmailSendingEvent.BOUNCE,
                ses.EmailSendingEvent.COMPLAINT,
                ses.EmailSendingEvent.REJECT,
            ],
        )
        self.unsubscribe_key = secretsmanager.Secret(
            self,
            "UnsubscribeKey",
            description="Signs the unsubscribe links of Shortlist's messages",
            generate_secret_string=secretsmanager.SecretStringGenerator(password_length=64, exclude_punctuation=True),
            removal_policy=RemovalPolicy.RETAIN,
        )
        acknowledge(
            self.unsubscribe_key,
            "SMG4",
            "keys are rotated by adding one (docs/mail.md): unsubscribe links in delivered messages have to work for "
            "years, and a rotation that replaces the key would break them",
        )
        self.lost_events = sqs.Queue(
            self,
            "LostEvents",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.days(14),
        )
        acknowledge(self.lost_events, "SQS3", "this is the dead-letter queue of the events' function")

    def resources(self) -> dict[str, Resource]:
        name = self.configuration_set.configuration_set_name
        set_arn = Stack.of(self).format_arn(service="ses", resource="configuration-set", resource_name=name)
        secret_arn = self.unsubscribe_key.secret_arn
        return {
            "configuration_set": Resource([set_arn], name),
            "senders": Resource([identity.email_identity_arn for identity in self.identities]),
            "unsubscribe_key_secret": Resource([secret_arn], secret_arn),
        }

    def tell(self, function: lambda_.Function) -> None:
        """Have `function` called with every event; one that cannot be delivered, or that it fails on, is kept."""
        function.add_event_source(event_sources.SnsEventSource(self.events, dead_letter_queue=self.lost_events))
        function.configure_async_invoke(retry_attempts=2, on_failure=destinations.SqsDestination(self.lost_events))

    def _identity(self, sender: str) -> ses.EmailIdentity:
        identity = ses.Identity.email(sender) if "@" in sender else ses.Identity.domain(sender)
        made = ses.EmailIdentity(self, f"Sender-{sender}", identity=identity, configuration_set=self.configuration_set)
        if "@" not in sender:
            for number, record in enumerate(made.dkim_records, 1):
                CfnOutput(
                    Stack.of(self),
                    f"DkimRecord{number}",
                    value=f"{record.name} CNAME {record.value}",
                    description="Put this record into the domain's DNS; SES then verifies the domain",
                )
        return made


def identities_of(senders: Iterable[str], domain: str) -> list[str]:
    """The domain, if there is one, and every sender's address outside it.

    >>> identities_of(["picks@shop.example", "hello@other.example"], "shop.example")
    ['shop.example', 'hello@other.example']
    """
    outside = {s for s in senders if not domain or not s.lower().endswith("@" + domain.lower())}
    return ([domain] if domain else []) + sorted(outside)
