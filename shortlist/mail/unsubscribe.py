"""A request to the page behind the unsubscribe link in, the page out; a POST does what the recipient chose.

GET changes nothing and shows what may be chosen, because mail scanners and previews follow every link. POST is what
mail clients send for one-click unsubscription (RFC 8058) and what the page's buttons send; repeating one does no harm.
"""

from datetime import UTC, timedelta
from functools import lru_cache
from typing import Final, Literal
from urllib.parse import parse_qs

import msgspec
from jinja2 import Environment, StrictUndefined, Template

from shortlist.contracts.records import PAUSE_DAYS
from shortlist.mail.render import FOLDER
from shortlist.mail.token import InvalidTokenError, Keys, Subscription, verify
from shortlist.mail.words import Said, language_of, words
from shortlist.ports import Clock, Suppressions

Choice = Literal["unsubscribe", "less", "pause", "always"]
CHOICES: Final[tuple[Choice, ...]] = ("unsubscribe", "less", "pause", "always")
CAUSE: Final = "unsubscribed"
HEADERS: Final = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",  # the token stands in the address
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """What the browser or the mail client gets; of a POST with our token whom it concerned and what holds now."""

    status: int
    body: str
    headers: dict[str, str]
    subscription: Subscription | None = None
    choice: Choice | None = None


def answer(
    method: str, token: str, locale: str, body: str = "", *, keys: Keys, suppressions: Suppressions, clock: Clock
) -> Response:
    """Answer one request.

    Args:
        method: of HTTP.
        token: the parameter `t` of the address.
        locale: the parameter `l`; English where it is unknown.
        body: of a POST, a form; without a choice of the page's it is a mail client's and unsubscribes.
    """
    said = words(language_of(locale)).page
    if method not in ("GET", "HEAD", "POST"):
        response = _page(405, locale, said.refused)
        return msgspec.structs.replace(response, headers={**response.headers, "Allow": "GET, HEAD, POST"})
    try:
        subscription = verify(token, keys)
    except InvalidTokenError:
        return _page(400, locale, said.refused)
    if method != "POST":
        return _page(200, locale, said.question, CHOICES)
    wanted = parse_qs(body).get("choice", ["unsubscribe"])[0]
    chosen = next((choice for choice in CHOICES if choice == wanted), None)
    if chosen is None:
        return _page(400, locale, said.refused)
    choice = _carry_out(chosen, subscription, suppressions=suppressions, clock=clock)
    others = () if choice == "unsubscribe" else tuple(other for other in CHOICES if other != choice)
    done = _page(200, locale, getattr(said, choice), others)
    return msgspec.structs.replace(done, subscription=subscription, choice=choice)


def _carry_out(choice: Choice, subscription: Subscription, *, suppressions: Suppressions, clock: Clock) -> Choice:
    """Do what was chosen; answers with what holds afterwards, as who has unsubscribed stays so."""
    now = clock.now().astimezone(UTC)
    known_by, at = subscription.address_hash, now.isoformat(timespec="seconds")
    if choice == "unsubscribe":
        suppressions.add(known_by, CAUSE, at)
        return choice
    until = (now + timedelta(days=PAUSE_DAYS)).isoformat(timespec="seconds") if choice == "pause" else ""
    noted = suppressions.prefer(known_by, less_often=choice == "less", paused_until=until, at=at)
    return choice if noted else "unsubscribe"


def _page(status: int, locale: str, said: Said, choices: tuple[Choice, ...] = ()) -> Response:
    language = language_of(locale)
    spoken = words(language)
    body = _template().render(
        language=language,
        direction=spoken.direction,
        title=said.title,
        text=said.text,
        choices=[(choice, getattr(spoken.page.buttons, choice)) for choice in choices],
    )
    return Response(status=status, body=body, headers=dict(HEADERS))


@lru_cache
def _template() -> Template:
    source = (FOLDER / "unsubscribe.html").read_text(encoding="utf-8")
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(source)
