"""docs/rules.md shows every rule, in pieces of a campaign file that are one."""

import re
from pathlib import Path

import msgspec
import pytest
import yaml

from shortlist.config import Promoted, Rules, campaign_from_mapping

TEXT = (Path(__file__).parents[2] / "docs" / "rules.md").read_text()
EXAMPLES = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)]


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_an_example_is_a_piece_of_a_campaign_file(example):
    campaign = campaign_from_mapping({"name": "weekly", "mail": {"sender": "a@example.com"}} | example, "docs/rules.md")

    assert campaign.rules != Rules() or "rules" not in example


@pytest.mark.parametrize("rule", Rules.__struct_fields__)
def test_every_rule_has_an_example(rule):
    assert any(rule in example.get("rules", {}) for example in EXAMPLES)


@pytest.mark.parametrize("setting", msgspec.structs.fields(Promoted), ids=lambda field: field.name)
def test_every_setting_of_promotion_is_told(setting):
    assert re.search(rf"\b{setting.name}\b", TEXT)
