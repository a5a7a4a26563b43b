"""A campaign and a user in; who is held out, who gets which variant, and the campaign as that user sees it, out.

Assignment is a keyed hash of the user id: the same in every run and on every machine, without a table, and independent
between campaigns, experiments and the two questions asked of it. Nobody gains by foreseeing it: the key is no secret.
"""

import hashlib
from typing import Final, Literal

import msgspec

from shortlist.config import Campaign, Mail
from shortlist.contracts.lists import ListKind

Variant = Literal["a", "b"]
VARIANTS: Final[tuple[Variant, ...]] = ("a", "b")


def place(user_id: str, purpose: str, key: str) -> float:
    """Where a user stands between 0 and 1: uniform over users, fixed for a purpose and a key."""
    salted = f"{purpose}\0{key}\0{user_id}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(salted, digest_size=8).digest(), "big") / 2**64


def is_held_out(campaign: str, mail: Mail, user_id: str) -> bool:
    """Whether a user is of the campaign's control group, which is never mailed."""
    return place(user_id, "control", campaign) < mail.control_share


def variant_of(campaign: Campaign, user_id: str) -> Variant:
    """Which message a user gets; everybody `a` where there is no experiment."""
    test = campaign.mail.experiment if campaign.mail else None
    if test is None:
        return "a"
    return "b" if place(user_id, "experiment", f"{campaign.name}\0{test.name}") < test.share else "a"


def mail_of(mail: Mail, variant: Variant) -> Mail:
    """The campaign's mail with the settings of a variant in their places."""
    test = mail.experiment
    if test is None or variant == "a":
        return mail
    given = {"template": test.template, "subject": test.subject, "items": test.items}
    return msgspec.structs.replace(mail, **{name: value for name, value in given.items() if value})


def list_of(campaign: Campaign, user_id: str) -> ListKind:
    """The kind of list that a user is mailed."""
    test = campaign.mail.experiment if campaign.mail else None
    return test.list if test and test.list and variant_of(campaign, user_id) == "b" else campaign.lists[0]


def items_shown(campaign: Campaign, user_id: str) -> int:
    """How many of the list's items a user's message shows; fewer where it would grow too long."""
    return mail_of(campaign.mail, variant_of(campaign, user_id)).items if campaign.mail else 0
