"""MailTransport over SES v2: raw messages with tags in, SES's message ids out.

SES puts its own Message-ID and Date in place of ours (docs: "Header fields in Amazon SES"), everything else goes out as
it is.
"""

from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError

from shortlist.errors import ContractError, DailyQuotaError, MessageRejectedError, TransientError
from shortlist.ports import OutgoingMessage, SendQuota

_NOT_NOW: Final = {"TooManyRequestsException", "LimitExceededException", "ThrottlingException", "Throttling"}
_SET_UP: Final = {
    "AccountSuspendedException",
    "SendingPausedException",
    "MailFromDomainNotVerifiedException",
    "NotFoundException",
    "AccessDeniedException",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "ExpiredTokenException",
}
_REFUSED: Final = {"MessageRejected", "BadRequestException"}


ONCE: Final = Config(
    retries={"mode": "standard", "total_max_attempts": 1}, connect_timeout=5, read_timeout=15, tcp_keepalive=True
)
"""Never repeat a call: a message whose answer was lost may have been taken. Shorter than delivery.MARGIN_S."""


def ses_client() -> Any:
    """A client that calls once."""
    return boto3.client("sesv2", config=ONCE)


class SesTransport:
    """The SES account of a deployment.

    Args:
        client: see `ses_client`.
        configuration_set: that publishes the events of our messages; empty for none.
    """

    def __init__(self, client: Any, configuration_set: str = "") -> None:
        self._client = client
        self._configuration_set = configuration_set

    def send(self, message: OutgoingMessage) -> str:
        settings = {"ConfigurationSetName": self._configuration_set} if self._configuration_set else {}
        try:
            answer = self._client.send_email(
                FromEmailAddress=message.sender,
                Destination={"ToAddresses": [message.recipient]},
                Content={"Raw": {"Data": message.mime}},
                EmailTags=[{"Name": name, "Value": value} for name, value in message.tags.items()],
                **settings,
            )
        except (ConnectTimeoutError, EndpointConnectionError) as error:
            raise TransientError(f"SES could not be reached ({type(error).__name__}).") from error
        except ClientError as error:
            raise _translated(error, message.sender) from error
        return str(answer["MessageId"])

    def quota(self) -> SendQuota:
        try:
            quota = self._client.get_account()["SendQuota"]
        except ClientError as error:
            if error.response["Error"].get("Code") in _NOT_NOW:
                raise TransientError("SES throttles GetAccount.") from error
            raise
        return SendQuota(
            max_per_second=quota["MaxSendRate"],
            max_per_day=quota["Max24HourSend"],
            sent_last_day=quota["SentLast24Hours"],
        )


def _translated(error: ClientError, sender: str) -> Exception:
    """The error in the port's words; SES's own message may hold the recipient's address and is not passed on."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    said = str(error.response.get("Error", {}).get("Message", ""))
    if code in _NOT_NOW:
        if "daily" in said.lower():
            return DailyQuotaError("SES: the daily quota of messages is used up.")
        return TransientError(f"SES answered {code}: the message was not taken.")
    own_address = sender.rpartition("<")[2].rstrip(">")
    unverified = "not verified" in said and (own_address in said or f": {own_address.partition('@')[2]}" in said)
    if code in _SET_UP or unverified:
        cause = f"the sender {own_address} is not a verified identity" if unverified else f"it answered {code}"
        cure = (
            "deploy with the campaign's file in campaigns/, or with its domain as `sender_domain`"
            if code == "AccessDeniedException"
            else "put it right (docs/deploy.md)"
        )
        return ContractError(f"SES takes no message from {own_address}: {cause}. Cure: {cure}, then resume the run.")
    if code in _REFUSED:
        return MessageRejectedError(
            f"SES refused the message: {code}{', address not verified' * ('not verified' in said)}"
        )
    return error
