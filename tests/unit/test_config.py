"""The campaign file: what is accepted, and how a mistake in it is told."""

import msgspec
import pytest

from shortlist.config import Campaign, campaign_from_mapping
from shortlist.errors import ContractError


def test_a_name_alone_is_a_campaign_with_every_default():
    campaign = campaign_from_mapping({"name": "weekly"}, "weekly.yaml")

    assert campaign == Campaign(name="weekly")
    assert campaign.mail is None
    assert campaign.input.event_weights == {"purchase": 1.0}


def test_a_campaign_survives_its_json():
    campaign = campaign_from_mapping(
        {
            "name": "weekly",
            "lists": ["new_for_you", "buy_again"],
            "input": {"items": {"features": {"aisle": "categorical"}}, "positive_from": 4},
            "rules": {"exclude_categories": ["tobacco"], "max_per_category": 3},
            "mail": {"sender": "picks@example.com"},
        },
        "weekly.yaml",
    )

    assert msgspec.json.decode(msgspec.json.encode(campaign), type=Campaign) == campaign


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({}, ["weekly.yaml", "name"]),
        ({"name": "Weekly Picks"}, ["at `name`"]),
        ({"name": "weekly", "x": 0}, ["at `x`", ">= 1"]),
        ({"name": "weekly", "x": "many"}, ["at `x`"]),
        ({"name": "weekly", "colour": "red"}, ["colour"]),
        ({"name": "weekly", "mail": {}}, ["at `mail`", "sender"]),
        ({"name": "weekly", "input": {"items": {"features": {"aisle": "color"}}}}, ["input.items.features"]),
        ({"name": "weekly", "lists": []}, ["at `lists`"]),
        ({"name": "weekly", "lists": ["everything", "everything"]}, ["`lists` names a kind twice"]),
        ({"name": "weekly", "evaluation": {"share": 1.0}}, ["evaluation.share"]),
        (
            {"name": "weekly", "input": {"interactions": {"features": {"store": "categorical"}}}},
            ["only items and users"],
        ),
        (
            {"name": "weekly", "shards": {"users": 5001, "recipients": 5}},
            ["recipient parts", "shards.recipients` to 6"],
        ),
        ({"name": "weekly", "rules": {"min_price": 5, "max_price": 3}}, ["at `rules`", "min_price 5.0", "Cure: "]),
        (
            {"name": "weekly", "rules": {"include_categories": ["a"], "exclude_categories": ["b", "a"]}},
            ["at `rules`", "a is both included and excluded", "Cure: "],
        ),
        ({"name": "weekly", "rules": {"promoted": {"share": 0.1}}}, ["at `rules.promoted`", "Cure: "]),
        ({"name": "weekly", "rules": {"rank_by": "profit"}}, ["at `rules.rank_by`", "profit"]),
        ({"name": "weekly", "rules": {"rest_mailed_runs": 2}}, ["mails nobody", "Cure: "]),
        (["weekly"], ["weekly.yaml", "array"]),
        (None, ["weekly.yaml"]),
    ],
)
def test_a_mistake_is_told_with_its_place(value, words):
    with pytest.raises(ContractError) as caught:
        campaign_from_mapping(value, "weekly.yaml")

    for word in words:
        assert word in str(caught.value)
