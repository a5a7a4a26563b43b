"""SendEmails: a shard of recipients and their lists in, one message to each of them out, and what became of each."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache

import msgspec

from shortlist.config import Campaign
from shortlist.contracts.keys import SOLD_OUT, RunKeys, shard_of, user_shard_of
from shortlist.contracts.lists import Recipient
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.payloads import Run
from shortlist.contracts.records import campaign_run
from shortlist.contracts.stages import SEND_CONCURRENCY
from shortlist.contracts.summaries import SendEmailsSummary
from shortlist.errors import MissingObjectError
from shortlist.mail.compose import Composer
from shortlist.mail.delivery import Courier, Outcome
from shortlist.mail.experiment import items_shown, list_of, variant_of
from shortlist.mail.mailing import Lists, Mailing
from shortlist.mail.pace import Pace
from shortlist.mail.shard import lists_of, recipients_of
from shortlist.mail.stock import still_on_offer
from shortlist.mail.token import Keys
from shortlist.ports import Clock, Ledger, MailTransport, ObjectStore, Suppressions
from shortlist.stages.resume import Work, read_campaign, read_manifest, run_once


def send_emails(
    run: Run,
    key: str,
    *,
    store: ObjectStore,
    ledger: Ledger,
    suppressions: Suppressions,
    transport: MailTransport,
    clock: Clock,
    keys: Keys,
    unsubscribe_url: str,
    attempt: str,
    remaining_s: Callable[[], float],
    concurrency: int = SEND_CONCURRENCY,
) -> tuple[Manifest, bool]:
    """Mail one recipient shard; nobody twice, whoever else is at it and however often it is asked.

    Where the day's quota is used up, the campaign paused or a send window closed, the pass ends and its summary says
    how many wait and until when; asked again then, it goes on with them.

    Args:
        key: the recipient shard's object.
        keys, unsubscribe_url: for the recipients' unsubscribe links.
        attempt: unique to this attempt.
        remaining_s: seconds until this process is ended.
        concurrency: senders that share the mail account's rate.

    Returns:
        The manifest, whose summary is a `SendEmailsSummary`, and whether there was nothing to do.

    Raises:
        OutOfTimeError, TransientError: call again, it goes on where it stopped.
        MailingStoppedError: nobody else is mailed until somebody has decided so.
        ContractError: the campaign or the mail service is not set up for sending.
    """
    shard = shard_of(key)
    campaign = read_campaign(run.run_id, store=store)
    raw = store.read(key)
    composer = Composer(
        campaign,
        run_id=run.run_id,
        as_of=datetime.fromisoformat(run.as_of),
        unsubscribe_url=unsubscribe_url,
        keys=keys,
    )
    pace = Pace(transport, clock, 1 / concurrency)
    courier = Courier(
        campaign_run=campaign_run(run.campaign, run.run_id),
        attempt=attempt,
        min_days_between=composer.mail.min_days_between,
        ledger=ledger,
        transport=transport,
        clock=clock,
        pace=pace,
        remaining_s=remaining_s,
    )
    mailing = Mailing(run, courier=courier, composer=composer, ledger=ledger, suppressions=suppressions, clock=clock)

    def work() -> Work:
        recipients = recipients_of(raw, key)
        read_lists = cache(lambda: _lists(run, shard, campaign, recipients, clock.now(), store))
        mailing.mail(recipients, read_lists, senders=pace.senders())
        mailing.look_again()
        outcomes = [mailing.outcomes[recipient.user_id] for recipient in recipients]
        if any(outcome.is_compared for outcome in outcomes):
            outcomes = [_with_message(outcome, campaign, read_lists()) for outcome in outcomes]
        return _stored(run, shard, outcomes, mailing, store)

    inputs = _inputs(run, shard, campaign, raw, store)
    return run_once("SendEmails", run, inputs, work, store=store, clock=clock, shard=shard, settled=_is_settled)


def _lists(
    run: Run, shard: str, campaign: Campaign, recipients: Sequence[Recipient], now: datetime, store: ObjectStore
) -> Lists:
    """The list of each recipient, without what is sold out or over by now."""
    topx = store.read(RunKeys(run.run_id).topx(user_shard_of(shard)))
    lists = lists_of(topx, {one.user_id: list_of(campaign, one.user_id) for one in recipients})
    return still_on_offer(lists, _sold_out(store), now, only_deals=campaign.rules.only_deals)


def _sold_out(store: ObjectStore) -> set[str]:
    """The items that the shop has sold out of; none where it does not say."""
    try:
        return {line.strip("\r") for line in store.read(SOLD_OUT).decode().split("\n")}
    except MissingObjectError:
        return set()


def _inputs(run: Run, shard: str, campaign: Campaign, recipients: bytes, store: ObjectStore) -> dict[str, object]:
    """What the messages of a shard depend on."""
    ranked = read_manifest(run.run_id, "Rank", store=store, shard=user_shard_of(shard))
    return {
        "recipients": hashlib.sha256(recipients).hexdigest(),
        "lists": ranked.digest(),
        "list": list(campaign.lists),
        "mail": msgspec.to_builtins(campaign.mail),
    }


def _stored(run: Run, shard: str, outcomes: Sequence[Outcome], mailing: Mailing, store: ObjectStore) -> Work:
    """The outcomes, a line a recipient, and their totals."""
    key = RunKeys(run.run_id).outcomes(shard)
    body = b"".join(msgspec.json.encode(outcome) + b"\n" for outcome in outcomes)
    return Work({key: store.write(key, body)}, msgspec.to_builtins(_summary(outcomes, mailing)))


def _with_message(outcome: Outcome, campaign: Campaign, lists: Lists) -> Outcome:
    """An outcome that says too which message it is of, to be compared with what its recipient does later."""
    if not outcome.is_compared:
        return outcome
    shown = lists.get(outcome.user_id, ())[: items_shown(campaign, outcome.user_id)]
    variant = variant_of(campaign, outcome.user_id) if campaign.mail and campaign.mail.experiment else ""
    return msgspec.structs.replace(outcome, variant=variant, items=tuple(item.item_id for item in shown))


def _summary(outcomes: Sequence[Outcome], mailing: Mailing) -> SendEmailsSummary:
    kinds = Counter(outcome.outcome for outcome in outcomes)
    causes = Counter(outcome.detail for outcome in outcomes if outcome.outcome == "suppressed")
    return SendEmailsSummary(
        recipients=len(outcomes),
        sent=kinds["sent"],
        already_sent=mailing.already_sent,
        suppressed=kinds["suppressed"],
        rejected=kinds["rejected"],
        in_doubt=kinds["in_doubt"],
        without_list=kinds["without_list"],
        held_out=kinds["held_out"],
        waiting=kinds["waiting"],
        resume_at=mailing.resume_at.isoformat() if mailing.resume_at else "",
        suppressed_by_cause=dict(sorted(causes.items())),
    )


def _is_settled(manifest: Manifest) -> bool:
    """Who waits may be mailed by now, and a message in doubt may have been settled by an event: look again."""
    return not manifest.summary.get("in_doubt") and not manifest.summary.get("waiting")
