"""The state machine's definition as data: pipeline.asl.json in; its text, states, placeholders and maps out."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

PATH: Final = Path(__file__).with_name("pipeline.asl.json")
PLACEHOLDER: Final = re.compile(r"\$\{(\w+)\}")

INTEGRATIONS: Final[Mapping[str, frozenset[str]]] = {
    "arn:aws:states:::lambda:invoke": frozenset({"lambda:InvokeFunction"}),
    "arn:aws:states:::lambda:invoke.waitForTaskToken": frozenset({"lambda:InvokeFunction"}),
    "arn:aws:states:::batch:submitJob.sync": frozenset(
        {
            *("batch:SubmitJob", "batch:DescribeJobs", "batch:TerminateJob"),
            *("events:PutTargets", "events:PutRule", "events:DescribeRule"),
        }
    ),
    "arn:aws:states:::s3:listObjectsV2": frozenset({"s3:ListBucket"}),
    "arn:aws:states:::s3:putObject": frozenset(
        {"s3:PutObject", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"}
    ),
}
"""Resource of a Task, ItemReader or ResultWriter -> IAM actions that the machine's role needs for it."""
MAP_ACTIONS: Final = frozenset(
    {"states:StartExecution", "states:DescribeExecution", "states:StopExecution", "states:RedriveExecution"}
)
"""What a Distributed Map needs for its children (developer guide, "IAM policies for Distributed Map states")."""

State = Mapping[str, Any]


def read_definition(path: Path = PATH) -> str:
    """The text as Workflow Studio opens it; placeholders stand as `${Name}`."""
    return path.read_text(encoding="utf-8")


def load_definition(path: Path = PATH) -> State:
    """The definition, parsed."""
    definition: State = json.loads(read_definition(path))
    return definition


def placeholders(text: str) -> set[str]:
    """Names that the CDK app has to fill."""
    return set(PLACEHOLDER.findall(text))


def all_states(definition: State) -> Iterator[tuple[str, State]]:
    """Every state with its name, those of maps and parallels included, parents first."""
    for name, state in definition.get("States", {}).items():
        yield name, state
        for inner in inner_machines(state):
            yield from all_states(inner)


def inner_machines(state: State) -> list[State]:
    """The definitions inside a Map or Parallel state."""
    return [*state.get("Branches", ()), *([state["ItemProcessor"]] if "ItemProcessor" in state else ())]


def is_distributed(state: State) -> bool:
    """Whether a state is a Distributed Map, whose children are executions of their own."""
    return bool(state.get("ItemProcessor", {}).get("ProcessorConfig", {}).get("Mode") == "DISTRIBUTED")


def distributed_maps(definition: State | None = None) -> list[str]:
    """Labels of the Distributed Maps; they are part of the children's ARNs."""
    states = all_states(load_definition() if definition is None else definition)
    return [str(state.get("Label", name)) for name, state in states if is_distributed(state)]


def resources_of(state: State) -> list[str]:
    """The service integrations a state calls by itself."""
    parts = (state, state.get("ItemReader", {}), state.get("ResultWriter", {}))
    return [str(part["Resource"]) for part in parts if "Resource" in part]


def required_actions(definition: State) -> set[str]:
    """IAM actions without which some state could not do its work."""
    actions: set[str] = set()
    for _, state in all_states(definition):
        actions.update(*(INTEGRATIONS[resource] for resource in resources_of(state)))
        actions.update(MAP_ACTIONS if is_distributed(state) else ())
    return actions
