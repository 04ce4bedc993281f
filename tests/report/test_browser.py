"""The page in Chromium: in the light, in the dark, on a phone, on paper."""

import base64
import os
import sys
from pathlib import Path

import pytest
from browser import chromium, console_errors, requested, serious_findings, set_scheme

from src.report.__main__ import main

sys.path.insert(0, str(Path(__file__).parent))
from runs import HOSTILE, write_run  # noqa: E402

pytest.importorskip("matplotlib", reason="the page is an optional extra: pip install '.[report]'")
pytestmark = pytest.mark.slow
SCREENSHOTS = os.environ.get("SCREENSHOTS")  # a folder for those who want to look


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="module", params=["few", "many", "several", "hostile"])
def page(request, tmp_path_factory) -> Path:
    """A page of few classes, of many, of several runs, of strange names."""
    root = tmp_path_factory.mktemp(request.param)
    settings = {"classes": 30, "images": 900} if request.param == "many" else {}
    names = {"name": HOSTILE} if request.param == "hostile" else {}
    runs = [write_run(root / run, **settings, **names) for run in ("run", "other")]
    shown = runs if request.param == "several" else runs[:1]
    assert main([*map(str, shown), "--output", str(root / f"{request.param}.html")]) == 0
    return root / f"{request.param}.html"


def show(browser, page: Path, width: int, scheme: str) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    set_scheme(browser, scheme)
    browser.get(page.as_uri())
    if SCREENSHOTS:
        taken = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
        (Path(SCREENSHOTS) / f"{page.stem}-{width}-{scheme}.png").write_bytes(base64.b64decode(taken["data"]))


def test_the_page_opens_everywhere_without_complaints_and_asks_for_nothing_elsewhere(browser, page):
    browser.get("about:blank")
    console_errors(browser)
    requested(browser)
    paper = {}
    for width, scheme in ((1200, "light"), (1200, "dark"), (400, "light")):
        show(browser, page, width, scheme)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width  # tables scroll by themselves
        paper[scheme] = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert not serious_findings(browser)
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(13, 17, 23)"}
    assert not console_errors(browser) and set(requested(browser)) == {page.as_uri()}
    assert browser.execute_script("return [...document.images].every((image) => image.naturalWidth > 0)")
    assert len(base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {})["data"])) > 10_000


def test_a_mistake_in_a_page_would_be_found(browser, tmp_path):
    page = tmp_path / "page.html"
    page.write_text('<html><title>x</title><body><img src="http://127.0.0.1:9/x.png"><script>undefined.x</script>')
    browser.get("about:blank")
    console_errors(browser)
    requested(browser)
    browser.get(page.as_uri())
    assert console_errors(browser) and "http://127.0.0.1:9/x.png" in requested(browser)
    assert any(finding.startswith("image-alt") for finding in serious_findings(browser))
