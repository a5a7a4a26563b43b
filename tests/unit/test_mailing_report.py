"""Every recipient of a mailing has one outcome, and the team sees what it brought."""

import csv
import io

import msgspec
import pytest
from rich.console import Console

from shortlist.commands.campaign_report import attribution_of, attribution_tables, mailing_table, newest_mailing
from shortlist.contracts.attribution import Arm, Attribution, ItemFigures
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.records import Delivery, Response, RunRecord
from shortlist.errors import ContractError
from shortlist.lift import lift, points
from shortlist.mail.delivery import Outcome
from shortlist.report.mailing import COLUMNS, figures, recipients, write_csv
from tests.fakes import MemoryRunsTable, MemoryStore

AT = "2026-01-05T06:00:00.000+00:00"
LATER = "2026-01-05T09:00:00.000+00:00"


def entry(user_id: str, state: str, detail: str = "") -> Delivery:
    return Delivery(
        campaign_run="weekly#r1", user_id=user_id, state=state, claimed_at=AT, claimed_by="a/1", detail=detail
    )


def said(user_id: str, kind: str, item_id: str = "", *times: str) -> Response:
    return Response(
        user_id=user_id, item_id=item_id, kind=kind, campaign="weekly", run_id="r1", times=times or (LATER,)
    )


OUTCOMES = [
    Outcome("ann", "sent", at=AT, variant="b", items=("tea",)),
    Outcome("bob", "in_doubt", at=AT),
    Outcome("cid", "suppressed", "unsubscribed", at=AT),
    Outcome("dan", "held_out", at=AT),
    Outcome("eve", "sent", at=AT),
    Outcome("fay", "without_list"),
]
ENTRIES = {
    "ann": entry("ann", "delivered", AT),
    "bob": entry("bob", "delivered", AT),  # settled by an event since
    "cid": entry("cid", "suppressed", "unsubscribed"),
    "dan": entry("dan", "suppressed", "held_out"),
    "eve": entry("eve", "bounced", "Permanent/General"),
}
RESPONSES = [
    said("ann", "clicked", "tea", LATER, "2026-01-06T00:00:00.000+00:00"),
    said("ann", "clicked", "milk"),
    said("ann", "opened"),
    said("bob", "unsubscribed"),
    said("bob", "not_interested", "jam"),
]


def test_every_recipient_is_counted_once_with_what_is_known_by_now() -> None:
    found = figures(recipients(OUTCOMES, ENTRIES, RESPONSES), eligible=8)

    assert found.outcomes == {"sent": 3, "suppressed": 1, "held_out": 1, "without_list": 1}
    assert sum(found.outcomes.values()) + found.not_reached == 8
    assert found.suppressed_by_cause == {"unsubscribed": 1}
    assert found.states == {"delivered": 2, "bounced": 1}
    assert found.responses == {"clicked": 1, "opened": 1, "unsubscribed": 1, "not_interested": 1}


def test_the_csv_names_every_recipient_and_no_address() -> None:
    out = io.StringIO()

    count = write_csv(recipients(OUTCOMES, ENTRIES, RESPONSES), out)

    rows = {row["user_id"]: row for row in csv.DictReader(io.StringIO(out.getvalue()))}
    assert (count, list(rows)) == (6, [one.user_id for one in OUTCOMES])
    assert tuple(rows["ann"]) == COLUMNS
    assert (rows["ann"]["state"], rows["ann"]["variant"], rows["ann"]["clicked_items"]) == (
        "delivered",
        "b",
        "milk tea",
    )
    assert rows["ann"]["clicked_at"] == LATER
    assert (rows["bob"]["outcome"], rows["bob"]["unsubscribed_at"]) == ("sent", LATER)
    assert (rows["dan"]["outcome"], rows["dan"]["state"]) == ("held_out", "")
    assert rows["eve"]["detail"] == "Permanent/General"


ATTRIBUTION = Attribution(
    campaign="weekly",
    run_id="r1",
    sent_at=AT,
    days=7,
    complete=False,
    held_out=Arm(recipients=100, bought=10, bought_shown=4),
    mailed={
        "a": Arm(recipients=950, bought=140, bought_shown=90),
        "b": Arm(recipients=950, bought=150, bought_shown=99),
    },
    opened=400,
    clicked=60,
    not_interested=2,
    unsubscribed=3,
    bought_after_click=20,
    lift=lift(290, 1900, 10, 100),
    lift_shown=lift(189, 1900, 4, 100),
    b_against_a=lift(150, 950, 140, 950),
    b_against_a_shown=lift(99, 950, 90, 950),
    items=(ItemFigures(item_id="tea", shown=1900, clicked=60, bought=189, bought_after_click=20),),
)


def printed(*parts: object) -> str:
    console = Console(width=120, record=True, file=io.StringIO())
    for part in parts:
        console.print(part)
    return console.export_text()


def test_the_page_shows_who_was_held_out_and_the_lift_with_its_interval() -> None:
    text = printed(*attribution_tables(ATTRIBUTION))

    assert "which have not passed yet" in text
    assert points(ATTRIBUTION.lift) + " points" in text
    assert points(ATTRIBUTION.b_against_a_shown) + " points" in text
    assert "60 clicked, 20 of them bought" in text
    assert "15.79%" in text  # 150 of 950


def test_the_table_has_every_outcome_and_cause() -> None:
    text = printed(mailing_table("weekly", "r1", figures(recipients(OUTCOMES, ENTRIES, RESPONSES), eligible=8)))

    for word in ("eligible", "held out", "in doubt", "unsubscribed", "not reached yet", "bounced", "clicked"):
        assert word in text


def world() -> tuple[MemoryRunsTable, MemoryStore]:
    runs, store = MemoryRunsTable(), MemoryStore()
    for number in (1, 2, 3):
        runs.put(
            RunRecord(
                campaign="weekly",
                run_id=f"r{number}",
                status="completed",
                started_at=f"2026-01-0{number}T06:00:00Z",
                as_of=AT,
            )
        )
    store.write(RunKeys("r1").outcomes("00000-000"), b"")
    store.write(RunKeys("r2").outcomes("00000-000"), b"")
    return runs, store


def test_the_newest_run_that_mailed_is_meant() -> None:
    runs, store = world()

    assert newest_mailing("weekly", runs=runs, store=store) == "r2"
    with pytest.raises(ContractError, match="has not mailed anybody"):
        newest_mailing("monthly", runs=runs, store=store)


def test_the_newest_run_that_knows_of_a_mailing_tells_what_it_brought() -> None:
    runs, store = world()
    for run_id, complete in (("r2", False), ("r3", True)):
        told = [msgspec.structs.replace(ATTRIBUTION, complete=complete)]
        store.write(RunKeys(run_id).attribution, msgspec.json.encode(told))

    assert attribution_of("weekly", "r1", runs=runs, store=store).complete
    assert attribution_of("weekly", "r2", runs=runs, store=store) is None
