"""Names by which a deployed stack is found: the stack, its outputs, its metrics. CDK and `shortlist.aws` share them."""

from typing import Final

STACK_NAME: Final = "Shortlist"

OUTPUTS: Final = {
    "bucket": "BucketName",
    "recommendations_table": "RecommendationsTableName",
    "runs_table": "RunsTableName",
    "deliveries_table": "DeliveriesTableName",
    "suppressions_table": "SuppressionsTableName",
    "responses_table": "ResponsesTableName",
    "state_machine_arn": "StateMachineArn",
    "topic_arn": "TopicArn",
}
"""Field of `shortlist.aws.deployment.Deployment` -> name of the stack's output."""

SMTP_LOGIN_SECRET: Final = f"{STACK_NAME}/SmtpLogin"
"""Name of the secret with the login of the campaigns' mail server; it exists where one of them has `mail.smtp`."""

METRIC_NAMESPACE: Final = "Shortlist"
HELD_BACK_METRIC: Final = "HeldBack"
"""Count 1, dimension service=HoldBack, each time a model is held back."""
