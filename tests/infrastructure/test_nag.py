"""No finding of cdk-nag's AWS Solutions rules without a written reason, and no reason that covers two."""

import json
from pathlib import Path
from typing import Any

import pytest

Json = dict[str, Any]


@pytest.fixture(scope="module")
def report(assembly: Path) -> Json:
    [report] = json.loads((assembly / "validation-report.json").read_text())["pluginReports"]
    return report


def test_no_finding_is_left(report: Json) -> None:
    assert report["violations"] == []
    assert report["conclusion"] == "success"


def test_every_accepted_finding_has_its_reason(report: Json) -> None:
    accepted = report["suppressedViolations"]

    assert accepted
    assert all(len(finding["reason"].split()) >= 5 for finding in accepted)


def test_a_reason_answers_for_one_kind_of_finding(report: Json) -> None:
    rules: dict[str, set[str]] = {}
    for finding in report["suppressedViolations"]:
        rules.setdefault(finding["reason"], set()).add(finding["ruleName"].split("[")[0])

    assert {reason: found for reason, found in rules.items() if len(found) > 1} == {}


def test_no_reason_stands_for_the_whole_stack(report: Json) -> None:
    assert "Shortlist" not in {finding["acknowledgedAt"] for finding in report["suppressedViolations"]}


def test_a_planted_fault_is_found(tmp_path: Path) -> None:
    from aws_cdk import App, Stack
    from aws_cdk import aws_sqs as sqs

    from cdk.nag import check_with_nag

    app = App(outdir=str(tmp_path))
    sqs.Queue(Stack(app, "Planted"), "OpenQueue")
    check_with_nag(app)

    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synth()

    [report] = json.loads((tmp_path / "validation-report.json").read_text())["pluginReports"]
    assert {"AwsSolutions-SQS3", "AwsSolutions-SQS4"} <= {finding["ruleName"] for finding in report["violations"]}
