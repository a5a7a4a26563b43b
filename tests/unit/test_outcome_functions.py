"""The functions around a run's end: payload in, the next state's input and CloudWatch's metrics out."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from lambdas.evaluate.handler import handler as evaluate
from lambdas.hold_back.handler import handler as hold_back
from lambdas.notify_failure.handler import handler as notify_failure
from lambdas.report.handler import handler as report
from shortlist.aws import mail_wiring, wiring
from shortlist.contracts.deployment import HELD_BACK_METRIC, METRIC_NAMESPACE
from shortlist.contracts.keys import RunKeys
from tests.fakes import FixedClock, MemoryLedger, MemoryNotifier, MemoryRunsTable, MemoryStore
from tests.finished_run import RUN, write_finished, write_metrics

ROOT = Path(__file__).resolve().parents[2]
EVENT = {"run": msgspec.to_builtins(RUN)}
NOT_IN_THE_ZIP = ("numpy", "scipy", "faiss", "yaml", "click", "rich", "jinja2", "matplotlib", "pyarrow", "numba")


class Context:
    """What Lambda tells a function about itself."""

    function_name = "Shortlist-Test"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:Shortlist-Test"
    aws_request_id = "request"


@pytest.fixture
def world(monkeypatch):
    """The ports in memory, behind the wiring."""
    ports = {
        "store": MemoryStore(),
        "runs": MemoryRunsTable(),
        "notifier": MemoryNotifier(),
        "clock": FixedClock(),
    }
    for name, port in ports.items():
        monkeypatch.setattr(wiring, name, lambda port=port: port)
    ledger = MemoryLedger()
    monkeypatch.setattr(mail_wiring, "ledger", lambda: ledger)
    monkeypatch.setenv("POWERTOOLS_TRACE_DISABLED", "true")
    write_finished(ports["store"])
    return ports


def metrics_in(text):
    """Names of the metrics that CloudWatch reads out of a log, with namespace and dimensions."""
    found = {}
    for line in text.splitlines():
        blob = json.loads(line)
        for entry in blob.get("_aws", {}).get("CloudWatchMetrics", []):
            for metric in entry["Metrics"]:
                found[metric["Name"]] = (entry["Namespace"], {k: blob[k] for k in entry["Dimensions"][0]})
    return found


def test_evaluate_answers_what_the_state_machine_chooses_by(world):
    answer = evaluate(EVENT, Context())

    assert answer["publish"] is True


def test_hold_back_counts_where_the_alarm_looks(world, capsys):
    write_metrics(world["store"], publish=False, reasons=("because",))

    answer = hold_back(EVENT, Context())

    assert answer == {"reasons": ["because"]}
    assert metrics_in(capsys.readouterr().out)[HELD_BACK_METRIC] == (METRIC_NAMESPACE, {"service": "HoldBack"})


def test_report_says_how_the_run_ended(world, capsys):
    answer = report(EVENT, Context())

    assert answer == {"skipped": False, "status": "completed"}
    assert world["store"].exists(RunKeys(RUN.run_id).report_html)
    assert "ReportSeconds" in metrics_in(capsys.readouterr().out)


def test_notify_failure_takes_what_the_catch_hands_over(world):
    answer = notify_failure(EVENT | {"state": "Publish", "error": "PublishError", "cause": ""}, Context())

    assert answer == {"state": "Publish", "shard": "", "error": "PublishError"}
    assert world["runs"].get(RUN.campaign, RUN.run_id).status == "failed"


@pytest.mark.parametrize("name", ["evaluate", "hold_back", "notify_failure"])
def test_the_small_functions_start_without_what_their_zip_does_not_hold(name):
    program = f"""
import sys
for name in {NOT_IN_THE_ZIP!r}:
    sys.modules[name] = None
import lambdas.{name}.handler
"""

    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
