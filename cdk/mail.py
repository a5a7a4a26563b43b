"""The way mail leaves and news of it comes back: senders in; identities, configuration set, key and event topic out."""

from collections.abc import Iterable
from typing import Final

from aws_cdk import CfnOutput, Duration, RemovalPolicy, SecretValue, Stack
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_ses as ses
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from cdk.grants import Resource
from cdk.nag import acknowledge
from shortlist.contracts.deployment import SMTP_LOGIN_SECRET

BATCH_SIZE: Final = 100
BATCH_WINDOW: Final = Duration.seconds(5)
"""An event waits so long for others, so that a mailing takes one invocation for every hundred messages."""
EVENT_HIDDEN: Final = Duration.seconds(6 * 60 + 5)
"""Six times the function's timeout and the window: Lambda may try a throttled batch again before it is seen anew."""
RECEIVES: Final = 5


class Mail(Construct):
    """SES or a mail server's login, the key of unsubscribe links, topic and queue of what became of each message.

    Args:
        track: whether SES puts its pixel and its redirects into messages, and tells of opens and clicks.
        smtp: whether some campaign is sent by a mail server, whose login then has its place here.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, senders: Iterable[str], domain: str, track: bool, smtp: bool
    ) -> None:
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
                *((ses.EmailSendingEvent.OPEN, ses.EmailSendingEvent.CLICK) if track else ()),
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
        self.smtp_login = self._smtp_login() if smtp else None
        self.lost_events = sqs.Queue(
            self,
            "LostEvents",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.days(14),
        )
        acknowledge(self.lost_events, "SQS3", "this is the dead-letter queue of the events' queue")
        self.event_queue = sqs.Queue(
            self,
            "EventQueue",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            visibility_timeout=EVENT_HIDDEN,
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.lost_events, max_receive_count=RECEIVES),
        )
        # Raw, so that an event has one form in either queue, whichever way it came into the second.
        to_queue = subscriptions.SqsSubscription(
            self.event_queue, raw_message_delivery=True, dead_letter_queue=self.lost_events
        )
        self.events.add_subscription(to_queue)

    def resources(self) -> dict[str, Resource]:
        name = self.configuration_set.configuration_set_name
        set_arn = Stack.of(self).format_arn(service="ses", resource="configuration-set", resource_name=name)
        secret_arn = self.unsubscribe_key.secret_arn
        login_arn = self.smtp_login.secret_arn if self.smtp_login else ""
        return {
            "configuration_set": Resource([set_arn], name),
            "mail_events": Resource([self.event_queue.queue_arn]),
            "senders": Resource([identity.email_identity_arn for identity in self.identities]),
            "unsubscribe_key_secret": Resource([secret_arn], secret_arn),
            "smtp_login_secret": Resource([login_arn], login_arn) if login_arn else Resource([]),
        }

    def tell(self, function: lambda_.Function) -> None:
        """Have `function` called with every event, in batches; one that cannot be delivered or handled is kept."""
        function.add_event_source_mapping(
            "Events",
            event_source_arn=self.event_queue.queue_arn,
            batch_size=BATCH_SIZE,
            max_batching_window=BATCH_WINDOW,
            report_batch_item_failures=True,
        )

    def _smtp_login(self) -> secretsmanager.Secret:
        login = secretsmanager.Secret(
            self,
            "SmtpLogin",
            secret_name=SMTP_LOGIN_SECRET,
            description="Login of the mail server of Shortlist's campaigns; put it in after the first deployment",
            secret_object_value={"username": SecretValue.unsafe_plain_text("")},
            removal_policy=RemovalPolicy.RETAIN,
        )
        acknowledge(login, "SMG4", "the mail server's owner gives and changes this login, not AWS")
        return login

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
