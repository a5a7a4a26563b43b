"""Who bought what in time, against the obvious double loop; and the whole of it through Prepare."""

import json
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.attribution import Pairs, Recipients, conversions, purchases_of
from shortlist.contracts.attribution import Arm, Attribution, ItemFigures
from shortlist.contracts.inputs import PinnedRun
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.records import Response, RunRecord
from shortlist.mail.delivery import Outcome
from tests.unit.test_prepare import ITEMS, KEYS, RUN, USERS, Shop

N_USERS, N_ITEMS, WINDOW = 6, 5, 10
moments = st.integers(0, 30)
triples = st.lists(st.tuples(st.integers(0, N_USERS - 1), st.integers(0, N_ITEMS - 1), moments), max_size=30)


@given(
    at=st.lists(moments, min_size=1, max_size=N_USERS),
    shown=st.lists(st.sets(st.integers(0, N_ITEMS - 1)), min_size=N_USERS, max_size=N_USERS),
    bought=triples,
    clicks=triples,
    shift=st.integers(0, N_USERS - 1),
)
def test_conversions_are_those_that_a_double_loop_finds(at, shown, bought, clicks, shift):
    users = [(number + shift) % N_USERS for number in range(len(at))]
    shown, clicks = shown[: len(at)], [(r, i, t) for r, i, t in clicks if r < len(at)]
    mailed = Recipients(
        np.array(users, np.int32),
        np.array(at, np.int64),
        np.cumsum([0, *map(len, shown)]).astype(np.int64),
        np.array([item for items in shown for item in sorted(items)], np.int32),
    )
    columns = [np.array([row[k] for row in bought], np.int64) for k in range(3)]
    purchases = purchases_of(mailed, columns[0].astype(np.int32), columns[1].astype(np.int32), columns[2], N_USERS)
    clicked = [np.array([row[k] for row in clicks], np.int64) for k in range(3)]

    found = conversions(mailed, purchases, Pairs(clicked[0], clicked[1].astype(np.int32), clicked[2]), WINDOW, N_ITEMS)

    own = [(users.index(u), i, t) for u, i, t in bought if u in users and t > at[users.index(u)]]
    in_time = [(r, i) for r, i, t in own if t <= at[r] + WINDOW]
    after = {r * N_ITEMS + i for r, i, t in own for cr, ci, ct in clicks if (cr, ci) == (r, i) and 0 < t - ct <= WINDOW}
    assert found.bought.tolist() == [any(r == one for r, _ in in_time) for one in range(len(at))]
    of_shown = {(r, i) for r, i in in_time if i in shown[r]}
    assert found.bought_shown.tolist() == [any(r == one for r, _ in of_shown) for one in range(len(at))]
    assert found.shown_and_bought.tolist() == sorted(r * N_ITEMS + i for r, i in of_shown)
    assert found.after_click.tolist() == sorted(after)


SENT = datetime(2026, 1, 5, 7, tzinfo=UTC)


def after(days: float) -> str:
    return (SENT + timedelta(days=days)).isoformat(timespec="milliseconds")


def shop_after_a_mailing(interactions: str, *outcomes: Outcome, behind: int = 0) -> Shop:
    """A shop whose campaign mailed in the run `before`, as of so many days before it did."""
    shop = Shop(interactions=f"user_id,item_id,timestamp\n{interactions}", items=ITEMS, users=USERS)
    keys, started = RunKeys("before"), "2026-01-05T06:00:00Z"
    as_of = (datetime.fromisoformat(started) - timedelta(days=behind)).isoformat()
    shop.store.write(keys.run, msgspec.json.encode(PinnedRun(campaign="test", as_of=as_of, started_at=started)))
    shop.store.write(keys.outcomes("00000-000"), msgspec.json.Encoder().encode_lines(outcomes))
    record = RunRecord(campaign="test", run_id="before", status="completed", started_at=started, as_of=as_of)
    shop.runs.put(record)
    return shop


def attributed(shop: Shop, days: float = 10) -> list[Attribution]:
    run = msgspec.structs.replace(RUN, as_of=after(days), started_at=after(days))
    shop.prepare(run)
    return msgspec.json.decode(shop.store.read(KEYS.attribution), type=list[Attribution])


def mailed(user_id: str, outcome: str = "sent", **fields: object) -> Outcome:
    given = {"at": SENT.isoformat(), "items": ("milk", "salt"), **fields}
    return Outcome(user_id=user_id, outcome=outcome, **given)


PURCHASES = f"""ada,milk,{after(1)}
ben,bread,{after(2)}
cleo,milk,{after(8)}
dan,salt,{after(-1)}
"""


def test_a_mailing_is_credited_with_what_was_bought_in_time_and_no_more():
    shop = shop_after_a_mailing(PURCHASES, *map(mailed, ("ada", "ben", "cleo", "dan", "gone")))

    (found,) = attributed(shop)

    assert (found.run_id, found.complete, found.lift) == ("before", True, None)
    assert found.mailed == {"a": Arm(recipients=4, bought=2, bought_shown=1)}
    assert found.held_out == Arm(recipients=0)
    assert found.items == (
        ItemFigures(item_id="milk", shown=4, bought=1),
        ItemFigures(item_id="salt", shown=4),
    )


def test_the_mailed_are_compared_with_those_held_out_and_nobody_else_counts():
    outcomes = [
        mailed("ada"),
        mailed("ben", "held_out"),
        mailed("cleo", "suppressed", detail="mailed_recently"),
        mailed("dan", "suppressed", detail="unsubscribed"),
    ]
    shop = shop_after_a_mailing(PURCHASES, *outcomes)

    (found,) = attributed(shop)

    assert found.mailed == {"a": Arm(recipients=2, bought=1, bought_shown=1)}
    assert found.held_out == Arm(recipients=1, bought=1, bought_shown=0)
    assert found.lift.difference == pytest.approx(-0.5)
    assert found.lift.low < -0.5 < found.lift.high
    assert found.lift_shown.difference == pytest.approx(0.5)


def test_variants_are_compared_with_each_other():
    outcomes = [mailed(user, variant=variant) for user, variant in (("ada", "b"), ("ben", "b"), ("cleo", "a"))]
    shop = shop_after_a_mailing(PURCHASES, *outcomes)

    (found,) = attributed(shop)

    assert {name: arm.recipients for name, arm in found.mailed.items()} == {"a": 1, "b": 2}
    assert found.b_against_a.difference == pytest.approx(1.0)


def test_a_purchase_after_a_click_counts_from_the_click():
    shop = shop_after_a_mailing(PURCHASES, *map(mailed, ("ada", "cleo")))
    for user, item, day in (("cleo", "milk", 3), ("ada", "salt", 0.5), ("ada", "milk", 2)):
        shop.responses.note(
            Response(user_id=user, item_id=item, kind="clicked", campaign="test", run_id="before", times=(after(day),))
        )

    (found,) = attributed(shop)

    assert (found.clicked, found.bought_after_click) == (2, 1)
    assert found.items[0] == ItemFigures(item_id="milk", shown=2, clicked=2, bought=1, bought_after_click=1)


def test_a_run_that_looked_at_the_past_is_told_by_purchases_of_its_own_time():
    purchases = PURCHASES.replace("2026", "2025")
    outcomes = map(mailed, ("ada", "ben", "cleo", "dan"))
    shop = shop_after_a_mailing(purchases, *outcomes, behind=365)

    (found,) = attributed(shop)

    assert found.mailed == {"a": Arm(recipients=4, bought=2, bought_shown=1)}


def test_before_the_days_have_passed_the_figures_are_not_complete():
    shop = shop_after_a_mailing(PURCHASES, mailed("ada"))

    (found,) = attributed(shop, days=8.5)
    (early,) = attributed(shop_after_a_mailing("ada,milk,2026-01-06\n", mailed("ada")), days=3)

    assert (found.complete, early.complete) == (True, False)


def test_only_the_event_that_weighs_most_is_a_purchase():
    shop = shop_after_a_mailing("", mailed("ada"), mailed("ben"))
    shop.configure({"input": {"event_weights": {"view": 0.1, "order": 2.0}}})
    shop.put(
        "interactions",
        f"user_id,item_id,timestamp,event_type\nada,milk,{after(1)},view\nben,milk,{after(1)},order\n",
    )

    (found,) = attributed(shop)

    assert found.mailed["a"] == Arm(recipients=2, bought=1, bought_shown=1)


def test_the_first_mailing_has_nothing_before_it():
    shop = Shop(interactions=f"user_id,item_id,timestamp\n{PURCHASES}", items=ITEMS, users=USERS)

    assert attributed(shop) == []
    assert json.loads(shop.store.read(KEYS.attribution)) == []
