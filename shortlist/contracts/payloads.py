"""What passes between the states of the machine: pointers only (Step Functions payloads stop at 256 KiB)."""

from typing import Any, Final, TypeVar

import msgspec

from shortlist.errors import ContractError

RUN_ID: Final = r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,79}$"
"""Run ids become S3 keys, execution names and SES tags, so they keep to the narrowest of the three alphabets."""
CAMPAIGN_NAME: Final = r"^[a-z0-9][a-z0-9-]{0,39}$"


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run, as every state receives it under the key `run`.

    `as_of` is the moment the run takes as now (ISO 8601 UTC); it is pinned by the first execution of a run, so that
    re-executions write the same bytes. `force_from` names the stage from which complete outputs are made again.
    `reuse_model` is empty, a run id, or `latest`. `execution` is the ARN of the execution that is speaking,
    `started_at` when it started (ISO 8601 UTC).
    """

    run_id: str
    campaign: str
    as_of: str
    send: bool = True
    reuse_model: str = ""
    force_from: str = ""
    execution: str = ""
    started_at: str = ""


class StageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Input of every stage that runs once."""

    run: Run


class ShardRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Input of a stage that runs once per shard; `key` is the shard object that the Distributed Map listed."""

    run: Run
    key: str


class RankJobRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Input of the array job that ranks: `children` share the user shards among them."""

    run: Run
    children: int


class MailingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Input of PlanMailing: `round` is how many times SendEmails has run in this execution."""

    run: Run
    round: int


class ApprovalRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Input of RequestApproval: `token` answers the task that waits."""

    run: Run
    token: str


class FailureRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Input of NotifyFailure: which state failed, with the error name and cause Step Functions gave."""

    run: Run
    state: str
    error: str = ""
    cause: str = ""


T = TypeVar("T", bound=msgspec.Struct)


def decode(event: Any, shape: type[T]) -> T:
    """Turn a state's JSON payload into its struct.

    Raises:
        ContractError: the payload lacks a field or has one of another type; the message has the JSON path.
    """
    try:
        return msgspec.convert(event, shape)
    except msgspec.ValidationError as error:
        raise ContractError(
            f"the payload of this state does not fit {shape.__name__}: {error}. "
            "Start the state machine as docs/data-contracts.md describes."
        ) from error
