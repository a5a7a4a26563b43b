"""The message: what a recipient reads, what a mail server reads, and what hostile text cannot do to either."""

import email
from email import policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr
from html.parser import HTMLParser

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shortlist.config import Campaign, Mail
from shortlist.contracts.lists import ListedItem, Reason, Recipient
from shortlist.errors import ContractError, MessageRejectedError
from shortlist.mail.compose import Composer
from shortlist.mail.message import CLIP_BYTES
from shortlist.mail.token import Subscription, verify
from shortlist.ports import OutgoingMessage
from tests.fakes import FixedClock
from tests.mailing import CAMPAIGN, KEYS, MAIL, URL, item, recipient

HOSTILE = [
    "\r\nBcc: everyone@example.com",
    "\n\n<html>",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }} {% for x in y %}",
    "{{ self.__init__.__globals__ }}",
    "</td></tr></table>",
    "<!--[if mso]>",
    "-->",
    "\u202e\u2028\ufeff\x00\x07\x85",
    "=?utf-8?q?=0d=0aBcc:?=",
    "--=_boundary--",
    "日本語 🎉 עברית",
    ".",
    "x" * 5_000,
]
hostile = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=40)) | st.lists(
    st.one_of(st.sampled_from(HOSTILE), st.text(max_size=10)), max_size=4
).map("".join)


def compose(
    to: Recipient, items: tuple[ListedItem, ...], campaign: Campaign = CAMPAIGN, run_id: str = "r1"
) -> OutgoingMessage:
    composer = Composer(campaign, run_id=run_id, as_of=FixedClock().now(), unsubscribe_url=URL, keys=KEYS)
    return composer.compose(to, items)


def parsed(message: OutgoingMessage) -> EmailMessage:
    mail = email.message_from_bytes(message.mime, policy=policy.default)
    assert isinstance(mail, EmailMessage)
    assert not mail.defects
    return mail


def part(mail: EmailMessage, subtype: str) -> str:
    found = mail.get_body((subtype,))
    assert found is not None
    assert not found.defects
    return found.get_content()


class Page(HTMLParser):
    """Elements, link addresses and visible text of a message."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attributes if name in ("href", "src")]
        self.handlers += [name for name, _ in attributes if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_message_says_who_what_why_and_how_to_stop() -> None:
    mail = parsed(compose(recipient(1), tuple(item(number) for number in range(3))))

    html, text = Page(part(mail, "html")), part(mail, "plain")
    assert mail["From"] == "Corner Shop <hello@shop.example.com>"
    assert mail["To"] == "user1@example.com"
    assert mail["Subject"] == "Ann, your picks of the week"
    assert mail["Feedback-ID"] == "r1:weekly-picks:picks:shortlist"
    assert mail.get_content_type() == "multipart/alternative"
    assert [one.get_content_type() for one in mail.iter_parts()] == ["text/plain", "text/html"]
    for shown in (html.text, text):
        for wanted in ("Hello Ann,", "Product 0", "Product 2", "€4.99", "Popular with our customers", "1 Main Street"):
            assert wanted in shown


def test_one_click_unsubscription_names_this_recipient_and_no_other() -> None:
    message = compose(recipient(1), (item(0),))

    mail = parsed(message)
    link = mail["List-Unsubscribe"].strip("<>")
    token = link.partition("?t=")[2].partition("&")[0]
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert link.startswith(URL)
    assert verify(token, KEYS).user_id == "user-00001"
    assert isinstance(verify(token, KEYS), Subscription)
    assert link in Page(part(mail, "html")).addresses
    assert link in part(mail, "plain")


def test_the_language_and_the_prices_are_the_readers() -> None:
    mail = parsed(compose(recipient(1, locale="de-DE"), (item(0),)))

    assert mail["Subject"] == "Ann, Ihre Auswahl der Woche"
    assert mail["Content-Language"] == "de"
    assert "4,99\xa0€" in part(mail, "plain")
    assert '<html lang="de"' in part(mail, "html").replace("\n", " ")


def test_a_reader_without_a_name_is_greeted_without_one() -> None:
    mail = parsed(compose(recipient(1, first_name=" \t"), (item(0),)))

    assert mail["Subject"] == "Your picks of the week"
    assert "Hello," in part(mail, "plain").splitlines()


def test_composing_again_gives_the_same_bytes() -> None:
    once = compose(recipient(1), (item(0), item(1)))

    assert compose(recipient(1), (item(0), item(1))) == once
    assert compose(recipient(2), (item(0), item(1))).mime != once.mime
    assert compose(recipient(1), (item(0), item(1)), run_id="r2").mime != once.mime


def test_items_without_picture_price_or_link_are_shown_without() -> None:
    bare = item(0, price=None, url="", image_url="http://shop.example.com/i.png")
    campaign = msgspec.structs.replace(CAMPAIGN, mail=msgspec.structs.replace(MAIL, shop_url=""))

    page = Page(part(parsed(compose(recipient(1), (bare,), campaign)), "html"))

    assert "Product 0" in page.text
    assert "img" not in page.tags
    assert len(page.addresses) == 2  # to unsubscribe, and for no more of the product


def test_a_campaigns_own_subject_is_filled_in() -> None:
    mail = msgspec.structs.replace(MAIL, subject="{{ items[0] }}{% if locale == 'de' %} für Sie{% endif %}")

    message = compose(recipient(1, locale="de"), (item(0),), msgspec.structs.replace(CAMPAIGN, mail=mail))

    assert parsed(message)["Subject"] == "Product 0 für Sie"


@pytest.mark.parametrize(
    "subject",
    ["{{ nothing }}", "{{", "{{ ''.__class__.__mro__ }}", "{{ items.append(1) }}", "{{ items[99] }}", "{{ 1 / 0 }}"],
)
def test_a_subject_that_does_not_work_is_a_sentence_about_the_campaign(subject: str) -> None:
    campaign = msgspec.structs.replace(CAMPAIGN, mail=msgspec.structs.replace(MAIL, subject=subject))

    with pytest.raises(ContractError, match=r"mail\.subject"):
        compose(recipient(1), (item(0),), campaign)


@pytest.mark.parametrize("template", ["nothing", "../picks", "", "picks/.."])
def test_an_unknown_template_is_a_sentence_about_the_campaign(template: str) -> None:
    campaign = msgspec.structs.replace(CAMPAIGN, mail=msgspec.structs.replace(MAIL, template=template))

    with pytest.raises(ContractError, match=r"mail\.template"):
        compose(recipient(1), (item(0),), campaign)


@pytest.mark.parametrize("sender", ["", "shop", "a@example.com\r\nBcc: b@example.com"])
def test_a_sender_that_is_no_address_is_a_sentence_about_the_campaign(sender: str) -> None:
    campaign = msgspec.structs.replace(CAMPAIGN, mail=msgspec.structs.replace(MAIL, sender=sender))

    with pytest.raises(ContractError, match=r"mail\.sender"):
        compose(recipient(1), (item(0),), campaign)


def test_a_recipient_that_is_no_address_is_rejected() -> None:
    with pytest.raises(MessageRejectedError):
        compose(recipient(1, email="ann@example.com\r\nBcc: b@example.com"), (item(0),))


def test_a_long_list_is_cut_before_mail_clients_cut_the_message() -> None:
    campaign = msgspec.structs.replace(CAMPAIGN, mail=msgspec.structs.replace(MAIL, items=200))
    items = tuple(item(number, title=f"№ {number} " + "ж" * 180) for number in range(200))

    message = compose(recipient(1), items, campaign)

    page = Page(part(parsed(message), "html"))
    assert CLIP_BYTES * 0.7 < len(message.mime) <= CLIP_BYTES
    assert "№ 0 " in page.text
    assert "Unsubscribe" in page.text


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(hostile, hostile, hostile, hostile, hostile, hostile, st.sampled_from(["bought_with", "feature", "popular"]))
def test_hostile_text_stays_text(
    name: str, title: str, subject: str, url: str, picture: str, user_id: str, kind: str
) -> None:
    user_id = user_id.encode(errors="ignore").decode()[:200]
    listed = item(
        0, title=title, reason=Reason(kind, subject), url=url, image_url=picture, item_id=title, currency=name
    )
    expected = parsed(compose(recipient(1, user_id="plain"), (item(0),)))
    known = Page(part(expected, "html"))

    message = compose(recipient(1, first_name=name, user_id=user_id or "x"), (listed,))

    mail = parsed(message)
    page, text = Page(part(mail, "html")), part(mail, "plain")
    assert mail.keys() == expected.keys()
    assert mail["To"] == "user1@example.com"
    assert sum(one.get_content_maintype() == "text" for one in mail.walk()) == 2
    assert max(map(len, message.mime.split(b"\r\n"))) <= 998
    assert b"\n" not in message.mime.replace(b"\r\n", b"")
    assert message.mime.isascii()
    assert set(page.tags) <= {*known.tags, "img"}
    assert not page.handlers
    assert all(address.startswith("https://") for address in page.addresses)
    assert len(text.splitlines()) <= 20


def test_no_line_is_longer_than_mail_may_have() -> None:
    long = item(
        0, url="https://shop.example.com/?q=" + "a" * 1_900, image_url="https://shop.example.com/" + "b" * 1_900
    )

    message = compose(recipient(1), (long,))

    assert max(map(len, message.mime.split(b"\r\n"))) <= 998
    assert any("a" * 1_900 in address for address in Page(part(parsed(message), "html")).addresses)


def test_template_syntax_in_a_name_is_shown_and_not_run() -> None:
    mail = parsed(compose(recipient(1, first_name="{{ 7 * 7 }}"), (item(0, title="{{ said }}{% raw %}"),)))

    page = Page(part(mail, "html"))
    assert mail["Subject"] == "{{ 7 * 7 }}, your picks of the week"
    assert "Hello {{ 7 * 7 }}," in page.text
    assert "{{ said }}{% raw %}" in page.text


@given(hostile, hostile)
@settings(max_examples=60, deadline=None)
def test_hostile_settings_of_a_campaign_stay_in_their_places(name: str, postal_address: str) -> None:
    mail = Mail(sender="a@example.com", sender_name=name, shop_name=name, postal_address=postal_address)

    message = compose(recipient(1), (item(0),), Campaign(name="weekly-picks", mail=mail))

    headers = parsed(message)
    assert headers["From"].addresses[0].addr_spec == "a@example.com"
    assert len(headers["From"].addresses) == 1
    assert message.sender.isascii()
    assert message.sender.isprintable()


@pytest.mark.parametrize(
    "name", ["Müller & Söhne, Inc.", 'A "B" C', "a\\b", "Ω" * 90, "Shop.com", "x, y <z@example.com>"]
)
def test_a_senders_name_comes_back_as_it_was(name: str) -> None:
    campaign = msgspec.structs.replace(CAMPAIGN, mail=msgspec.structs.replace(MAIL, sender_name=name))

    mail = email.message_from_bytes(compose(recipient(1), (item(0),), campaign).mime)

    shown, address = parseaddr(mail["From"].replace("\r\n", ""))
    assert (str(make_header(decode_header(shown))), address) == (name, "hello@shop.example.com")
