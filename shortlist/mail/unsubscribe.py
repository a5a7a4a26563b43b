"""A request to the page behind the unsubscribe link in, the page out; a POST does what the recipient chose.

GET changes nothing and shows what may be chosen, because mail scanners and previews follow every link. POST is what
mail clients send for one-click unsubscription (RFC 8058) and what the page's buttons send; repeating one does no harm.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, Literal
from urllib.parse import parse_qs

import msgspec
from jinja2 import Environment, StrictUndefined, Template

from shortlist.contracts.records import PAUSE_DAYS, Response, ResponseKind
from shortlist.mail.render import FOLDER
from shortlist.mail.token import InvalidTokenError, Keys, Subscription, verify
from shortlist.mail.words import Said, language_of, words
from shortlist.ports import Clock, Responses, Suppressions

Choice = Literal["unsubscribe", "less", "pause", "always"]
CHOICES: Final[tuple[Choice, ...]] = ("unsubscribe", "less", "pause", "always")
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
    """What the browser or the mail client gets; of a POST with our token whom it concerned and what holds now."""

    status: int
    body: str
    headers: dict[str, str]
    subscription: Subscription | None = None
    choice: Choice | None = None


def answer(
    method: str,
    token: str,
    locale: str,
    body: str = "",
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
        body: of a POST, a form; without a choice of the page's it is a mail client's and unsubscribes.
    """
    said = words(language_of(locale)).page
    if method not in METHODS:
        return refused(405, locale)
    try:
        subscription = verify(token, keys)
    except InvalidTokenError:
        return refused(400, locale)
    if method != "POST":
        return page(200, locale, said.question, _buttons(locale, CHOICES))
    wanted = parse_qs(body).get("choice", ["unsubscribe"])[0]
    chosen = next((choice for choice in CHOICES if choice == wanted), None)
    if chosen is None:
        return refused(400, locale)
    choice = _carry_out(chosen, subscription, suppressions=suppressions, responses=responses, clock=clock)
    others = () if choice == "unsubscribe" else tuple(other for other in CHOICES if other != choice)
    done = page(200, locale, getattr(said, choice), _buttons(locale, others))
    return msgspec.structs.replace(done, subscription=subscription, choice=choice)


def refused(status: int, locale: str) -> Answer:
    """The page for a link that is not ours (400) or a method that is not for it (405)."""
    answered = page(status, locale, words(language_of(locale)).page.refused)
    allow = {"Allow": ", ".join(METHODS)} if status == 405 else {}
    return msgspec.structs.replace(answered, headers={**answered.headers, **allow})


def _carry_out(
    choice: Choice, subscription: Subscription, *, suppressions: Suppressions, responses: Responses, clock: Clock
) -> Choice:
    """Do what was chosen; answers with what holds afterwards, as who has unsubscribed stays so."""
    now = clock.now().astimezone(UTC)
    known_by, at = subscription.address_hash, now.isoformat(timespec="seconds")
    if choice == "unsubscribe":
        suppressions.add(known_by, CAUSE, at)
        responses.note(response_to("unsubscribed", subscription, "", now))
        return choice
    until = (now + timedelta(days=PAUSE_DAYS)).isoformat(timespec="seconds") if choice == "pause" else ""
    noted = suppressions.prefer(known_by, less_often=choice == "less", paused_until=until, at=at)
    return choice if noted else "unsubscribe"


def response_to(kind: ResponseKind, subscription: Subscription, item_id: str, at: datetime) -> Response:
    """What the owner of a token said, for the table."""
    return Response(
        user_id=subscription.user_id,
        item_id=item_id,
        kind=kind,
        campaign=subscription.campaign,
        run_id=subscription.run_id,
        times=(at.astimezone(UTC).isoformat(timespec="milliseconds"),),
    )


def _buttons(locale: str, choices: tuple[Choice, ...]) -> list[tuple[str, str]]:
    said = words(language_of(locale)).page.buttons
    return [(choice, getattr(said, choice)) for choice in choices]


def page(status: int, locale: str, said: Said, buttons: Sequence[tuple[str, str]] = ()) -> Answer:
    """A page of these words, with a form of these buttons (value and label) where there are any."""
    language = language_of(locale)
    body = _template().render(
        language=language,
        direction=words(language).direction,
        title=said.title,
        text=said.text,
        choices=buttons,
    )
    return Answer(status=status, body=body, headers=dict(HEADERS))


@lru_cache
def _template() -> Template:
    source = (FOLDER / "unsubscribe.html").read_text(encoding="utf-8")
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(source)
