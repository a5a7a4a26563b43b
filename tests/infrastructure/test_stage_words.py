"""One word per stage: the state, the module, the folder or job, the function."""

from pathlib import Path

from cdk.functions import FUNCTIONS
from cdk.training import TEMPORARY_FAILURE, job_specs
from jobs.frame import TRY_AGAIN
from shortlist.contracts.stages import (
    BATCH_STAGES,
    GROWING_STAGES,
    LAMBDA_STAGES,
    STAGE_OF_JOB,
    STAGES,
    STAGES_OF_MAP,
    snake,
)
from statemachine.definition import all_states, distributed_maps, load_definition
from statemachine.lint import PLACEHOLDERS

ROOT = Path(__file__).parents[2]
BESIDE_THE_PIPELINE = {"Unsubscribe", "MailEvents"}
"""Functions that no state calls: a page and the receiver of SES's events."""


def called_by(state: dict[str, object]) -> str:
    """`${RankFunction}` -> Rank; `${TrainJobDefinition}` -> Train."""
    arguments = state["Arguments"]
    assert isinstance(arguments, dict)
    name = arguments.get("FunctionName") or arguments["JobDefinition"]
    return name.removeprefix("${").removesuffix("}").removesuffix("Function").removesuffix("JobDefinition")


def test_every_task_calls_the_stage_of_its_name() -> None:
    tasks = {name: called_by(dict(s)) for name, s in all_states(load_definition()) if s["Type"] == "Task"}

    sent = tasks.pop("SendShard")  # a child may not have its map's name

    assert sent == "SendEmails"
    assert tasks == {name: STAGE_OF_JOB.get(name, name) for name in tasks}
    assert {*tasks.values(), sent} == set(STAGES)


def test_every_stage_that_may_outgrow_a_function_has_a_job_beside_it() -> None:
    states = dict(all_states(load_definition()))

    for stage in GROWING_STAGES:
        alike, choice = (states[f"{stage}{word}"] for word in ("Job", "Where"))
        after = states["Recommend"]["Next"] if stage == "Rank" else states[stage]["Next"]
        assert choice["Choices"][0]["Condition"] == f"{{% $compute.{stage}.job %}}"
        assert choice["Choices"][0]["Next"] == f"{stage}Job"
        assert choice["Default"] == ("Recommend" if stage == "Rank" else stage)
        assert alike["Next"] == ("Recommend" if stage == "Rank" else after)


def test_every_map_runs_the_stages_the_contract_says() -> None:
    maps = {name: state for name, state in all_states(load_definition()) if state["Type"] == "Map"}

    children = {
        name: tuple(called_by(dict(s)) for _, s in all_states(state["ItemProcessor"]) if s["Type"] == "Task")
        for name, state in maps.items()
    }

    assert children == STAGES_OF_MAP
    assert distributed_maps() == list(maps)


def test_every_function_of_the_pipeline_and_no_other_folder_has_a_handler() -> None:
    folders = {path.parent.name for path in (ROOT / "lambdas").glob("*/handler.py")}

    assert folders == {snake(spec.word) for spec in FUNCTIONS}
    assert {spec.word for spec in FUNCTIONS} == {*LAMBDA_STAGES, *BESIDE_THE_PIPELINE}


def test_every_batch_stage_has_a_job_and_a_size() -> None:
    jobs = {path.stem for path in (ROOT / "jobs").glob("*.py")} - {"__init__", "frame"}

    assert jobs == {snake(stage) for stage in BATCH_STAGES}
    assert set(job_specs(("input/",))) == set(BATCH_STAGES)


def test_every_stage_has_its_module() -> None:
    modules = {path.stem for path in (ROOT / "shortlist" / "stages").glob("*.py")}

    assert {snake(stage) for stage in STAGES} <= modules


def test_the_placeholders_are_the_stages() -> None:
    assert {n.removesuffix("Function") for n in PLACEHOLDERS if n.endswith("Function")} == set(LAMBDA_STAGES)
    assert {n.removesuffix("JobDefinition") for n in PLACEHOLDERS if n.endswith("JobDefinition")} == set(BATCH_STAGES)


def test_batch_tries_again_at_the_exit_code_that_asks_for_it() -> None:
    assert TEMPORARY_FAILURE == TRY_AGAIN
