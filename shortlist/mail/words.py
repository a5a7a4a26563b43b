"""A locale's name in, its words out. A language is one file in `locales/`, complete or refused."""

from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from shortlist.errors import ContractError

FOLDER: Final = Path(__file__).parent / "locales"


class Plural(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One sentence for a count of 1, one for all others. Enough for the Germanic and most Romance languages."""

    one: str
    other: str

    def of(self, count: int) -> str:
        return self.one if count == 1 else self.other


class Reasons(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why an item is on the list; `{subject}` and `{count}` are filled in by `shortlist.mail.reasons`."""

    bought_with: str
    bought_with_something: str
    bought_like: str
    bought_before: Plural
    feature: str
    popular: str
    popular_in_segment: str


class ReasonsByWording(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The reasons in each wording a campaign may choose, see `shortlist.config.Campaign`."""

    purchases: Reasons
    choices: Reasons


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The mail itself. `{first_name}`, `{first_item}`, `{shop}` are filled in."""

    subject: str
    subject_named: str
    preheader: Plural
    title: str
    greeting: str
    greeting_named: str
    introduction: str
    view: str
    visit: str
    why: str
    unsubscribe: str


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A heading and the sentence below it."""

    title: str
    text: str


class Buttons(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a recipient may choose on the page behind the link."""

    unsubscribe: str
    less: str
    pause: str
    always: str


class Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The page behind the link: what it asks, and what it says once a button was pressed."""

    buttons: Buttons
    question: Said
    unsubscribe: Said
    less: Said
    pause: Said
    always: Said
    refused: Said


class NotInterested(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The link beside a product by which its reader asks for no more of it, and the page behind the link."""

    link: str
    question: Said
    confirm: str
    done: Said


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything Shortlist says to a recipient, in one language. `direction` is ltr or rtl."""

    direction: str
    reasons: ReasonsByWording
    message: Message
    page: Page
    not_interested: NotInterested


@lru_cache
def languages() -> frozenset[str]:
    """The languages there is a file for."""
    return frozenset(path.stem for path in FOLDER.glob("*.json"))


@lru_cache
def words(language: str) -> Words:
    """The words of a language.

    Raises:
        ContractError: there is no such file, or it lacks a word.
    """
    if language not in languages():
        raise ContractError(f"no words for {language!r}: expected one of {', '.join(sorted(languages()))}.")
    try:
        return msgspec.json.decode((FOLDER / f"{language}.json").read_bytes(), type=Words)
    except msgspec.DecodeError as error:
        raise ContractError(f"shortlist/mail/locales/{language}.json: {error}.") from error


@lru_cache(maxsize=1_024)
def language_of(locale: str, default: str = "en") -> str:
    """The language to write in: `de-AT` -> `de`; `default` where the locale is unknown or not given."""
    for candidate in (locale, default):
        language = candidate.replace("-", "_").split("_")[0].lower()
        if language in languages():
            return language
    return "en"
