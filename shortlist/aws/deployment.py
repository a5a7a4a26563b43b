"""An account comes in; the names of what is deployed in it go out, read from the outputs of the stack."""

import os
from typing import Any

import boto3
import msgspec
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from shortlist.contracts.deployment import OUTPUTS, STACK_NAME
from shortlist.errors import ContractError

_PATIENT = Config(retries={"mode": "standard", "max_attempts": 6}, connect_timeout=10, read_timeout=60)
_CURE = "Deploy it (docs/deploy.md), or correct the region and the credentials."


class Account:
    """An AWS account as boto3 finds it by its environment, or the embedded AWS at `endpoint`."""

    def __init__(self, endpoint: str = "", region: str = "") -> None:
        key = "test" if endpoint else None
        # The other SDKs and the CLIs read AWS_REGION; boto3 by itself knows AWS_DEFAULT_REGION alone.
        self._session = boto3.session.Session(
            region_name=region or os.environ.get("AWS_REGION"), aws_access_key_id=key, aws_secret_access_key=key
        )
        self._endpoint = endpoint or None
        self._clients: dict[str, Any] = {}

    def client(self, service: str, config: Config = _PATIENT) -> Any:
        """A boto3 client, made once; the first call for a service decides its configuration.

        Raises:
            ContractError: no region is configured.
        """
        if service not in self._clients:
            try:
                self._clients[service] = self._session.client(  # type: ignore[call-overload]
                    service, endpoint_url=self._endpoint, config=config
                )
            except BotoCoreError as error:
                raise ContractError(f"{error} Cure: set AWS_REGION, or choose a profile with AWS_PROFILE.") from error
        return self._clients[service]


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """Names of the deployed resources that the command line uses."""

    bucket: str
    recommendations_table: str
    runs_table: str
    deliveries_table: str
    suppressions_table: str
    responses_table: str
    state_machine_arn: str
    topic_arn: str

    @classmethod
    def find(cls, client: Any) -> "Deployment":
        """Read the stack's outputs.

        Args:
            client: a boto3 CloudFormation client.

        Raises:
            ContractError: there is no such stack here, it cannot be asked for, or it lacks an output.
        """
        try:
            stack = client.describe_stacks(StackName=STACK_NAME)["Stacks"][0]
        except (BotoCoreError, ClientError) as error:
            raise ContractError(f"the stack {STACK_NAME} is not found: {error}. {_CURE}") from error
        values = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
        missing = [name for name in OUTPUTS.values() if name not in values]
        if missing:
            raise ContractError(f"the stack {STACK_NAME} has no output {', '.join(missing)}. {_CURE}")
        return cls(**{field: values[name] for field, name in OUTPUTS.items()})
