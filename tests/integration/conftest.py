"""A real browser for the tests that look at pages and mails; they are skipped where there is none."""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium. SHORTLIST_REQUIRE_BROWSER=1 turns "not found" into a failure."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        sentence = f"no browser: none of {', '.join(BROWSERS)} is on the PATH"
        if os.environ.get("SHORTLIST_REQUIRE_BROWSER") == "1":
            pytest.fail(sentence)
        pytest.skip(sentence)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield running
        running.close()
