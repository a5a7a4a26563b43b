"""The mail and the unsubscribe page as a browser shows them: on a phone and a desktop, in light and dark, with and
without pictures."""

import email
import os
from collections.abc import Iterator
from email import policy
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Browser, Page, Route

from shortlist.contracts.lists import ListedItem, Reason
from shortlist.mail.compose import Composer
from shortlist.mail.token import Subscription, sign
from shortlist.mail.unsubscribe import answer
from tests.fakes import FixedClock, MemoryResponses, MemorySuppressions
from tests.mailing import CAMPAIGN, KEYS, MAIL, URL, recipient

PRODUCTS = [
    ("Espresso beans, dark roast, 1 kg", 18.9, Reason("bought_with", "Oat drink for baristas"), "#7b4a2d"),
    ("Cast-iron pan with wooden handle, 28 cm", 64.0, Reason("feature", "cooking over fire"), "#3c4248"),
    ("Whole-grain rye bread", 3.49, Reason("bought_before", "7"), "#a8763e"),
    ("Blood oranges from Sicily, 2 kg net", 6.8, Reason("popular", "families"), "#d4572a"),
    ("Sea salt flakes in a linen bag", 4.25, Reason("bought_before", "1"), "#8fa7b3"),
    ("Parmigiano Reggiano, aged for 24 months, cut fresh from the wheel", 12.4, Reason("popular"), "#d9b452"),
]
VIEWPORTS = {"phone": (375, 812), "desktop": (800, 900)}
PICTURE = """<svg xmlns="http://www.w3.org/2000/svg" width="192" height="192"><rect width="192" height="192" fill="{0}"
fill-opacity="0.16"/><rect x="66" y="34" width="60" height="22" rx="7" fill="{0}" fill-opacity="0.65"/><rect x="52"
y="52" width="88" height="108" rx="16" fill="{0}"/><rect x="64" y="86" width="64" height="40" rx="6" fill="#ffffff"
fill-opacity="0.82"/></svg>"""


def mail_html(*, pictures: bool, locale: str = "en-IE", names: list[str] | None = None) -> str:
    """The HTML part of a message, taken out of the bytes that would be sent."""
    items = tuple(
        ListedItem(
            item_id=str(number),
            score=1.0,
            reason=reason,
            title=names[number % len(names)] if names else title,
            price=price,
            currency="EUR",
            url=f"https://shop.example.com/products/{number}",
            image_url=f"https://shop.example.com/pictures/{number}.svg" if pictures else "",
        )
        for number, (title, price, reason, _) in enumerate(PRODUCTS)
    )
    campaign = msgspec.structs.replace(CAMPAIGN, mail=msgspec.structs.replace(MAIL, items=len(items)))
    composer = Composer(campaign, run_id="r1", as_of=FixedClock().now(), unsubscribe_url=URL, keys=KEYS)
    message = email.message_from_bytes(composer.compose(recipient(1, locale=locale), items).mime, policy=policy.default)
    html = message.get_body(("html",))
    assert html is not None
    return html.get_content()


def picture(route: Route) -> None:
    """The shop's server: a drawing for each product, nothing else."""
    number = route.request.url.removeprefix("https://shop.example.com/pictures/").removesuffix(".svg")
    if number.isdigit():
        route.fulfill(content_type="image/svg+xml", body=PICTURE.format(PRODUCTS[int(number)][3]))
    else:
        route.abort()


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=sorted(VIEWPORTS))
def device(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def page(browser: Browser, device: str, scheme: str) -> Iterator[Page]:
    width, height = VIEWPORTS[device]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, device_scale_factor=2
    )
    opened = context.new_page()
    opened.route("**/*", picture)
    yield opened
    context.close()


def keep(page: Page, name: str) -> None:
    """Leave a picture of the page where SHORTLIST_SCREENSHOTS says, to be looked at."""
    if folder := os.environ.get("SHORTLIST_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def overflow(page: Page) -> float:
    """Pixels by which the widest thing on the page leaves the window; what a rounded card cuts off counts too."""
    return page.evaluate(
        "Math.max(...[...document.querySelectorAll('body, body *')].map(one => one.getBoundingClientRect().right)) "
        "- window.innerWidth"
    )


def luminance(colour: str) -> float:
    """Of `rgb(r, g, b)`, as WCAG 2 defines it."""
    channels = [int(part) / 255 for part in colour.partition("(")[2].rstrip(")").split(",")[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


CONTRASTS = """() => [...document.querySelectorAll('body *')].filter(element =>
    [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim()) &&
    element.getClientRects().length && getComputedStyle(element).opacity !== '0' && element.tagName !== 'STYLE'
).map(element => {
    let ground = element;
    const filled = colour => !/rgba\\(.*, 0\\)|transparent/.test(colour);
    while (ground.parentElement && !filled(getComputedStyle(ground).backgroundColor)) ground = ground.parentElement;
    return [element.textContent.trim(), getComputedStyle(element).color, getComputedStyle(ground).backgroundColor];
})"""


def low_contrasts(page: Page) -> list[str]:
    """Texts that stand out less than 4.5 : 1 from their ground (WCAG AA)."""
    found = []
    for text, colour, ground in page.evaluate(CONTRASTS):
        low, high = sorted((luminance(colour), luminance(ground)))
        if text != "·" and (high + 0.05) / (low + 0.05) < 4.5:
            found.append(f"{text[:40]!r}: {colour} on {ground}")
    return found


@pytest.mark.parametrize(("locale", "pictures"), [("en-IE", True), ("de-DE", False)])
def test_a_mail_reads_well(page: Page, device: str, scheme: str, pictures: bool, locale: str) -> None:
    page.set_content(mail_html(pictures=pictures, locale=locale), wait_until="load")
    keep(page, f"mail-{device}-{scheme}-{locale[:2]}-{'pictures' if pictures else 'plain'}")

    assert overflow(page) <= 0
    for title, *_ in PRODUCTS:
        shown = page.get_by_text(title, exact=True)
        assert shown.is_visible()
        assert shown.bounding_box()["width"] > 100
    assert page.locator("a.unsubscribe").is_visible()
    assert page.locator("a.unsubscribe").get_attribute("href").startswith(URL)
    assert page.locator("img").count() == (len(PRODUCTS) if pictures else 0)
    assert low_contrasts(page) == []
    ground = page.evaluate("getComputedStyle(document.querySelector('.card')).backgroundColor")
    assert (luminance(ground) < 0.1) is (scheme == "dark")


def test_a_mail_whose_pictures_are_blocked_still_reads_well(page: Page) -> None:
    page.unroute_all()
    page.route("**/*", lambda route: route.abort())

    page.set_content(mail_html(pictures=True), wait_until="load")

    assert overflow(page) <= 0
    assert all(page.get_by_text(title, exact=True).is_visible() for title, *_ in PRODUCTS)


@pytest.mark.parametrize(
    "name",
    [
        "W" * 200,
        "Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichenhersteller",
        "<b>bold</b> & 'co'",
        "日本語" * 40,
    ],
)
@pytest.mark.parametrize(("device", "scheme"), [("phone", "light")])
def test_no_name_breaks_the_layout(page: Page, name: str) -> None:
    page.set_content(mail_html(pictures=True, names=[name]), wait_until="load")

    title = page.locator(".item-title").first
    assert overflow(page) <= 0
    assert title.is_visible()
    assert title.inner_text() == name


@pytest.mark.parametrize("token", [sign(Subscription("weekly-picks", "ann", "0" * 64), KEYS), "forged"])
def test_the_unsubscribe_page_reads_well(page: Page, device: str, scheme: str, token: str) -> None:
    ports = {"suppressions": MemorySuppressions(), "responses": MemoryResponses(), "clock": FixedClock()}
    response = answer("GET", token, "en", keys=KEYS, **ports)
    page.set_content(response.body)
    keep(page, f"unsubscribe-{device}-{scheme}-{'refused' if token == 'forged' else 'question'}")

    assert overflow(page) <= 0
    assert page.get_by_role("heading").is_visible()
    assert page.get_by_role("button").count() == (0 if token == "forged" else 4)
    assert low_contrasts(page) == []


def test_the_buttons_work_without_javascript(browser: Browser) -> None:
    suppressions = MemorySuppressions()
    token = sign(Subscription("weekly-picks", "ann", "0" * 64), KEYS)

    def endpoint(route: Route) -> None:
        asked, body = route.request, route.request.post_data or ""
        ports = {"suppressions": suppressions, "responses": MemoryResponses(), "clock": FixedClock()}
        response = answer(asked.method, token, "en", body, keys=KEYS, **ports)
        route.fulfill(status=response.status, headers=response.headers, body=response.body)

    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.route(f"{URL}**", endpoint)
    page.goto(f"{URL}?t={token}")
    looked = dict(suppressions.standings)
    said = []
    for name in ("Pause for 30 days", "One e-mail a month at most", "Unsubscribe"):
        page.get_by_role("button", name=name).click()
        said.append(page.get_by_role("heading").inner_text())
    left = page.get_by_role("button").count()
    context.close()

    assert looked == {}
    assert said == ["We will pause for 30 days", "We will write less often", "You are unsubscribed"]
    assert suppressions.standing(["0" * 64])["0" * 64].cause == "unsubscribed"
    assert left == 0
