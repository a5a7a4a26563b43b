"""`shortlist …` against an account: a stack with a state machine that only decides how a run ends."""

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from local.server import EmbeddedAws
from shortlist.aws.deployment import Deployment
from shortlist.aws.lists import DynamoListsTable
from shortlist.aws.runs import DynamoRunsTable
from shortlist.aws.s3 import S3ObjectStore
from shortlist.cli import main
from shortlist.contracts.deployment import OUTPUTS, STACK_NAME
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.lists import Reason
from shortlist.contracts.records import (
    RECOMMENDATIONS_KEY,
    RUNS_KEY,
    CurrentRun,
    RunRecord,
    StoredItem,
    StoredLists,
)
from shortlist.stages.report import report
from tests.fakes import FixedClock, MemoryLedger, MemoryNotifier, MemoryRunsTable, MemoryStore
from tests.finished_run import RUN, START, write_finished, write_learned, write_metrics

MACHINE = {
    "QueryLanguage": "JSONata",
    "StartAt": "Train",
    "States": {
        "Train": {
            "Type": "Choice",
            "Choices": [
                {"Condition": "{% $contains($states.input.run_id, 'bad') %}", "Next": "Failed"},
                {"Condition": "{% $states.input.run_id = 'slow' %}", "Next": "Slow"},
            ],
            "Default": "Done",
        },
        "Slow": {"Type": "Wait", "Seconds": 600, "Next": "Done"},
        "Failed": {"Type": "Fail", "Error": "States.Timeout", "Cause": "Train: too slow"},
        "Done": {"Type": "Succeed"},
    },
}


def table(key):
    return {
        "Type": "AWS::DynamoDB::Table",
        "Properties": {
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in key],
            "KeySchema": [
                {"AttributeName": name, "KeyType": kind} for name, kind in zip(key, ("HASH", "RANGE"), strict=False)
            ],
        },
    }


RESOURCES = {
    "bucket": {"Type": "AWS::S3::Bucket"},
    "recommendations_table": table(RECOMMENDATIONS_KEY),
    "runs_table": table(RUNS_KEY),
    "deliveries_table": table(("campaign_run", "user_id")),
    "suppressions_table": table(("address_hash",)),
    "responses_table": table(("user_id", "response")),
    "topic_arn": {"Type": "AWS::SNS::Topic"},
    "role": {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": "states.amazonaws.com"},
                        "Action": "sts:AssumeRole",
                    }
                ],
            }
        },
    },
    "state_machine_arn": {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {
            "StateMachineName": "Shortlist",
            "RoleArn": {"Fn::GetAtt": ["role", "Arn"]},
            "DefinitionString": json.dumps(MACHINE),
        },
    },
}


def logical(field):
    return field.replace("_", "")


def template():
    text = json.dumps({logical(name): resource for name, resource in RESOURCES.items()})
    outputs = {output: {"Value": {"Ref": logical(field)}} for field, output in OUTPUTS.items()}
    return json.dumps({"Resources": json.loads(text), "Outputs": outputs})


@pytest.fixture(scope="module")
def aws(tmp_path_factory) -> Iterator[EmbeddedAws]:
    with EmbeddedAws(tmp_path_factory.mktemp("aws")) as running:
        client = running.client("cloudformation")
        client.create_stack(StackName=STACK_NAME, TemplateBody=template(), Capabilities=["CAPABILITY_IAM"])
        client.get_waiter("stack_create_complete").wait(StackName=STACK_NAME, WaiterConfig={"Delay": 1})
        yield running


@pytest.fixture(autouse=True)
def ordinary_credentials(aws, monkeypatch, tmp_path):
    for name, value in aws.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SHORTLIST_TARGET", "aws")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def deployment(aws):
    return Deployment.find(aws.client("cloudformation"))


@pytest.fixture
def store(aws, deployment):
    return S3ObjectStore(aws.client("s3"), deployment.bucket)


@pytest.fixture
def runs(aws, deployment):
    return DynamoRunsTable(aws.client("dynamodb"), deployment.runs_table)


@pytest.fixture
def shop(tmp_path):
    """The options that name a shop's tables."""
    options = []
    for table_name in ("interactions", "items", "users"):
        (tmp_path / f"{table_name}.csv").write_text(f"{table_name}\n")
        options += [f"--{table_name}", str(tmp_path / f"{table_name}.csv")]
    return options


def leave_results(store, run_id, *, held_back=False):
    """What the stages of a run would have left in the bucket."""
    made = MemoryStore()
    run = msgspec.structs.replace(RUN, run_id=run_id, campaign="own")
    if held_back:
        write_learned(made, run)
        write_metrics(made, run=run, publish=False, reasons=("everything: recall@20 of 0.1 does not beat popularity.",))
    else:
        write_finished(made, run)
    report(
        run,
        store=made,
        runs=MemoryRunsTable(),
        ledger=MemoryLedger(),
        notifier=MemoryNotifier(),
        clock=FixedClock(START),
    )
    made.write(RunKeys(run_id).rejected("items"), b'{"line": 3}\n')
    made.write(RunKeys(run_id).rejected("users"), b"")
    for key, body in made.objects.items():
        store.write(key, body)


def executions(aws, deployment, run_id):
    """Name -> ARN of a run's executions."""
    found = aws.client("stepfunctions").list_executions(stateMachineArn=deployment.state_machine_arn)["executions"]
    return {e["name"]: e["executionArn"] for e in found if e["name"].startswith(run_id)}


def test_a_run_is_uploaded_started_and_its_results_fetched(aws, deployment, store, shop, capsys, tmp_path):
    leave_results(store, "good-1")

    code = main(["run", *shop, "--run-id", "good-1", "--as-of", "2026-01-05T06:00:00", "--out", "results"])

    assert code == 0
    assert store.read("input/own/items/items.csv") == b"items\n"
    execution = aws.client("stepfunctions").describe_execution(
        executionArn=deployment.state_machine_arn.replace(":stateMachine:", ":execution:") + ":good-1"
    )
    assert json.loads(execution["input"]) == {
        "campaign": "own",
        "run_id": "good-1",
        "send": False,
        "as_of": "2026-01-05T06:00:00+00:00",
    }
    folder = tmp_path / "results" / "good-1"
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*.*")) == [
        "rejected/items.jsonl",
        "report.html",
        "report.json",
        "topx.csv",
    ]
    said = capsys.readouterr().out
    assert "0.3320" in said
    assert "results/good-1/: rejected/  report.html  report.json  topx.csv" in said


def test_running_the_same_run_id_again_resumes_it_with_the_tables_as_they_are_now(aws, deployment, shop, store):
    leave_results(store, "twice")
    main(["run", *shop, "--run-id", "twice"])
    Path("items.csv").write_text("mended\n")

    assert main(["run", *shop, "--run-id", "twice"]) == 0
    assert store.read("input/own/items/items.csv") == b"mended\n"
    assert len(executions(aws, deployment, "twice")) == 2


def test_a_run_that_is_under_way_is_not_started_beside_itself(aws, deployment, shop, capsys):
    aws.client("stepfunctions").start_execution(
        stateMachineArn=deployment.state_machine_arn, name="slow-1-r20260105T060000", input='{"run_id": "slow"}'
    )

    assert main(["run", *shop, "--run-id", "slow-1"]) == 1
    assert "slow-1 is under way" in capsys.readouterr().err
    assert len(executions(aws, deployment, "slow-1")) == 1


def test_a_run_that_was_held_back_has_an_exit_code_of_its_own(shop, store, capsys):
    leave_results(store, "held-1", held_back=True)

    assert main(["run", *shop, "--run-id", "held-1"]) == 3
    said = capsys.readouterr().out
    assert "everything: recall@20 of 0.1 does not beat popularity." in said
    assert "Held back" in said


def test_a_run_that_failed_says_why_and_keeps_the_rejected_rows(shop, store, runs, capsys, tmp_path):
    store.write(RunKeys("bad-1").rejected("items"), b'{"line": 3}\n')
    sentence = "Prepare: DatasetError: items.csv has no column title.\nWhat to do: mend it."
    runs.put(RunRecord(campaign="own", run_id="bad-1", status="failed", started_at="t", as_of="t", message=sentence))

    assert main(["run", *shop, "--run-id", "bad-1"]) == 1
    said = capsys.readouterr().out
    assert sentence in said
    assert "Resume: shortlist rerun bad-1" in said
    assert (tmp_path / "out" / "bad-1" / "rejected" / "items.jsonl").exists()


def test_a_failure_that_nobody_recorded_is_told_in_the_words_of_the_state_machine(shop, capsys):
    assert main(["run", *shop, "--run-id", "bad-2"]) == 1
    assert "States.Timeout: Train: too slow" in capsys.readouterr().out


def test_a_rerun_is_an_execution_of_its_own_of_the_same_run(aws, deployment, shop, store):
    leave_results(store, "again-1")
    main(["run", *shop, "--run-id", "again-1"])

    code = main(["rerun", "again-1", "--from", "Recommend", "--no-mail"])

    assert code == 0
    machine = aws.client("stepfunctions")
    (arn,) = [arn for name, arn in executions(aws, deployment, "again-1").items() if name != "again-1"]
    assert json.loads(machine.describe_execution(executionArn=arn)["input"]) == {
        "campaign": "own",
        "run_id": "again-1",
        "send": False,
        "force_from": "Recommend",
    }


def test_a_run_that_failed_before_it_noted_anything_can_be_resumed(shop, store):
    main(["run", *shop, "--run-id", "bad-3"])

    assert main(["rerun", "bad-3"]) == 1


def test_a_run_that_nobody_knows_cannot(capsys):
    assert main(["rerun", "nobody-1"]) == 1
    assert "there is no run nobody-1" in capsys.readouterr().err


def test_the_lists_of_a_customer_are_shown_with_titles_and_reasons(aws, deployment, store, runs, shop, capsys):
    leave_results(store, "shown-1")
    store.write("campaigns/own.yaml", b"name: own")
    DynamoListsTable(aws.client("dynamodb"), deployment.recommendations_table).put(
        [
            StoredLists(
                user_id="household,0",
                run_id="shown-1",
                items=(StoredItem("milk-0", 1.5, Reason("bought_before", "3")),),
                more={"new_for_you": (StoredItem("bread", 0.5, Reason("popular")),)},
                generated_at=RUN.as_of,
                model_run="shown-1",
                expires_at=4_000_000_000,
            )
        ]
    )
    runs.move_current(CurrentRun(campaign="own", run_id="shown-1", published_at=RUN.as_of))

    assert main(["show", "household,0"]) == 0
    assert main(["show", "household,0", "--list", "new_for_you"]) == 0
    assert main(["show", "nobody"]) == 1
    assert main(["publish", "shown-1"]) == 0

    said = capsys.readouterr()
    assert "You bought it 3 times" in said.out
    assert "bread" in said.out
    assert "no lists of user 'nobody'" in said.err
    assert "own shows the lists of shown-1." in said.out


def test_runs_are_listed_with_their_figures_newest_first(store, runs, capsys):
    leave_results(store, "listed-1")
    written = store.read(RunKeys("listed-1").report_json).decode()
    for run_id, status, started, filed in (
        ("listed-1", "completed", "2026-01-05T06:00:00", written),
        ("listed-2", "failed", "2026-01-12T06:00:00", ""),
    ):
        runs.put(
            RunRecord(campaign="listed", run_id=run_id, status=status, started_at=started, as_of="t", report=filed)
        )

    assert main(["runs", "--campaign", "listed"]) == 0

    lines = [line for line in capsys.readouterr().out.splitlines() if "listed-" in line]
    assert [line.split()[0] for line in lines] == ["listed-2", "listed-1"]
    assert "2,001" in lines[1]


def test_a_run_whose_execution_was_stopped_is_listed_as_stopped(aws, deployment, runs, capsys):
    # GIVEN four runs that are noted as running: of one the execution runs, of one it was stopped, one is unknown by now
    machine = aws.client("stepfunctions")
    arns = {
        name: machine.start_execution(
            stateMachineArn=deployment.state_machine_arn, name=name, input=json.dumps({"run_id": "slow"})
        )["executionArn"]
        for name in ("goes-on", "was-stopped")
    }
    arns["is-forgotten"] = arns["goes-on"].replace("goes-on", "is-forgotten")
    machine.stop_execution(executionArn=arns["was-stopped"], cause="not this week")
    for number, run_id in enumerate(("older", "goes-on", "is-forgotten", "was-stopped")):
        record = RunRecord(
            campaign="halted", run_id=run_id, status="running", started_at=f"2026-01-0{number + 1}", as_of="t"
        )
        runs.put(msgspec.structs.replace(record, execution=arns.get(run_id, "")))

    # WHEN they are listed
    assert main(["runs", "--campaign", "halted"]) == 0

    # THEN each is shown as it stands, and the newest with what to do
    said = capsys.readouterr().out
    shown = dict(line.split()[:2] for line in said.splitlines()[1:5])
    assert shown == {
        "was-stopped": "stopped",
        "is-forgotten": "stopped",
        "goes-on": "running",
        "older": "running",
    }
    assert "ended as ABORTED (not this week). Resume: shortlist rerun was-stopped" in said
    machine.stop_execution(executionArn=arns["goes-on"])


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["run"], 2), (["show", "u", "--list", "nothing"], 2), (["rerun", "-bad"], 2), (["rerun", "a/b"], 1)],
)
def test_wrong_arguments_have_a_sentence_and_no_traceback(arguments, code, capsys):
    assert main(arguments) == code
    assert capsys.readouterr().err
