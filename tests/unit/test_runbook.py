"""docs/runbook.md knows every error, every stage and every alarm, and names only commands that exist."""

import json
import re
from pathlib import Path

import click
import pytest

from shortlist import errors
from shortlist.cli import cli
from shortlist.contracts.stages import STAGES
from shortlist.failures import CURES

ROOT = Path(__file__).resolve().parents[2]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()


def cells(heading):
    """First cells of the tables under a heading, without backquotes."""
    section = RUNBOOK.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("|")]
    return {word for row in rows for word in re.findall(r"[\w.]+", row)}


def error_classes():
    return [v.__name__ for v in vars(errors).values() if isinstance(v, type) and issubclass(v, errors.ShortlistError)]


@pytest.mark.parametrize("error", sorted({*error_classes(), *CURES}))
def test_every_error_has_an_entry(error):
    assert error in cells("By error")


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_an_entry(stage):
    assert stage in cells("By stage")


def test_every_alarm_has_an_entry():
    (snapshot,) = (ROOT / "tests" / "infrastructure").rglob("*.template.json")
    resources = json.loads(snapshot.read_text())["Resources"].values()
    alarms = {
        resource["Properties"]["AlarmName"].removeprefix("Shortlist-")
        for resource in resources
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }

    assert alarms
    assert alarms <= cells("By alarm")


@pytest.mark.parametrize("heading", ["Held back", "Roll back"])
def test_what_the_messages_to_the_team_refer_to_is_there(heading):
    assert f"\n## {heading}\n" in RUNBOOK


@pytest.mark.parametrize("line", sorted(set(re.findall(r"shortlist ([a-z]+(?: [A-Za-z_-]+)*)", RUNBOOK))))
def test_every_command_that_is_advised_exists(line):
    name, *words = line.split()
    command = cli.commands[name]

    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known
    for parameter in command.params:
        if isinstance(parameter, click.Option) and "--from" in parameter.opts and "--from" in words:
            assert words[words.index("--from") + 1] in parameter.type.choices
