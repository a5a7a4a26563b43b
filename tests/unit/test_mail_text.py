"""Addresses, lines, links, prices and phrases: what a shop's tables may hold, and what comes of it."""

import string
import unicodedata
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.contracts.lists import Reason
from shortlist.contracts.records import MAX_ID_BYTES
from shortlist.errors import ContractError, MessageRejectedError
from shortlist.mail.address import address_hash, normalised
from shortlist.mail.links import endpoint, https_url, tagged
from shortlist.mail.prices import currency_code, price_text
from shortlist.mail.reasons import phrase
from shortlist.mail.tags import tags, user_of
from shortlist.mail.text import line
from shortlist.mail.words import language_of, languages, words

TAGS = {"campaign": "weekly-picks", "run_id": "r1", "item_id": "i/1"}


@pytest.mark.parametrize(
    ("written", "address"),
    [
        (" Ann@Example.COM ", "ann@example.com"),
        ("ann+shop@example.com", "ann+shop@example.com"),
        ("ann@bücher.example.com", "ann@xn--bcher-kva.example.com"),
    ],
)
def test_an_address_has_one_form_and_one_hash(written: str, address: str) -> None:
    assert normalised(written) == address
    assert address_hash(written) == address_hash(address)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "ann",
        "@example.com",
        "ann@",
        "a b@example.com",
        "ann@example.com\r\nBcc: all@example.com",
        "ann@exa mple.com",
        "ann@example.com,bob@example.com",
        "Ann <ann@example.com>",
        "änn@example.com",
        "ann@[127.0.0.1]",
    ],
)
def test_what_is_no_address_is_rejected_without_being_repeated(written: str) -> None:
    with pytest.raises(MessageRejectedError) as raised:
        normalised(written)

    assert "@" not in str(raised.value)


@given(st.text(max_size=300), st.integers(2, 300))
def test_a_line_is_one_printable_line_of_limited_length(text: str, limit: int) -> None:
    clean = line(text, limit)

    assert len(clean) <= limit
    assert clean == clean.strip()
    assert len(clean.splitlines()) <= 1
    assert not {unicodedata.category(character) for character in clean} & {"Cc", "Cs", "Zl", "Zp"}
    assert line(clean, limit) == clean


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Tea\r\nBcc: all@example.com", "Tea Bcc: all@example.com"),
        ("\u202egnp.exe\u202c", "gnp.exe"),
        ("  a \t b\u00a0c ", "a b c"),
        ("👩‍🍳 Café", "👩‍🍳 Café"),
        ("x" * 30, "xxxxxxxxx…"),
    ],
)
def test_a_line_keeps_what_people_read(text: str, clean: str) -> None:
    assert line(text, 10 if text[0] == "x" else 200) == clean


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://shop.example.com/",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java\nscript:alert(1)",
        "data:text/html,<script>",
        "//shop.example.com/",
        "https:/shop.example.com",
        "https://",
        "https://shop.example.com@evil.example/",
        "https://shop.example.com\\@evil.example/",
        "https://shop .example.com/",
        "https://localhost/",
        "https://shop.example.com:99999/",
        "https://shop.example.com/\r\nBcc:",
        "https://shop.example.com/" + "a" * 3_000,
    ],
)
def test_what_is_no_https_address_is_no_link(url: str) -> None:
    assert https_url(url) == tagged(url, **TAGS) == ""


@given(st.text(max_size=80))
def test_a_link_is_https_in_ascii_or_nothing(text: str) -> None:
    for url in (
        https_url(text),
        https_url("https://shop.example.com/" + text),
        https_url("https://shop.example.com/?" + text),
    ):
        assert url == "" or url.startswith("https://")
        assert url.isascii()
        assert not set(url) & set(string.whitespace + "<>\"'\\`{}|^")


def test_a_link_carries_the_campaign_and_keeps_what_it_had() -> None:
    url = tagged("https://shop.example.com/p?size=1%20kg&utm_source=own#top", **TAGS)

    parts = urlsplit(url)
    assert parts.fragment == "top"
    assert parse_qs(parts.query) == {
        "size": ["1 kg"],
        "utm_source": ["own"],
        "utm_medium": ["email"],
        "utm_campaign": ["weekly-picks"],
        "utm_id": ["r1"],
        "utm_content": ["i/1"],
    }


@pytest.mark.parametrize(
    "url", ["https://abc.lambda-url.eu-central-1.on.aws/", "http://localhost:4566/unsubscribe", "http://127.0.0.1:80/"]
)
def test_an_unsubscribe_endpoint_is_https_or_on_this_machine(url: str) -> None:
    assert endpoint(url) == url


@pytest.mark.parametrize(
    "url", ["", "http://example.com/", "https://example.com/?a=b", "http://localhost.example.com/"]
)
def test_no_mail_without_an_unsubscribe_endpoint(url: str) -> None:
    with pytest.raises(ContractError, match="Without one no mail is sent"):
        endpoint(url)


@pytest.mark.parametrize(
    ("price", "currency", "locale", "text"),
    [
        (4.99, "EUR", "de-DE", "4,99\xa0€"),
        (4.99, "EUR", "en-IE", "€4.99"),
        (1234.5, "USD", "en_US", "$1,234.50"),
        (1234.5, "CHF", "de-CH", "CHF\xa01’234.50"),
        (500, "JPY", "en", "¥500"),
        (4.99, "EUR", "not a locale", "€4.99"),
        (4.99, "EUR", "de-XX", "4,99\xa0€"),
        (0.0, "USD", "en", "$0.00"),
        (None, "USD", "en", ""),
        (float("nan"), "USD", "en", ""),
        (float("inf"), "USD", "en", ""),
        (-1.0, "USD", "en", ""),
    ],
)
def test_a_price_is_written_as_its_reader_writes_it(price: float | None, currency: str, locale: str, text: str) -> None:
    assert price_text(price, currency, locale) == text


@pytest.mark.parametrize(
    ("currency", "code"), [("eur", "EUR"), ("", "USD"), ("€", "USD"), ("<b>", "USD"), ("ZZZ", "USD")]
)
def test_an_unknown_currency_is_the_campaigns(currency: str, code: str) -> None:
    assert currency_code(currency, "USD") == code


@pytest.mark.parametrize(
    ("reason", "english", "german"),
    [
        (Reason("bought_with", "Coffee"), "Goes with Coffee, which you bought", "Passt zu Ihrem Einkauf: Coffee"),
        (Reason("bought_with"), "Goes with something you bought", "Passt zu einem Einkauf von Ihnen"),
        (
            Reason("bought_like"),
            "Of the same kind as one you bought",
            "Von derselben Art wie ein Einkauf von Ihnen",
        ),
        (Reason("bought_before", "1"), "You bought it once before", "Schon einmal von Ihnen gekauft"),
        (Reason("bought_before", "7"), "You bought it 7 times", "Schon 7-mal von Ihnen gekauft"),
        (Reason("feature", "Tea"), "Because you like Tea", "Weil Sie Tea mögen"),
        (Reason("popular", "age 65+"), "Popular with customers like you", "Beliebt bei Kunden wie Ihnen"),
        (Reason("popular"), "Popular with our customers", "Beliebt bei unseren Kunden"),
        (Reason("bought_with", "{x} {0}"), "Goes with {x} {0}, which you bought", "Passt zu Ihrem Einkauf: {x} {0}"),
    ],
)
def test_every_reason_has_a_phrase_in_every_language(reason: Reason, english: str, german: str) -> None:
    assert phrase(reason) == phrase(reason, "en-GB") == english
    assert phrase(reason, "de_AT") == german


@pytest.mark.parametrize("language", sorted(languages()))
def test_where_nothing_is_bought_no_reason_speaks_of_buying(language: str) -> None:
    kinds = (
        Reason("bought_with", "Alien"),
        Reason("bought_with"),
        Reason("bought_like"),
        Reason("bought_before", "2"),
        Reason("popular"),
        Reason("popular", "age 65+"),
    )

    told = " ".join(phrase(reason, language, "choices") for reason in kinds).lower()

    assert [word for word in ("bought", "customer", "kauf", "kunde") if word in told] == []


@pytest.mark.parametrize("language", sorted(languages()))
def test_every_language_has_every_word_and_the_same_places_to_fill(language: str) -> None:
    def places(value: object) -> object:
        if isinstance(value, str):
            return sorted(name for _, name, _, _ in string.Formatter().parse(value) if name)
        return {name: places(getattr(value, name)) for name in value.__struct_fields__}

    assert places(words(language)) == places(words("en"))


@pytest.mark.parametrize(
    ("locale", "default", "language"),
    [("de-CH", "en", "de"), ("DE", "en", "de"), ("fr", "de", "de"), ("", "de-AT", "de"), ("fr", "fr", "en")],
)
def test_a_locale_finds_its_language_or_the_campaigns(locale: str, default: str, language: str) -> None:
    assert language_of(locale, default) == language


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=256))
def test_a_user_id_survives_the_tags(user_id: str) -> None:
    assert len(user_id.encode()) <= MAX_ID_BYTES
    made = tags("weekly-picks", "r1", user_id)

    assert user_of(made) == user_id
    assert all(
        len(value) <= 256 and set(value) <= set(string.ascii_letters + string.digits + "-_") for value in made.values()
    )
