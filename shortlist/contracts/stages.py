"""The stage words: one word is an ASL state, a stage module, a folder in `jobs/` or `lambdas/`, a function, a log."""

import re
from typing import Final, Literal, get_args

StageName = Literal[
    "Prepare",
    "Train",
    "PlanCompute",
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

GrowingStage = Literal["Repackage", "BuildIndex", "Rank"]
GROWING_STAGES: Final[tuple[GrowingStage, ...]] = get_args(GrowingStage)
"""Functions as long as one is large enough, else jobs, as PlanCompute says; the job's state is the word with `Job`."""

BATCH_STAGES: Final[tuple[StageName, ...]] = ("Prepare", "Train", *GROWING_STAGES)
LAMBDA_STAGES: Final[tuple[StageName, ...]] = (
    "PlanCompute",
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
STAGES: Final[tuple[StageName, ...]] = tuple(dict.fromkeys(BATCH_STAGES + LAMBDA_STAGES))

STAGE_OF_JOB: Final[dict[str, StageName]] = {
    "Prepare": "Prepare",
    "Train": "Train",
    **{f"{stage}Job": stage for stage in GROWING_STAGES},
}
"""State that waits for a job -> the stage that the job runs."""

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
