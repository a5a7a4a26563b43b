"""`make demo`: a year of grocery purchases through the deployed state machine; what it made goes to out/demo/.

Everything is the real thing on the embedded AWS: the template `app.py` synthesises, its zips, job commands and roles.
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console

from local.demo.check import check, user_lists
from local.demo.data import write_tables
from local.server import EmbeddedAws
from local.stack import CACHE_DIR, deploy_shortlist, prepare
from shortlist.aws.deployment import Deployment
from shortlist.aws.lists import DynamoListsTable
from shortlist.aws.progress import Progress
from shortlist.aws.s3 import S3ObjectStore
from shortlist.commands.view import list_table, report_table, watch
from shortlist.contracts.keys import RunKeys, input_prefix
from shortlist.contracts.lists import UserLists
from shortlist.contracts.report import Report
from shortlist.export import write_csv
from shortlist.mail.reasons import phrase

ROOT: Final = Path(__file__).resolve().parents[2]
OUT: Final = ROOT / "out" / "demo"
CAMPAIGN: Final = "weekly-picks"
RUN_ID: Final = "demo"
SHOWN_USERS: Final = ("2375", "718")
SHOWN_ITEMS: Final = 8
LOOK_S: Final = 1.5  # each look reads the whole history, on the cores that the run needs
FAILED: Final = 1


def main() -> int:
    """Run the demonstration; answers with the exit code."""
    console = Console()
    shutil.rmtree(OUT, ignore_errors=True)
    with console.status("Synthesising the stack (the first time installs what its functions need) …"):
        prepare()
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="shortlist-") as folder,
        EmbeddedAws(Path(folder), cache_dir=CACHE_DIR) as aws,
    ):
        with console.status("Deploying it to the embedded AWS …"):
            deploy_shortlist(aws)
        deployment = Deployment.find(aws.client("cloudformation"))
        store = S3ObjectStore(aws.client("s3"), deployment.bucket)
        with console.status("Dropping the shop's tables into the bucket …"):
            tables = write_tables(Path(folder) / "tables")
            for table, path in tables.items():
                store.upload(path, input_prefix("input/", table) + path.name)
        ended = _run(aws, deployment.state_machine_arn, console)
        if ended.status != "SUCCEEDED":
            console.print(f"{ended.status} {ended.error}: {ended.cause}", style="red", markup=False)
            return FAILED
        report = _collect(store, aws.mailbox)
        lists = DynamoListsTable(aws.client("dynamodb"), deployment.recommendations_table)
        complaints = list(check(report, tables, store=store, lists=lists, mailbox=aws.mailbox))
        shown = [entry for entry in user_lists(RUN_ID, store=store) if entry.user_id in SHOWN_USERS]
    _show(console, report, shown)
    console.print(f"{time.monotonic() - started:.1f} s from deployment to the last check.")
    for complaint in complaints:
        console.print(f"✗ {complaint}", style="red", markup=False)
    return FAILED if complaints else 0


def _run(aws: EmbeddedAws, machine_arn: str, console: Console) -> Progress:
    """Start the machine as a schedule would, and show it until it ends."""
    machine = aws.client("stepfunctions")
    started = machine.start_execution(
        stateMachineArn=machine_arn,
        name=RUN_ID,
        input=msgspec.json.encode({"campaign": CAMPAIGN, "run_id": RUN_ID}).decode(),
    )
    return watch(machine, started["executionArn"], console, every_s=LOOK_S)


def _collect(store: S3ObjectStore, mailbox: Path) -> Report:
    """Bring out what the embedded AWS forgets when it stops."""
    keys = RunKeys(RUN_ID)
    for key in (keys.report_json, keys.report_html, keys.metrics):
        store.download(key, OUT / key.removeprefix(keys.root))
    with (OUT / "topx.csv").open("w", newline="") as csv_file:
        write_csv((store.read(shard.key) for shard in store.list(keys.topx_prefix)), csv_file)
    shutil.copytree(mailbox, OUT / "mail", ignore=shutil.ignore_patterns("*.jsonl"))
    return msgspec.json.decode((OUT / "report.json").read_bytes(), type=Report)


def _show(console: Console, report: Report, shown: list[UserLists]) -> None:
    console.print(report_table(report))
    for user in shown:
        for kind, items in user.lists.items():
            best = items[:SHOWN_ITEMS]
            title = f"Household {user.user_id}, {kind.replace('_', ' ')}"
            console.print(list_table(title, best, [phrase(entry.reason) for entry in best]))
    where = OUT.relative_to(ROOT)
    console.print(f"Look at {where}/report.html, {where}/topx.csv and {report.mails_sent:,} messages in {where}/mail/.")


if __name__ == "__main__":
    sys.exit(main())
