"""A run's input comes in; the state machine runs, is watched, and the results lie in `out/<run_id>/`."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from botocore.exceptions import ClientError
from rich.console import Console

from shortlist.aws.progress import Progress
from shortlist.aws.runs import DynamoRunsTable
from shortlist.commands.target import Target
from shortlist.commands.view import report_table, watch
from shortlist.contracts.inputs import PinnedRun
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.payloads import RUN_ID
from shortlist.contracts.records import RunRecord
from shortlist.contracts.report import Report
from shortlist.errors import ContractError, MissingObjectError
from shortlist.export import write_csv
from shortlist.failures import cure_of
from shortlist.ports import ObjectStore
from shortlist.stages.resume import read_campaign

DONE: Final = 0
FAILED: Final = 1
HELD_BACK: Final = 3
_NAME_LENGTH: Final = 80
_UNWATCHED: Final = """
Run {run_id} goes on. How it ended: shortlist runs. What it leaves: s3://{bucket}/{root}
To stop it: aws stepfunctions stop-execution --execution-arn {arn}"""


def new_run_id(campaign: str, now: datetime) -> str:
    """`weekly-picks` -> `weekly-picks-20260105T060000`."""
    return f"{campaign}-{now.astimezone(UTC):%Y%m%dT%H%M%S}"


def check_run_id(run_id: str) -> str:
    """Raises ContractError where the id cannot be a key, an execution name and a mail tag at once."""
    if not re.match(RUN_ID, run_id):
        raise ContractError(f"{run_id!r} is no run id: 1 to 80 letters, digits, `_` and `-`, the first not a `-`.")
    return run_id


def start(target: Target, payload: Mapping[str, Any], now: datetime) -> str:
    """Start an execution of `payload["run_id"]`, under the run's name or, to resume it, under a name of its own.

    Returns:
        The execution's ARN.

    Raises:
        ContractError: an execution of that run is under way.
    """
    machine = target.account.client("stepfunctions")
    run_id = str(payload["run_id"])
    executions = {"stateMachineArn": target.deployment.state_machine_arn}
    for page in machine.get_paginator("list_executions").paginate(**executions, statusFilter="RUNNING"):
        if any(re.fullmatch(rf"{re.escape(run_id)}(-r\d{{8}}T\d{{6}})?", e["name"]) for e in page["executions"]):
            raise ContractError(f"run {run_id} is under way. Wait for its end, or choose another `--run-id`.")
    request = executions | {"input": msgspec.json.encode(payload).decode()}
    try:
        started = machine.start_execution(name=run_id, **request)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ExecutionAlreadyExists":
            raise
        started = machine.start_execution(name=rerun_name(run_id, now), **request)
    return str(started["executionArn"])


def rerun_name(run_id: str, now: datetime) -> str:
    """Executions need names of their own: `weekly-1` -> `weekly-1-r20260105T060000`."""
    suffix = f"-r{now.astimezone(UTC):%Y%m%dT%H%M%S}"
    return run_id[: _NAME_LENGTH - len(suffix)] + suffix


def campaign_of(target: Target, run_id: str) -> str:
    """The campaign that a run belongs to.

    Raises:
        ContractError: there is no such run.
    """
    try:
        raw = target.store.read(RunKeys(run_id).run)
    except MissingObjectError:
        return _campaign_of_execution(target, run_id)
    return msgspec.json.decode(raw, type=PinnedRun).campaign


def _campaign_of_execution(target: Target, run_id: str) -> str:
    """For a run that ended before its first stage could note anything."""
    arn = target.deployment.state_machine_arn.replace(":stateMachine:", ":execution:") + f":{run_id}"
    try:
        execution = target.account.client("stepfunctions").describe_execution(executionArn=arn)
    except ClientError as error:
        raise ContractError(f"there is no run {run_id}. `shortlist runs` lists them.") from error
    return str(msgspec.json.decode(execution["input"])["campaign"])


def as_it_stands(record: RunRecord, target: Target) -> RunRecord:
    """The record of a run; a run that is noted as running, and whose execution no longer is, as stopped.

    Whoever stops an execution stops it between two stages or in the middle of one: none of them can note it.
    """
    if record.status != "running" or not record.execution:
        return record
    try:
        execution = target.account.client("stepfunctions").describe_execution(executionArn=record.execution)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ExecutionDoesNotExist":
            raise
        how = "is no longer known"
    else:
        if execution["status"] in ("RUNNING", "SUCCEEDED"):  # it may have ended since the record was read
            return record
        how = f"ended as {execution['status']}" + (f" ({execution['cause']})" if execution.get("cause") else "")
    message = f"its execution {how}. Resume: shortlist rerun {record.run_id}"
    return msgspec.structs.replace(record, status="stopped", message=message)


def see_through(target: Target, campaign: str, run_id: str, arn: str, out: Path, console: Console) -> int:
    """Watch an execution to its end and fetch what it left; the exit code."""
    try:
        progress = watch(target.account.client("stepfunctions"), arn, console, every_s=target.poll_s)
    except KeyboardInterrupt:
        said = _UNWATCHED.format(run_id=run_id, arn=arn, bucket=target.deployment.bucket, root=RunKeys(run_id).root)
        console.print(said, markup=False, highlight=False, soft_wrap=True)
        raise
    folder = out / run_id
    if progress.status != "SUCCEEDED":
        fetch_rejected(RunKeys(run_id), folder, store=target.store)
        _say_why(target, campaign, run_id, progress, console)
        return FAILED
    report = fetch(RunKeys(run_id), folder, store=target.store)
    console.print(report_table(report))
    for reason in report.gate.reasons:
        console.print(f"- {reason}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    left = "  ".join(sorted(path.name + "/" * path.is_dir() for path in folder.iterdir()))
    console.print(f"{folder}/: {left}", markup=False, highlight=False, soft_wrap=True)
    if report.status == "held_back":
        console.print("Held back: nothing is published and nobody is mailed (docs/runbook.md).", style="yellow")
        return HELD_BACK
    return DONE


def _say_why(target: Target, campaign: str, run_id: str, progress: Progress, console: Console) -> None:
    runs = DynamoRunsTable(target.account.client("dynamodb"), target.deployment.runs_table)
    record = runs.get(campaign, run_id)
    if record is not None and record.status == "failed":
        why = record.message
    else:
        cause = progress.cause or f"the execution ended as {progress.status}"
        why = f"{progress.error}: {cause}\n{cure_of(progress.error)}" if progress.error else cause
    console.print(f"Run {run_id} failed. {why}", style="red", markup=False, highlight=False, soft_wrap=True)
    resume = f"Resume: shortlist rerun {run_id}\nWith mended tables: the same shortlist run …, with --run-id {run_id}"
    console.print(resume, markup=False, highlight=False, soft_wrap=True)


def fetch(keys: RunKeys, folder: Path, *, store: ObjectStore) -> Report:
    """Download the report, all lists as one CSV file, and the rejected rows."""
    folder.mkdir(parents=True, exist_ok=True)
    store.download(keys.report_json, folder / "report.json")
    store.download(keys.report_html, folder / "report.html")
    with (folder / "topx.csv").open("w", newline="", encoding="utf-8") as out:
        wording = read_campaign(keys.run_id, store=store).wording
        write_csv((store.read(entry.key) for entry in store.list(keys.topx_prefix)), out, wording)
    fetch_rejected(keys, folder, store=store)
    return msgspec.json.decode((folder / "report.json").read_bytes(), type=Report)


def fetch_rejected(keys: RunKeys, folder: Path, *, store: ObjectStore) -> None:
    """Download the rows that could not be used, a file for each table that has some."""
    for entry in store.list(keys.rejected_prefix):
        if entry.size:
            store.download(entry.key, folder / "rejected" / entry.key.rpartition("/")[2])
