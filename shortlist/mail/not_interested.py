"""A request from the link beside a product in; its page out; on POST the product is left out of the user's next lists.

As with unsubscribing, GET only asks, because scanners follow links. The mark in the link is signed for this token and
this item, so that nobody can fill the table with items that no message showed.
"""

from urllib.parse import quote

import msgspec

from shortlist.mail.token import InvalidTokenError, Keys, sign_item, verify_item
from shortlist.mail.unsubscribe import METHODS, Answer, page, refused, response_to
from shortlist.mail.words import language_of, words
from shortlist.ports import Clock, Responses


def item_query(token: str, item_id: str, keys: Keys) -> str:
    """What the link says beside the token: `i=<item>&s=<mark>`."""
    return f"i={quote(item_id, safe='', errors='replace')}&s={sign_item(token, item_id, keys)}"


def answer(
    method: str, token: str, item_id: str, mark: str, locale: str, *, keys: Keys, responses: Responses, clock: Clock
) -> Answer:
    """Answer one request.

    Args:
        method: of HTTP.
        token, item_id, mark, locale: the parameters `t`, `i`, `s` and `l` of the address.
    """
    said = words(language_of(locale)).not_interested
    if method not in METHODS:
        return refused(405, locale)
    try:
        subscription = verify_item(token, item_id, mark, keys)
    except InvalidTokenError:
        return refused(400, locale)
    if method != "POST":
        return page(200, locale, said.question, [("leave_out", said.confirm)])
    responses.note(response_to("not_interested", subscription, item_id, clock.now()))
    return msgspec.structs.replace(page(200, locale, said.done), subscription=subscription)
