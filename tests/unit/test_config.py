"""The campaign file: what is accepted, and how a mistake in it is told."""

import msgspec
import pytest

from shortlist.config import Campaign, campaign_from_mapping
from shortlist.errors import ContractError

MAIL = {"name": "weekly", "mail": {"sender": "picks@example.com"}}


def mail(**settings):
    return MAIL | {"mail": MAIL["mail"] | settings}


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
        ({"name": "weekly", "colour": "red"}, ["at `colour`", "no such setting. Cure: one of name, description"]),
        ({"name": "weekly", "Lists": ["everything"]}, ["at `Lists`", "Cure: `lists`, perhaps"]),
        ({"name": "weekly", "mail": {"smtp": {"hots": "a"}}}, ["at `mail.smtp.hots`", "Cure: `host`, perhaps"]),
        ({"name": "weekly", "model": None}, ["at `model`", "nothing stands below it. Cure: "]),
        ({"name": "weekly", "model": {"half_life_days": 0}}, ["at `model.half_life_days`", "> 0"]),
        ({"name": "weekly", "model": {"repeat_weight": float("nan")}}, ["at `model.repeat_weight`"]),
        ({"name": "weekly", "rules": {"min_price": float("nan")}}, ["at `rules.min_price`", "expected a number"]),
        ({"name": "weekly", "input": {"event_weights": {"a": 1e400}}}, ["at `input.event_weights.a`", "it is inf"]),
        (
            {"name": "weekly", "lists": ["favourites"]},
            ["at `lists[0]`", "Cure: everything or new_for_you or buy_again"],
        ),
        ({"name": "weekly", "schedule": {"cron": "0 6 * * MON *"}}, ["at `schedule.cron`", "`0 6 ? * MON *`"]),
        ({"name": "weekly", "schedule": {"cron": "0 6 ? * MON"}}, ["at `schedule.cron`"]),
        ({"name": "weekly", "schedule": {"time_zone": "Mars/North"}}, ["at `schedule.time_zone`", "Europe/Berlin"]),
        (MAIL | {"input": {"items_from": "interactions"}}, ["at `input.items.columns`", "`title`", "Cure: "]),
        ({"name": "weekly", "mail": {}}, ["at `mail`", "sender"]),
        ({"name": "weekly", "input": {"items": {"features": {"aisle": "color"}}}}, ["input.items.features"]),
        ({"name": "weekly", "lists": []}, ["at `lists`"]),
        (
            {"name": "weekly", "lists": ["everything", "everything"]},
            ["at `lists`", "named twice: everything, everything", "Cure: "],
        ),
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
        (mail(sender="Corner Grocery"), ["at `mail.sender`", "'Corner Grocery'"]),
        (mail(reply_to="team@shop"), ["at `mail.reply_to`", "'team@shop'"]),
        (mail(template="picks2"), ["at `mail.template`", "'picks2'", "Cure: picks"]),
        (mail(experiment={"name": "t", "template": "other"}), ["at `mail.experiment.template`", "'other'"]),
        (mail(shop_url="http://shop.example"), ["at `mail.shop_url`", "https://"]),
        (mail(send_window={"time_zone": "Europe"}), ["at `mail.send_window.time_zone`", "'Europe'"]),
        (mail(send_window={"from_hour": 12, "until_hour": 9}), ["at `mail.send_window`", "Cure: "]),
        (["weekly"], ["weekly.yaml", "array"]),
        (None, ["weekly.yaml"]),
    ],
)
def test_a_mistake_is_told_with_its_place(value, words):
    with pytest.raises(ContractError) as caught:
        campaign_from_mapping(value, "weekly.yaml")

    for word in words:
        assert word in str(caught.value)
