"""What is known of a mailing's recipients in; its figures, and a row for each recipient, out."""

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TextIO

import msgspec

from shortlist.contracts.records import Delivery, DeliveryState, Response, ResponseKind
from shortlist.mail.delivery import Outcome, OutcomeKind, outcome_of

COLUMNS: Final = (
    "user_id",
    "outcome",
    "detail",
    "state",
    "at",
    "variant",
    "opened_at",
    "clicked_at",
    "clicked_items",
    "not_interested_items",
    "unsubscribed_at",
)
_OF_THE_MESSAGE: Final[tuple[DeliveryState, ...]] = ("delivered", "bounced", "complained")


class Recipient(msgspec.Struct, frozen=True, kw_only=True):
    """One recipient of a mailing: `outcome` as it is now, `state` of the message as the mail service told it.

    The times are of the first response by a person; `items` of a response, sorted.
    """

    outcome: Outcome
    state: DeliveryState | None
    at: dict[ResponseKind, str]
    items: dict[ResponseKind, tuple[str, ...]]

    def row(self) -> tuple[str, ...]:
        """In the order of `COLUMNS`."""
        outcome = self.outcome
        return (
            outcome.user_id,
            outcome.outcome,
            outcome.detail,
            self.state or "",
            outcome.at,
            outcome.variant,
            self.at.get("opened", ""),
            self.at.get("clicked", ""),
            " ".join(self.items.get("clicked", ())),
            " ".join(self.items.get("not_interested", ())),
            self.at.get("unsubscribed", ""),
        )


class MailingFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Recipients of a mailing by what became of them: every one of them has one outcome.

    Attributes:
        eligible: users with an address who are subscribed, as the input said.
        outcomes: of them; `not_reached` are those of whom the mailing has said nothing yet.
        suppressed_by_cause: of the suppressed.
        states: messages by what the mail service told of them last.
        responses: recipients who gave each by themselves.
    """

    eligible: int
    outcomes: dict[OutcomeKind, int]
    not_reached: int
    suppressed_by_cause: dict[str, int]
    states: dict[DeliveryState, int]
    responses: dict[ResponseKind, int]


def recipients(
    outcomes: Iterable[Outcome], entries: Mapping[str, Delivery], responses: Iterable[Response]
) -> Iterator[Recipient]:
    """Put together what the mailing, the mail service and the recipients themselves say.

    Args:
        entries: of the ledger by user id; they go before the outcomes, which may be older.
        responses: of people, to this mailing.
    """
    said: dict[str, list[Response]] = defaultdict(list)
    for response in responses:
        said[response.user_id].append(response)
    for outcome in outcomes:
        entry = entries.get(outcome.user_id)
        if entry is not None and entry.state != "released":
            now = outcome_of(entry)
            outcome = msgspec.structs.replace(now, variant=outcome.variant, items=outcome.items)
        theirs = said[outcome.user_id]
        kinds = {one.kind for one in theirs}
        yield Recipient(
            outcome=outcome,
            state=entry.state if entry is not None and entry.state in _OF_THE_MESSAGE else None,
            at={kind: min(one.at for one in theirs if one.kind == kind) for kind in kinds},
            items={
                kind: tuple(sorted({one.item_id for one in theirs if one.kind == kind and one.item_id}))
                for kind in kinds
            },
        )


def figures(found: Iterable[Recipient], eligible: int) -> MailingFigures:
    """Count them."""
    outcomes: Counter[OutcomeKind] = Counter()
    causes: Counter[str] = Counter()
    states: Counter[DeliveryState] = Counter()
    responses: Counter[ResponseKind] = Counter()
    for one in found:
        outcomes[one.outcome.outcome] += 1
        causes[one.outcome.detail] += one.outcome.outcome == "suppressed"
        responses.update(one.at.keys())
        if one.state is not None:
            states[one.state] += 1
    return MailingFigures(
        eligible=eligible,
        outcomes=dict(outcomes),
        not_reached=eligible - outcomes.total(),
        suppressed_by_cause={cause: count for cause, count in causes.most_common() if count},
        states=dict(states),
        responses=dict(responses),
    )


def write_csv(found: Iterable[Recipient], out: TextIO) -> int:
    """A row for every recipient; returns how many. No address: user ids name them.

    Args:
        out: opened with `newline=""`.
    """
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    count = 0
    for one in found:
        writer.writerow(one.row())
        count += 1
    return count
