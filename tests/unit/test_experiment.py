"""Who is held out and who gets which message: stable, counted, never mailed."""

from collections import Counter

import msgspec
import pytest

from shortlist.config import Campaign, Experiment, campaign_from_mapping
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.records import campaign_run
from shortlist.errors import ContractError
from shortlist.mail.delivery import Outcome
from shortlist.mail.experiment import is_held_out, list_of, place, variant_of
from tests.mailing import CAMPAIGN, MAIL, RUN, Mailing, recipient

USERS = [f"user-{number:05d}" for number in range(20_000)]
TEST = Experiment(name="short-list", subject="Only one for you", items=1, list="buy_again")


def campaign(**mail: object) -> Campaign:
    return msgspec.structs.replace(CAMPAIGN, mail=msgspec.structs.replace(MAIL, **mail))


def outcomes(mailing: Mailing) -> list[Outcome]:
    found = []
    for stored in mailing.store.list(RunKeys(RUN.run_id).root + "outcomes/"):
        found += msgspec.json.Decoder(Outcome).decode_lines(mailing.store.read(stored.key))
    return found


def test_places_are_uniform() -> None:
    tenths = Counter(int(10 * place(user, "control", "weekly")) for user in USERS)

    assert set(tenths) == set(range(10))
    assert max(abs(count - 2_000) for count in tenths.values()) < 5 * (20_000 * 0.1 * 0.9) ** 0.5


def test_assignments_of_different_campaigns_and_questions_have_nothing_to_do_with_each_other() -> None:
    first = {user for user in USERS if is_held_out("weekly", msgspec.structs.replace(MAIL, control_share=0.5), user)}
    second = {user for user in USERS if is_held_out("monthly", msgspec.structs.replace(MAIL, control_share=0.5), user)}
    tested = {user for user in USERS if variant_of(campaign(experiment=TEST), user) == "b"}

    for other in (second, tested):
        assert abs(len(first & other) - 5_000) < 5 * (20_000 * 0.25 * 0.75) ** 0.5


def test_a_larger_control_group_holds_the_smaller_one_and_a_renamed_experiment_deals_anew() -> None:
    small, large = (
        {user for user in USERS if is_held_out("weekly", msgspec.structs.replace(MAIL, control_share=share), user)}
        for share in (0.05, 0.2)
    )
    renamed = msgspec.structs.replace(TEST, name="again")
    dealt = [{u for u in USERS if variant_of(campaign(experiment=test), u) == "b"} for test in (TEST, renamed)]

    assert small < large
    assert abs(len(small) - 1_000) < 160
    assert abs(len(dealt[0] & dealt[1]) - 5_000) < 320


def test_the_control_group_is_never_mailed_counted_and_named() -> None:
    mailing = Mailing([recipient(number) for number in range(400)], campaign=campaign(control_share=0.25))

    manifest, _ = mailing.send()
    _, skipped = mailing.send()

    held_out = {one.user_id for one in outcomes(mailing) if one.outcome == "held_out"}
    wanted = {
        one.user_id for one in mailing.recipients if is_held_out("weekly-picks", mailing.campaign.mail, one.user_id)
    }
    mailed = {address.partition("@")[0] for address in mailing.deliveries()}
    assert held_out == wanted
    assert 60 < len(held_out) < 140
    assert mailed.isdisjoint(f"user{int(user_id[5:])}" for user_id in held_out)
    assert (manifest.summary["held_out"], manifest.summary["sent"]) == (len(held_out), 400 - len(held_out))
    assert manifest.summary["suppressed"] == 0
    assert skipped


def test_who_was_held_out_is_not_mailed_by_the_same_run_when_the_group_is_dissolved() -> None:
    mailing = Mailing([recipient(number) for number in range(100)], campaign=campaign(control_share=0.3))
    mailing.send()
    held_out = {one.user_id for one in outcomes(mailing) if one.outcome == "held_out"}

    mailing.store.write(RunKeys(RUN.run_id).campaign, msgspec.json.encode(campaign(control_share=0)))
    mailing.send()

    assert {one.user_id for one in outcomes(mailing) if one.outcome == "held_out"} == held_out
    assert sum(mailing.deliveries().values()) == 100 - len(held_out)


def test_an_experiment_gives_some_another_message_and_the_others_theirs() -> None:
    tested = campaign(experiment=TEST)
    mailing = Mailing([recipient(number) for number in range(40)], campaign=tested)
    plain = Mailing([recipient(number) for number in range(40)])

    mailing.send()
    plain.send()

    as_before = {message.recipient: message.mime for message in plain.transport.messages}
    of_user = {one.user_id: one for one in outcomes(mailing)}
    for message in mailing.transport.messages:
        user_id = f"user-{int(message.recipient.partition('@')[0][4:]):05d}"
        variant, outcome = variant_of(tested, user_id), of_user[user_id]
        assert outcome.variant == variant
        assert (message.mime == as_before[message.recipient]) == (variant == "a")
        assert outcome.items == (("item-0", "item-1", "item-2") if variant == "a" else ("item-9",))
        assert (b"Subject: Only one for you" in message.mime) == (variant == "b")
    assert {one.variant for one in of_user.values()} == {"a", "b"}


def test_an_outcome_says_when_and_which_items_also_of_who_was_held_out() -> None:
    mailing = Mailing([recipient(number) for number in range(40)], campaign=campaign(control_share=0.5))

    mailing.send()

    entries = {entry.user_id: entry for entry in mailing.ledger.entries(campaign_run("weekly-picks", "r1"))}
    for outcome in outcomes(mailing):
        assert outcome.at == entries[outcome.user_id].claimed_at
        assert outcome.items == ("item-0", "item-1", "item-2")
        assert outcome.variant == ""


def test_everybody_gets_the_first_list_where_there_is_no_experiment() -> None:
    assert {variant_of(CAMPAIGN, user) for user in USERS[:100]} == {"a"}
    assert {list_of(CAMPAIGN, user) for user in USERS[:100]} == {"new_for_you"}
    assert {list_of(campaign(experiment=TEST), user) for user in USERS[:100]} == {"new_for_you", "buy_again"}


def test_an_experiment_with_a_list_that_is_not_made_is_refused() -> None:
    mail = {"sender": "a@example.com", "experiment": {"name": "t", "list": "buy_again"}}

    with pytest.raises(ContractError, match="experiment"):
        campaign_from_mapping({"name": "weekly", "lists": ["everything"], "mail": mail}, "weekly.yaml")
