"""The quality gate: what lets a model through and what holds it back."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.contracts.lists import LIST_KINDS
from shortlist.gate import judge
from tests.finished_run import RECALLS, holdout

SHARES = st.floats(0, 1)


def verdict(metrics, published=None, *, lists=LIST_KINDS, margin=0.1, gate=True):
    return judge(metrics, lists, published, margin=margin, gate=gate)


def test_a_model_that_beats_its_baselines_is_published():
    metrics = holdout()

    said = verdict(metrics)

    assert said.publish
    assert said.reasons == ()


@pytest.mark.parametrize(
    ("kind", "recalls", "named"),
    [
        ("everything", (0.315, 0.115, 0.315), "buy_it_again"),
        ("everything", (0.100, 0.115, 0.050), "popularity"),
        ("new_for_you", (0.038, 0.038, 0.0), "popularity"),
        ("buy_again", (0.348, 0.201, 0.349), "buy_it_again"),
    ],
)
def test_a_model_that_does_not_is_held_back_with_the_figures(kind, recalls, named):
    metrics = holdout({**RECALLS, kind: recalls})

    said = verdict(metrics)

    assert not said.publish
    (reason,) = said.reasons
    assert reason.startswith(f"{kind}: recall@20 of {recalls[0]:.4f}")
    assert named in reason


def test_own_purchases_on_their_own_list_need_only_be_reached():
    metrics = holdout({**RECALLS, "buy_again": (0.349, 0.201, 0.349)})

    assert verdict(metrics).publish


def test_only_the_lists_of_the_campaign_are_judged():
    metrics = holdout({**RECALLS, "buy_again": (0.0, 0.2, 0.3)})

    assert verdict(metrics, lists=("everything", "new_for_you")).publish
    assert not verdict(metrics, lists=("everything", "buy_again")).publish


def test_a_fall_under_the_published_run_beyond_the_margin_is_held_back():
    published = holdout({**RECALLS, "everything": (0.380, 0.115, 0.315)})

    assert not verdict(holdout(), published, margin=0.1).publish
    assert "more than 10% under" in verdict(holdout(), published, margin=0.1).reasons[0]
    assert verdict(holdout(), published, margin=0.2).publish


def test_the_week_of_the_split_does_not_stop_the_comparison_but_its_length_does():
    better = {**RECALLS, "everything": (0.9, 0.115, 0.315)}
    a_week_before = msgspec.structs.replace(holdout(better), split="last 28 days, from 2025-12-01")
    other_length = msgspec.structs.replace(holdout(better), split="last 14 days, from 2025-12-22")

    assert not verdict(holdout(), a_week_before).publish
    assert verdict(holdout(), other_length).publish
    assert verdict(holdout(), holdout(better, x=10)).publish


@pytest.mark.parametrize("metrics", [holdout(users=0), holdout({"buy_again": RECALLS["buy_again"]})])
def test_a_list_that_nobody_was_measured_on_is_held_back(metrics):
    said = verdict(metrics, lists=("everything",))

    assert not said.publish
    assert "not measured" in said.reasons[0]


def test_a_missing_baseline_is_no_victory():
    metrics = holdout()
    kind = msgspec.structs.replace(metrics.kinds["everything"], baselines={})
    metrics = msgspec.structs.replace(metrics, kinds={"everything": kind})

    said = verdict(metrics, lists=("everything",))

    assert not said.publish
    assert len(said.reasons) == 2


def test_an_open_gate_publishes_and_still_says_what_is_wrong():
    metrics = holdout({**RECALLS, "everything": (0.1, 0.2, 0.3)})

    said = verdict(metrics, gate=False)

    assert said.publish
    assert len(said.reasons) == 2


@given(model=SHARES, popularity=SHARES, again=SHARES, before=SHARES, margin=SHARES)
def test_everything_is_published_exactly_when_it_beats_both_and_keeps_its_margin(
    model, popularity, again, before, margin
):
    metrics = holdout({"everything": (model, popularity, again)})
    published = holdout({"everything": (before, 0.0, 0.0)})

    said = verdict(metrics, published, lists=("everything",), margin=margin)

    assert said.publish == (model > popularity and model > again and model >= before * (1 - margin))


@given(recall=SHARES, better_by=SHARES)
def test_a_better_model_is_never_held_back_where_a_worse_one_is_published(recall, better_by):
    better = min(1.0, recall + better_by)

    worse_passes = verdict(holdout({**RECALLS, "everything": (recall, 0.115, 0.315)}), holdout()).publish
    better_passes = verdict(holdout({**RECALLS, "everything": (better, 0.115, 0.315)}), holdout()).publish

    assert better_passes or not worse_passes
