"""A campaign whose settings have sound types in; the first one that cannot be meant, with a cure, out.

What a type can say stands with the types. Here stands what it cannot: settings that exclude each other, and names of
things outside the file. It is asked once, where a campaign file is read: what a run has resolved is trusted.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple
from zoneinfo import available_timezones

from shortlist.config.campaign import Campaign
from shortlist.config.mailing import Mail
from shortlist.contracts.keys import MAX_PARTS

TEMPLATES: Final = Path(__file__).resolve().parent.parent / "mail" / "templates"

_ADDRESS: Final = re.compile(r"[^@\s<>,;\"]+@[^@\s<>,;\"]+\.[^@\s<>,;\".]+")


class Fault(NamedTuple):
    """A setting by its path (`mail.sender`), and what is wrong with it."""

    path: str
    what: str


def first_fault(campaign: Campaign) -> Fault | None:
    """None where every setting can be meant."""
    faults = (fault for part in (_tables, _schedule, _work, _mail) for fault in part(campaign))
    return next(faults, None)


def _tables(campaign: Campaign) -> Iterator[Fault]:
    settings = campaign.input
    for name in ("interactions", "offers", "blocks"):
        if getattr(settings, name).features:
            yield Fault(
                f"input.{name}.features",
                "only items and users have features. Cure: leave it out, or move it to `input.items.features` with "
                "`input.items_from: interactions`",
            )
    if campaign.mail and settings.items_from == "interactions" and "title" not in settings.items.columns:
        yield Fault(
            "input.items.columns",
            "names no column for `title`, and a message shows no product without one. Cure: name the column of the "
            "interactions that has it, or send an items table",
        )


def _schedule(campaign: Campaign) -> Iterator[Fault]:
    if campaign.schedule is None:
        return
    fields = campaign.schedule.cron.split()
    if len(fields) != 6 or (fields[2] == "?") == (fields[4] == "?"):
        yield Fault(
            "schedule.cron",
            "expected minutes, hours, day of month, month, day of week and year, one of the two days being `?`, as in "
            f"`0 6 ? * MON *`; it is {campaign.schedule.cron!r}",
        )
    yield from _zone("schedule.time_zone", campaign.schedule.time_zone)


def _work(campaign: Campaign) -> Iterator[Fault]:
    if len(set(campaign.lists)) != len(campaign.lists):
        yield Fault("lists", f"a kind is named twice: {', '.join(campaign.lists)}. Cure: name each once")
    shards = campaign.shards
    if shards.users > MAX_PARTS * shards.recipients:
        yield Fault(
            "shards.users",
            f"is over {MAX_PARTS} times `shards.recipients`, but a user shard has at most {MAX_PARTS} recipient parts. "
            f"Cure: raise `shards.recipients` to {-(-shards.users // MAX_PARTS)}",
        )


def _mail(campaign: Campaign) -> Iterator[Fault]:
    mail = campaign.mail
    if mail is None:
        if campaign.rules.rest_mailed_runs:
            yield Fault("rules.rest_mailed_runs", "the campaign mails nobody. Cure: add `mail`, or leave it out")
        return
    yield from _addresses(mail)
    yield from _template("mail.template", mail.template)
    if mail.shop_url and not mail.shop_url.startswith("https://"):
        yield Fault("mail.shop_url", f"expected an address that begins with https://; it is {mail.shop_url!r}")
    if window := mail.send_window:
        yield from _zone("mail.send_window.time_zone", window.time_zone)
        if window.from_hour >= window.until_hour:
            yield Fault(
                "mail.send_window",
                f"opens at {window.from_hour} and closes at {window.until_hour}. Cure: `until_hour` is the later one",
            )
    if test := mail.experiment:
        if test.list and test.list not in campaign.lists:
            yield Fault("mail.experiment.list", f"the campaign makes no list {test.list}. Cure: name it in `lists` too")
        if test.template:
            yield from _template("mail.experiment.template", test.template)


def _addresses(mail: Mail) -> Iterator[Fault]:
    for path, address in (("mail.sender", mail.sender), ("mail.reply_to", mail.reply_to or mail.sender)):
        if not _ADDRESS.fullmatch(address):
            yield Fault(path, f"expected an address such as picks@shop.example; it is {address!r}")


def _template(path: str, name: str) -> Iterator[Fault]:
    known = sorted(folder.name for folder in TEMPLATES.iterdir() if folder.is_dir())
    if name not in known:
        yield Fault(path, f"there is no template {name!r} in shortlist/mail/templates. Cure: {' or '.join(known)}")


def _zone(path: str, name: str) -> Iterator[Fault]:
    if name != "UTC" and (known := available_timezones()) and name not in known:
        yield Fault(path, f"expected an IANA name such as Europe/Berlin; it is {name!r}")
