"""PlanMailing and RequestApproval: what comes next in a mailing, and what the team is asked before it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError
from msgspec.structs import replace

from shortlist.commands.decide import decide
from shortlist.config import Mail, SendWindow
from shortlist.contracts.approval import Approval
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.payloads import ApprovalRequest, MailingRequest
from shortlist.errors import ContractError
from shortlist.stages.plan_mailing import plan_mailing, read_approval
from shortlist.stages.request_approval import request_approval
from tests.fakes import MemoryNotifier
from tests.finished_run import write_metrics
from tests.mailing import CAMPAIGN, MAIL, RUN, Mailing, recipient

STARTED = replace(RUN, started_at="2026-01-05T06:00:00+00:00")
KEYS = RunKeys(RUN.run_id)


def mailing_with(mail: Mail = MAIL, **recipient_fields: str) -> Mailing:
    campaign = replace(CAMPAIGN, mail=mail)
    mailing = Mailing([recipient(number, **recipient_fields) for number in range(4)], campaign=campaign, per_shard=2)
    for stage, summary in (
        ("Publish", {}),
        ("Prepare", {"users": 4, "items": 4, "interactions": 9, "rejected": 0, "mailable": 4}),
    ):
        manifest = Manifest(stage=stage, inputs=stage, outputs={}, summary=summary, seconds=0, peak_rss_mib=0)
        mailing.store.write(KEYS.manifest(stage), msgspec.json.encode(manifest))
    write_metrics(mailing.store, run=RUN)
    return mailing


def plan(mailing: Mailing, after_rounds: int) -> dict[str, Any]:
    request = MailingRequest(run=STARTED, round=after_rounds)
    return plan_mailing(request, store=mailing.store, clock=mailing.clock)


def ask(mailing: Mailing, token: str = "token-1") -> MemoryNotifier:
    notifier = MemoryNotifier()
    request_approval(
        ApprovalRequest(run=STARTED, token=token), store=mailing.store, notifier=notifier, clock=mailing.clock
    )
    return notifier


class Machine:
    """Step Functions, which waits for the answer to one token."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.answered: list[str] = []

    def send_task_success(self, taskToken: str, output: str) -> None:
        if taskToken != self.token or self.answered:
            raise ClientError({"Error": {"Code": "TaskTimedOut"}}, "SendTaskSuccess")
        self.answered.append(output)


def answer(mailing: Mailing, decision: str, machine: Machine) -> None:
    decide(RUN.run_id, decision, store=mailing.store, machine=machine, now=datetime(2026, 1, 5, 7, tzinfo=UTC))


def test_a_mailing_begins_at_once_where_nobody_has_to_approve() -> None:
    mailing = mailing_with()

    assert plan(mailing, 0) == {"step": "send", "round": 1, "wait_s": 0, "waiting": 0}


def test_a_mailing_is_done_once_nobody_waits() -> None:
    mailing = mailing_with()
    for key in mailing.keys:
        mailing.send(key)

    assert plan(mailing, 1)["step"] == "done"


def test_the_next_round_comes_when_the_first_of_those_who_wait_may_be_mailed() -> None:
    window = SendWindow(from_hour=9, until_hour=20)
    mailing = mailing_with(replace(MAIL, send_window=window))
    for key in mailing.keys:
        mailing.send(key)

    assert plan(mailing, 1) == {"step": "wait", "round": 2, "wait_s": 3 * 3600, "waiting": 4}


def test_a_round_that_is_due_waits_a_minute_all_the_same() -> None:
    mailing = mailing_with(replace(MAIL, send_window=SendWindow()))
    for key in mailing.keys:
        mailing.send(key)
    mailing.clock.time += timedelta(hours=5)

    assert plan(mailing, 1)["wait_s"] == 60


def test_a_mailing_ends_after_its_days_and_says_how_many_still_wait() -> None:
    mailing = mailing_with(replace(MAIL, max_days=0.25))
    mailing.clock.time += timedelta(hours=6)
    mailing.ledger.give_order("weekly-picks", "pause", "")
    for key in mailing.keys:
        mailing.send(key)

    assert plan(mailing, 1) == {"step": "done", "round": 1, "wait_s": 0, "waiting": 4}


def test_the_team_is_asked_with_figures_and_a_message_to_nobody() -> None:
    mailing = mailing_with(replace(MAIL, approval=True), first_name="Philippa")

    step = plan(mailing, 0)["step"]
    ((subject, body),) = ask(mailing).told

    assert step == "ask"
    assert "waits for your approval" in subject
    assert "4 at most" in body
    assert "Your picks of the week" in body
    assert f"shortlist campaign approve {RUN.run_id}" in body
    kept = mailing.store.read(KEYS.approval("preview.eml"))
    assert b"Philippa" not in kept
    assert b"Product 0" in kept


def test_once_approved_the_same_mailing_is_not_asked_about_again() -> None:
    mailing = mailing_with(replace(MAIL, approval=True))
    ask(mailing)
    machine = Machine("token-1")

    answer(mailing, "approved", machine)

    assert machine.answered == ['{"approved": true}']
    assert plan(mailing, 0)["step"] == "send"
    assert read_approval(RUN.run_id, store=mailing.store).decided_at == "2026-01-05T07:00:00+00:00"


@pytest.mark.parametrize("change", ["lists", "mail", "rejected"])
def test_an_approval_counts_for_what_was_approved_alone(change: str) -> None:
    mailing = mailing_with(replace(MAIL, approval=True))
    ask(mailing)
    answer(mailing, "rejected" if change == "rejected" else "approved", Machine("token-1"))
    if change == "lists":
        manifest = Manifest(stage="Publish", inputs="other", outputs={}, summary={}, seconds=0, peak_rss_mib=0)
        mailing.store.write(KEYS.manifest("Publish"), msgspec.json.encode(manifest))
    if change == "mail":
        other = replace(CAMPAIGN, mail=replace(MAIL, approval=True, subject="Everything must go"))
        mailing.store.write(KEYS.campaign, msgspec.json.encode(other))

    assert plan(mailing, 0)["step"] == "ask"


def test_an_answer_that_comes_too_late_is_refused_and_approves_nothing() -> None:
    mailing = mailing_with(replace(MAIL, approval=True))
    ask(mailing, token="token-of-an-execution-that-ended")

    with pytest.raises(ContractError, match="no longer waits"):
        answer(mailing, "approved", Machine("token-2"))

    assert plan(mailing, 0)["step"] == "ask"


def test_a_run_that_asks_nothing_cannot_be_approved() -> None:
    with pytest.raises(ContractError, match="asks for no approval"):
        answer(mailing_with(), "approved", Machine("token-1"))


def test_a_run_in_which_nobody_has_a_list_still_asks() -> None:
    mailing = mailing_with(replace(MAIL, approval=True))
    mailing.store.delete(mailing.keys)

    ((_, body),) = ask(mailing).told

    assert "nobody has a list" in body
    assert msgspec.json.decode(mailing.store.read(KEYS.approval("request.json")), type=Approval).decision == ""
