"""A reason of the model in, a phrase for people out. Needs nothing but the words, so the command line uses it too."""

from functools import lru_cache

from shortlist.contracts.lists import Reason, Wording
from shortlist.mail.text import line
from shortlist.mail.words import Reasons, language_of, words


@lru_cache(maxsize=65_536)
def phrase(reason: Reason, locale: str = "en", wording: Wording = "purchases") -> str:
    """Why an item is on the list: `Goes with Coffee beans, which you bought`.

    The name of a segment is not said: "popular in income group 35-49" tells people what they are taken for.
    """
    said: Reasons = getattr(words(language_of(locale)).reasons, wording)
    subject = line(reason.subject, 80)
    if reason.kind == "bought_with":
        return said.bought_with.format(subject=subject) if subject else said.bought_with_something
    if reason.kind == "bought_like":
        return said.bought_like
    if reason.kind == "bought_before":
        count = int(subject) if subject.isascii() and subject.isdigit() else 1
        return said.bought_before.of(count).format(count=count)
    if reason.kind == "feature" and subject:
        return said.feature.format(subject=subject)
    return said.popular_in_segment if reason.kind == "popular" and subject else said.popular
