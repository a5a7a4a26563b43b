"""The stage words: one word is an ASL state, a stage module, a folder in `jobs/` or `lambdas/`, a function, a log."""

import re
from typing import Final, Literal

StageName = Literal[
    "Prepare",
    "Train",
    "Repackage",
    "BuildIndex",
    "Evaluate",
    "HoldBack",
    "Rank",
    "WriteTopX",
    "Publish",
    "PlanMailing",
    "RequestApproval",
    "SendEmails",
    "Report",
    "NotifyFailure",
]

BATCH_STAGES: Final[tuple[StageName, ...]] = ("Prepare", "Train")
LAMBDA_STAGES: Final[tuple[StageName, ...]] = (
    "Repackage",
    "BuildIndex",
    "Evaluate",
    "HoldBack",
    "Rank",
    "WriteTopX",
    "Publish",
    "PlanMailing",
    "RequestApproval",
    "SendEmails",
    "Report",
    "NotifyFailure",
)
STAGES: Final[tuple[StageName, ...]] = BATCH_STAGES + LAMBDA_STAGES

RESUMABLE_STAGES: Final[tuple[StageName, ...]] = (
    "Prepare",
    "Train",
    "Repackage",
    "BuildIndex",
    "Evaluate",
    "Rank",
    "WriteTopX",
    "Publish",
    "SendEmails",
    "Report",
)
"""In the order they run. `force_from` names one of these, or `Recommend`, which is Rank and WriteTopX together."""

STAGES_OF_MAP: Final[dict[str, tuple[StageName, ...]]] = {
    "Recommend": ("Rank", "WriteTopX"),
    "SendEmails": ("SendEmails",),
}
"""Distributed Map state -> the stages that run once for each of its shards, in order."""

SEND_CONCURRENCY: Final = 5
"""MaxConcurrency of the SendEmails map: each of its children may use this part of the mail account's rate."""

FORCE_FROM: Final[tuple[str, ...]] = (*RESUMABLE_STAGES, "Recommend")


def snake(stage: str) -> str:
    """`BuildIndex` -> `build_index`: the module and folder name of a stage."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", stage).lower()


def is_forced(stage: StageName, force_from: str) -> bool:
    """Whether `stage` must run again although its outputs are complete, because it stands at or after `force_from`.

    SendEmails is never forced: who was mailed is known by the ledger alone.
    """
    if not force_from or stage == "SendEmails":
        return False
    first = "Rank" if force_from == "Recommend" else force_from
    order = list(RESUMABLE_STAGES)
    return stage in order and order.index(stage) >= order.index(first)  # type: ignore[arg-type]
