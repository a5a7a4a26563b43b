"""A run that waits for approval and the team's decision in; the waiting task answered and the decision noted, out."""

import json
from datetime import datetime
from typing import Any, Final, Literal

import msgspec
from botocore.exceptions import ClientError

from shortlist.contracts.keys import RunKeys
from shortlist.errors import ContractError
from shortlist.ports import ObjectStore
from shortlist.stages.plan_mailing import read_approval

_NOBODY_WAITS: Final = {"TaskTimedOut", "TaskDoesNotExist", "InvalidToken"}


def decide(
    run_id: str, decision: Literal["approved", "rejected"], *, store: ObjectStore, machine: Any, now: datetime
) -> None:
    """Answer the run's question.

    The note comes after the answer: killed in between, a run that is resumed asks once more, and nobody is mailed
    without an approval.

    Args:
        machine: a boto3 Step Functions client.

    Raises:
        ContractError: the run asks nothing, or no longer waits.
    """
    asked = read_approval(run_id, store=store)
    if asked is None:
        raise ContractError(f"run {run_id} asks for no approval. `shortlist runs` lists the runs.")
    try:
        machine.send_task_success(taskToken=asked.token, output=json.dumps({"approved": decision == "approved"}))
    except ClientError as error:
        if error.response["Error"]["Code"] not in _NOBODY_WAITS:
            raise
        raise ContractError(
            f"run {run_id} no longer waits for an answer{f': it was {asked.decision}' if asked.decision else ''}. "
            f"`shortlist rerun {run_id}` asks again where it is needed."
        ) from error
    noted = msgspec.structs.replace(asked, decision=decision, decided_at=now.isoformat(timespec="seconds"))
    store.write(RunKeys(run_id).approval("request.json"), msgspec.json.encode(noted))
