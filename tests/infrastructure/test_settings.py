"""What a deployment may choose, and what happens when it chooses something that cannot be."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cdk.application import read_campaigns
from cdk.mail import identities_of
from cdk.settings import AWS, ROOT, Settings, check_fargate_size
from shortlist.config import Campaign, Input, Mail


def test_without_context_the_target_is_aws_and_the_image_is_built() -> None:
    settings = Settings.from_context(lambda key: None)

    assert settings == Settings()
    assert settings.target == AWS
    assert settings.image == ""


def test_the_embedded_aws_runs_this_interpreter_on_this_processor() -> None:
    import sys

    settings = Settings.from_context({"target": "local"}.get)

    assert settings.target.python == ".".join(map(str, sys.version_info[:2]))
    assert settings.target.platform == ""
    assert settings.image == "shortlist-jobs:local"


@pytest.mark.parametrize(
    ("context", "says"),
    [
        ({"target": "moon"}, "target=moon"),
        ({"train_vcpus": "many"}, "train_vcpus=many"),
        ({"train_vcpus": "3"}, "no task of 3.0 vCPU"),
        ({"train_vcpus": "8", "train_memory_gib": "8"}, "8.0 vCPU with 8 GiB"),
        ({"monthly_budget_usd": "-"}, "monthly_budget_usd=-"),
        ({"track": "perhaps"}, "track=perhaps"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(context: dict[str, str], says: str) -> None:
    with pytest.raises(ValueError, match=says.replace(".", r"\.")):
        Settings.from_context(context.get)


@pytest.mark.parametrize(("vcpus", "gib"), [(0.25, 2), (4, 8), (4, 30), (8, 60), (16, 32), (16, 120)])
def test_fargates_own_sizes_are_accepted(vcpus: float, gib: int) -> None:
    check_fargate_size(vcpus, gib)


@pytest.mark.parametrize(("vcpus", "gib"), [(4, 31), (8, 58), (16, 124), (32, 64)])
def test_other_sizes_are_not(vcpus: float, gib: int) -> None:
    with pytest.raises(ValueError, match="It offers"):
        check_fargate_size(vcpus, gib)


@pytest.mark.parametrize(
    ("domain", "identities"),
    [("", ["a@shop.example", "b@other.example"]), ("shop.example", ["shop.example", "b@other.example"])],
)
def test_a_domain_stands_for_the_senders_within_it(domain: str, identities: list[str]) -> None:
    assert identities_of(["b@other.example", "a@shop.example"], domain) == identities


def test_every_campaign_of_the_repository_can_be_deployed() -> None:
    campaigns = read_campaigns()

    assert campaigns
    assert len({campaign.name for campaign in campaigns}) == len(campaigns)


def test_context_and_campaigns_reach_the_template(synthesise_stack: Callable[..., Path]) -> None:
    elsewhere = Campaign(name="one", input=Input(prefix="shop/"), mail=Mail(sender="a@shop.example"))

    outdir = synthesise_stack(
        campaigns=(elsewhere,),
        image="123456789012.dkr.ecr.eu-central-1.amazonaws.com/jobs:7",
        alert_email="team@shop.example",
        sender_domain="shop.example",
        track="no",
        train_vcpus="8",
        train_memory_gib="32",
    )

    template: dict[str, Any] = json.loads((outdir / "Shortlist.template.json").read_text())
    text = json.dumps(template)
    resources = [(r["Type"], r["Properties"]) for r in template["Resources"].values()]
    [train] = [p for t, p in resources if t == "AWS::Batch::JobDefinition" and p["JobDefinitionName"].endswith("Train")]
    needs = {n["Type"]: n["Value"] for n in train["ContainerProperties"]["ResourceRequirements"]}
    assert needs == {"VCPU": "8", "MEMORY": "32768"}
    assert "/jobs:7" in json.dumps(train["ContainerProperties"]["Image"])
    assert "repository/jobs" in text
    assert "/shop/*" in text
    assert [p["EmailIdentity"] for t, p in resources if t == "AWS::SES::EmailIdentity"] == ["shop.example"]
    [told] = [p["EventDestination"] for t, p in resources if t == "AWS::SES::ConfigurationSetEventDestination"]
    assert {"open", "click"}.isdisjoint(told["MatchingEventTypes"])
    assert ("team@shop.example", "email") in {
        (p["Endpoint"], p["Protocol"])
        for t, p in resources
        if t == "AWS::SNS::Subscription" and "Endpoint" in p
        if isinstance(p["Endpoint"], str)
    }
    assert "Shortlist-MissedRun" not in text, "no campaign has a schedule, so no run can be missed"
    assert {"DkimRecord1", "DkimRecord2", "DkimRecord3"} <= set(template["Outputs"])


def test_every_context_key_and_every_output_is_documented(template: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "deploy.md").read_text()

    keys = [field.name for field in dataclasses.fields(Settings)]
    alarms = [
        r["Properties"]["AlarmName"] for r in template["Resources"].values() if r["Type"] == "AWS::CloudWatch::Alarm"
    ]

    words = [*keys, *template["Outputs"], *(name.removeprefix("Shortlist-") for name in alarms)]
    assert [word for word in words if f"`{word}`" not in page] == []
