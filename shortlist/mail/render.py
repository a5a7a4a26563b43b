"""What one recipient is to read, in; the message's HTML and text out.

A template is a folder: `message.mjml` and `message.txt`. The MJML is compiled to HTML once per process and template
(0.9 ms), with its Jinja2 tags inside; what comes from a shop's tables meets only the Jinja2 template made of that HTML,
never the MJML compiler. Jinja2 escapes every value and refuses names it does not know.
"""

import re
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec
from jinja2 import Environment, StrictUndefined, Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from mjml import mjml2html

from shortlist.errors import ContractError
from shortlist.mail.text import line
from shortlist.mail.words import Words

FOLDER: Final = Path(__file__).parent / "templates"
SUBJECT_LIMIT: Final = 150


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """One product as the message shows it; empty strings where there is nothing to show.

    `not_for_me` is the link by which its reader asks for no more of it.
    """

    title: str
    reason: str
    price: str
    link: str
    picture: str
    not_for_me: str


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a template may use."""

    language: str
    said: Words
    subject: str
    preheader: str
    shop: str
    greeting: str
    why: str
    visit: str
    items: tuple[Card, ...]
    pictured: bool
    shop_link: str
    unsubscribe_link: str
    postal_address: str


class Rendered(msgspec.Struct, frozen=True):
    """HTML in ASCII (other characters as references), text in Unicode; both with LF line ends."""

    html: str
    text: str


def render(template: str, page: Page) -> Rendered:
    """Fill a template.

    Raises:
        ContractError: the template does not exist, cannot be compiled, or uses a name that is not of `Page`.
    """
    html, text = _templates(template)
    fields = {name: getattr(page, name) for name in page.__struct_fields__}
    try:
        return Rendered(
            html.render(fields).encode("ascii", "xmlcharrefreplace").decode("ascii"),
            text.render(fields).strip() + "\n",
        )
    except TemplateError as error:
        raise ContractError(f"shortlist/mail/templates/{template}: {error}.") from error


def render_subject(source: str, *, first_name: str, items: tuple[str, ...], locale: str) -> str:
    """The campaign's own subject line: a Jinja2 expression of its file, run in a sandbox, made one line.

    Raises:
        ContractError: the subject cannot be parsed or uses a name it does not have.
    """
    try:
        return line(_subject(source).render(first_name=first_name, items=items, locale=locale), SUBJECT_LIMIT)
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
        raise ContractError(
            f"`mail.subject` of the campaign: {error}. It may use first_name, items and locale."
        ) from error


@lru_cache
def _templates(name: str) -> tuple[Template, Template]:
    folder = FOLDER / name
    if not re.fullmatch("[a-z0-9_-]+", name) or not (folder / "message.mjml").is_file():
        known = ", ".join(sorted(path.name for path in FOLDER.iterdir()))
        raise ContractError(f"`mail.template` of the campaign: no template {name!r}; there is {known}.")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    plain = Environment(
        autoescape=False,  # noqa: S701 - the text part is no HTML, its values are single lines
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    source = (folder / "message.mjml").read_text(encoding="utf-8")
    try:
        return (
            environment.from_string(_short_lines(mjml2html(source, fonts={}))),  # no fonts from elsewhere
            plain.from_string((folder / "message.txt").read_text(encoding="utf-8")),
        )
    except (ValueError, TemplateError) as error:
        raise ContractError(f"shortlist/mail/templates/{name}: {error}.") from error


@lru_cache
def _subject(source: str) -> Template:
    return ImmutableSandboxedEnvironment(autoescape=False, undefined=StrictUndefined).from_string(source)


def _short_lines(html: str) -> str:
    """The compiler leaves one long line; mail may not have more than 998 characters in one (RFC 5322, 2.1.1)."""
    html = re.sub(r"\n\s*", "\n", html)
    html = re.sub(r"(</(?:td|tr|tbody|table|style|head|title)>)(?!\n)", r"\1\n", html)
    return re.sub(r" (style|href)=\"", r'\n\1="', html)
