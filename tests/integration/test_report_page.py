"""report.html as people open it: in a browser, by day and by night, on a desk and on a phone."""

from datetime import timedelta

import pytest

from shortlist.contracts.keys import RunKeys
from shortlist.stages.report import report
from tests.fakes import FixedClock, MemoryLedger, MemoryNotifier, MemoryRunsTable, MemoryStore
from tests.finished_run import RUN, START, write_finished

DESK, PHONE = 1200, 390
CONTRAST_AA = 4.5


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    store = MemoryStore()
    write_finished(store, shards=3)
    clock = FixedClock(START + timedelta(seconds=63))
    report(RUN, store=store, runs=MemoryRunsTable(), ledger=MemoryLedger(), notifier=MemoryNotifier(), clock=clock)
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_bytes(store.read(RunKeys(RUN.run_id).report_html))
    return path


@pytest.fixture
def opened(browser, file):
    """Opens the page; what it asks for and what it complains about is kept in `page.asked` and `page.complaints`."""
    contexts = []

    def open_page(width=DESK, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.asked, page.complaints = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.goto(file.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()


def colour(page, selector, what):
    """(r, g, b) of a computed style."""
    text = page.eval_on_selector(selector, f"e => getComputedStyle(e).getPropertyValue('{what}')")
    return tuple(int(float(part)) for part in text[text.index("(") + 1 : text.index(")")].split(",")[:3])


def luminance(rgb):
    parts = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one, other):
    """https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio"""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_it_loads_nothing_but_itself_and_complains_of_nothing(opened, file):
    page = opened()

    assert page.asked == [file.as_uri()]
    assert page.complaints == []


def test_it_says_what_people_look_for(opened):
    text = opened().inner_text("body")

    for words in ("weekly-picks", "completed", "3,003", "2,700", "0.332", "1,469,307", "The model passed", "HNSW32"):
        assert words in text


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_it_fits_the_screen(opened, width):
    page = opened(width)

    assert page.evaluate("document.documentElement.scrollWidth") == width
    tables = page.eval_on_selector_all(".scroll", "all => all.map(e => e.scrollWidth - e.clientWidth)")
    assert tables == [0] * len(tables)


def test_plots_have_a_size_and_their_text_can_be_read_on_a_phone(opened):
    page = opened(PHONE)

    sizes = page.eval_on_selector_all("svg", "all => all.map(e => e.getBoundingClientRect().height)")
    assert len(sizes) == 4
    assert min(sizes) > 150
    heights = page.eval_on_selector_all("svg text", "all => all.map(e => e.getBoundingClientRect().height)")
    assert min(heights) > 9


def test_nothing_is_drawn_beyond_the_edge_of_its_plot(opened):
    page = opened()

    beyond = page.eval_on_selector_all(
        "svg",
        """plots => plots.flatMap(plot => {
            const box = e => e.getBoundingClientRect(), edge = box(plot)
            return [...plot.querySelectorAll('text')]
                .filter(t => box(t).right > edge.right + 1 || box(t).left < edge.left - 1)
                .map(t => t.textContent)
        })""",
    )
    assert beyond == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(opened, scheme):
    page = opened(scheme=scheme)
    card = colour(page, "section", "background-color")

    assert (luminance(card) < 0.2) == (scheme == "dark")
    assert contrast(colour(page, "section h2", "color"), card) >= CONTRAST_AA
    assert contrast(colour(page, "section .muted", "color"), card) >= CONTRAST_AA
    assert contrast(colour(page, ".note", "color"), colour(page, ".note", "background-color")) >= CONTRAST_AA
    assert contrast(colour(page, "svg text", "fill"), card) >= CONTRAST_AA


def test_the_plots_follow_the_night(opened):
    by_day, by_night = opened(scheme="light"), opened(scheme="dark")

    bar = 'svg path[style*="--model"]'
    assert colour(by_day, bar, "fill") != colour(by_night, bar, "fill")
    assert colour(by_night, bar, "fill") == colour(by_night, ".bar .sent", "background-color")
