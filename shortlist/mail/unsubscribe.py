"""A request to the unsubscribe endpoint in, its page out; on POST the recipient's address is suppressed.

GET changes nothing and shows a page that asks, because mail scanners and previews follow every link. POST is what mail
clients send for one-click unsubscription (RFC 8058) and what the page's button sends; a repeated one does no harm.
"""

from datetime import UTC
from functools import lru_cache
from typing import Final

import msgspec
from jinja2 import Environment, StrictUndefined, Template

from shortlist.contracts.records import Response
from shortlist.mail.render import FOLDER
from shortlist.mail.token import InvalidTokenError, Keys, Subscription, verify
from shortlist.mail.words import language_of, words
from shortlist.ports import Clock, Responses, Suppressions

CAUSE: Final = "unsubscribed"
METHODS: Final = ("GET", "HEAD", "POST")
HEADERS: Final = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",  # the token stands in the address
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the browser or the mail client gets, and whom it concerned where the token was ours."""

    status: int
    body: str
    headers: dict[str, str]
    subscription: Subscription | None = None


def answer(
    method: str,
    token: str,
    locale: str,
    *,
    keys: Keys,
    suppressions: Suppressions,
    responses: Responses,
    clock: Clock,
) -> Answer:
    """Answer one request.

    Args:
        method: of HTTP.
        token: the parameter `t` of the address.
        locale: the parameter `l`; English where it is unknown.
    """
    said = words(language_of(locale)).page
    if method not in METHODS:
        return refused(405, locale)
    try:
        subscription = verify(token, keys)
    except InvalidTokenError:
        return refused(400, locale)
    if method != "POST":
        return page(200, locale, said.question, said.explanation, said.confirm)
    now = clock.now().astimezone(UTC)
    suppressions.add(subscription.address_hash, CAUSE, now.isoformat(timespec="seconds"))
    responses.note(
        Response(
            user_id=subscription.user_id,
            item_id="",
            kind="unsubscribed",
            campaign=subscription.campaign,
            run_id=subscription.run_id,
            times=(now.isoformat(timespec="milliseconds"),),
        )
    )
    done = page(200, locale, said.done, said.done_explanation)
    return msgspec.structs.replace(done, subscription=subscription)


def refused(status: int, locale: str) -> Answer:
    """The page for a link that is not ours (400) or a method that is not for it (405)."""
    said = words(language_of(locale)).page
    answered = page(status, locale, said.refused, said.refused_explanation)
    allow = {"Allow": ", ".join(METHODS)} if status == 405 else {}
    return msgspec.structs.replace(answered, headers={**answered.headers, **allow})


def page(status: int, locale: str, title: str, explanation: str, confirm: str = "") -> Answer:
    """A page of these words, with a button where there is something to confirm."""
    language = language_of(locale)
    body = _template().render(
        language=language,
        direction=words(language).direction,
        title=title,
        explanation=explanation,
        confirm=confirm,
    )
    return Answer(status=status, body=body, headers=dict(HEADERS))


@lru_cache
def _template() -> Template:
    source = (FOLDER / "unsubscribe.html").read_text(encoding="utf-8")
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(source)
