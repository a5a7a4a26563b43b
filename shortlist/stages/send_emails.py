"""SendEmails: a shard of recipients and their lists in, one message to each of them out, and what became of each."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Final

import msgspec

from shortlist.config import Campaign
from shortlist.contracts.keys import RunKeys, shard_of, user_shard_of
from shortlist.contracts.lists import ListedItem, Recipient
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.payloads import Run
from shortlist.contracts.records import Delivery, campaign_run
from shortlist.contracts.stages import SEND_CONCURRENCY
from shortlist.contracts.summaries import SendEmailsSummary
from shortlist.errors import MessageRejectedError
from shortlist.mail import conduct
from shortlist.mail.address import address_hash
from shortlist.mail.compose import Composer
from shortlist.mail.delivery import Courier, Outcome, outcome_of
from shortlist.mail.pace import Pace
from shortlist.mail.shard import lists_of, recipients_of
from shortlist.mail.token import Keys
from shortlist.ports import Clock, Ledger, MailTransport, ObjectStore, Suppressions
from shortlist.stages.resume import Work, read_campaign, read_manifest, run_once

BATCH: Final = 25
"""Recipients before whom suppressions and the team's orders are looked up: few, so that the answers are seconds old."""
SETTLE_PAUSES_S: Final = (1.0, 2.0, 4.0)
"""How long a shard waits for another attempt's messages that are on their way."""


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

    Args:
        key: the recipient shard's object.
        keys, unsubscribe_url: for the recipients' unsubscribe links.
        attempt: unique to this attempt.
        remaining_s: seconds until this process is ended.
        concurrency: senders that share the mail account's rate.

    Returns:
        The manifest, whose summary is a `SendEmailsSummary`, and whether there was nothing to do.

    Raises:
        OutOfTimeError, TransientError, DailyQuotaError, MailingPausedError: call again, it goes on where it stopped.
        MailingStoppedError: nobody else is mailed until somebody has decided so.
        ContractError: the campaign or the mail service is not set up for sending.
    """
    shard = shard_of(key)
    campaign = read_campaign(run.run_id, store=store)
    composer = Composer(
        campaign,
        run_id=run.run_id,
        as_of=datetime.fromisoformat(run.as_of),
        unsubscribe_url=unsubscribe_url,
        keys=keys,
    )
    raw = store.read(key)
    partition = campaign_run(run.campaign, run.run_id)

    def work() -> Work:
        recipients = recipients_of(raw, key)
        topx = store.read(RunKeys(run.run_id).topx(user_shard_of(shard)))
        lists = lists_of(topx, campaign.lists[0], {recipient.user_id for recipient in recipients})
        pace = Pace(transport, clock, 1 / concurrency)
        courier = Courier(
            campaign_run=partition,
            attempt=attempt,
            since=_since(campaign, clock),
            ledger=ledger,
            transport=transport,
            clock=clock,
            pace=pace,
            remaining_s=remaining_s,
        )

        def check() -> None:
            courier.check_time()
            conduct.check(run.campaign, composer.mail, ledger.mailing_state(run.campaign, partition))

        mailing = _Mailing(courier, composer, ledger, suppressions, partition, check)
        mailing.mail(recipients, lists, senders=pace.senders())
        mailing.look_again(clock)
        outcomes = [
            _with_items(mailing.outcomes[recipient.user_id], lists, composer.mail.items) for recipient in recipients
        ]
        outcomes_key = RunKeys(run.run_id).outcomes(shard)
        body = b"".join(msgspec.json.encode(outcome) + b"\n" for outcome in outcomes)
        summary = _summary(outcomes, mailing.already_sent)
        return Work({outcomes_key: store.write(outcomes_key, body)}, msgspec.to_builtins(summary))

    ranked = read_manifest(run.run_id, "Rank", store=store, shard=user_shard_of(shard))
    inputs = {
        "recipients": hashlib.sha256(raw).hexdigest(),
        "lists": ranked.digest(),
        "list": campaign.lists[0],
        "mail": msgspec.to_builtins(campaign.mail),
    }
    return run_once("SendEmails", run, inputs, work, store=store, clock=clock, shard=shard, settled=_is_settled)


class _Mailing:
    """The state of one pass over a shard: what is known of each recipient so far. `check` raises to end it."""

    def __init__(
        self,
        courier: Courier,
        composer: Composer,
        ledger: Ledger,
        suppressions: Suppressions,
        partition: str,
        check: Callable[[], None],
    ) -> None:
        self._courier = courier
        self._composer = composer
        self._ledger = ledger
        self._suppressions = suppressions
        self._partition = partition
        self._check = check
        self.outcomes: dict[str, Outcome] = {}
        self.already_sent = 0

    def mail(self, recipients: Sequence[Recipient], lists: dict[str, tuple[ListedItem, ...]], *, senders: int) -> None:
        """Every recipient gets an outcome; those with an entry in the ledger keep what it says."""
        for user_id, entry in self._find([recipient.user_id for recipient in recipients]).items():
            if entry.state != "released":
                self.outcomes[user_id] = outcome_of(entry)
        self.already_sent = sum(outcome.outcome == "sent" for outcome in self.outcomes.values())
        left = [recipient for recipient in recipients if recipient.user_id not in self.outcomes]
        for batch in _batches(left, BATCH):
            self._check()
            self._mail_batch(batch, lists, senders)

    def look_again(self, clock: Clock) -> None:
        """Messages that another attempt was about to send may have been recorded meanwhile."""
        for pause in SETTLE_PAUSES_S:
            doubtful = [user_id for user_id, outcome in self.outcomes.items() if outcome.outcome == "in_doubt"]
            if not doubtful:
                return
            clock.sleep(pause)
            for user_id, entry in self._find(doubtful).items():
                self.outcomes[user_id] = outcome_of(entry)

    def _mail_batch(self, batch: Sequence[Recipient], lists: dict[str, tuple[ListedItem, ...]], senders: int) -> None:
        hashes = {recipient.user_id: _hash_or_empty(recipient.email) for recipient in batch}
        causes = self._suppressions.suppressed([known_by for known_by in hashes.values() if known_by])

        def mail_one(recipient: Recipient) -> Outcome:
            known_by = hashes[recipient.user_id]
            return self._mail_one(recipient, known_by, causes.get(known_by, ""), lists.get(recipient.user_id, ()))

        if senders == 1:
            for recipient in batch:
                self.outcomes[recipient.user_id] = mail_one(recipient)
            return
        with ThreadPoolExecutor(senders) as pool:
            futures = [pool.submit(mail_one, recipient) for recipient in batch]
            try:
                for future in futures:
                    outcome = future.result()
                    self.outcomes[outcome.user_id] = outcome
            finally:
                pool.shutdown(cancel_futures=True)  # after an error those that are under way end, no other begins

    def _mail_one(self, recipient: Recipient, known_by: str, cause: str, items: tuple[ListedItem, ...]) -> Outcome:
        if cause:
            return self._courier.withhold(recipient.user_id, "suppressed", cause)
        if not known_by:
            return self._courier.withhold(recipient.user_id, "rejected", "the address cannot be mailed")
        if not items:
            return Outcome(recipient.user_id, "without_list")
        return self._courier.deliver(recipient.user_id, self._composer.compose(recipient, items), known_by)

    def _find(self, user_ids: Sequence[str]) -> dict[str, Delivery]:
        return dict(self._ledger.find(self._partition, user_ids)) if user_ids else {}


def _since(campaign: Campaign, clock: Clock) -> str:
    days = campaign.mail.min_days_between if campaign.mail else 0.0
    return (clock.now() - timedelta(days=days)).isoformat(timespec="milliseconds")


def _batches(recipients: Sequence[Recipient], size: int) -> Iterator[Sequence[Recipient]]:
    for start in range(0, len(recipients), size):
        yield recipients[start : start + size]


def _hash_or_empty(email: str) -> str:
    try:
        return address_hash(email)
    except MessageRejectedError:
        return ""


def _with_items(outcome: Outcome, lists: dict[str, tuple[ListedItem, ...]], most: int) -> Outcome:
    """What the message showed, so that later runs can let it rest."""
    if outcome.outcome != "sent":
        return outcome
    shown = lists.get(outcome.user_id, ())[:most]
    return msgspec.structs.replace(outcome, items=tuple(item.item_id for item in shown))


def _summary(outcomes: Sequence[Outcome], already_sent: int) -> SendEmailsSummary:
    kinds = Counter(outcome.outcome for outcome in outcomes)
    causes = Counter(outcome.detail for outcome in outcomes if outcome.outcome == "suppressed")
    return SendEmailsSummary(
        recipients=len(outcomes),
        sent=kinds["sent"],
        already_sent=already_sent,
        suppressed=kinds["suppressed"],
        rejected=kinds["rejected"],
        in_doubt=kinds["in_doubt"],
        without_list=kinds["without_list"],
        suppressed_by_cause=dict(sorted(causes.items())),
    )


def _is_settled(manifest: Manifest) -> bool:
    """A message in doubt may have been settled by an event since: look again."""
    return not manifest.summary.get("in_doubt")
