"""The page in Chromium: pictures chosen, dropped, pasted and from the camera; keyboard, colors, a phone."""

import base64
import os
from pathlib import Path

import pytest
from browser import chromium, console_errors, requested, serious_findings, set_scheme
from servers import running

from conftest import write_image

pytestmark = pytest.mark.slow
SCREENSHOTS = os.environ.get("SCREENSHOTS")  # a folder for those who want to look

GIVE = """
const bytes = Uint8Array.from(atob(arguments[0]), (c) => c.charCodeAt(0));
const data = new DataTransfer();
data.items.add(new File([bytes], arguments[1], {type: "image/png"}));
document.dispatchEvent(arguments[2] === "paste"
  ? new ClipboardEvent("paste", {clipboardData: data}) : new DragEvent("drop", {dataTransfer: data, cancelable: true}));
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


def answers(driver) -> list:
    return driver.find_elements("css selector", "article")


def wait_until(driver, condition) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(driver, 20, 0.05).until(lambda _: condition())


def keep(driver, name: str) -> None:
    if SCREENSHOTS:
        driver.save_screenshot(str(Path(SCREENSHOTS) / f"{name}.png"))


def test_every_way_to_give_a_picture_works_and_nothing_is_asked_for_elsewhere(browser, port, tmp_path):
    url = f"http://127.0.0.1:{port}/"
    browser.set_window_size(1000, 900)
    browser.get(url)
    wait_until(browser, lambda: "last.ckpt, 3 classes" in browser.find_element("id", "network").text)
    hostile = write_image(tmp_path / "<img src=x onerror=alert(1)>.png", 0, seed=1, size=(120, 90))
    browser.find_element("id", "files").send_keys(str(hostile))
    wait_until(browser, lambda: len(answers(browser)) == 1)
    first = answers(browser)[0]
    assert first.find_element("tag name", "h3").text == hostile.name
    rows = [row.text.split("\n") for row in first.find_elements("tag name", "li")]
    assert len(rows) == 3 and {row[0] for row in rows} == {"blue", "green", "red"} and rows[0][1].endswith(" %")
    assert "ms on the server" in first.text
    assert [image.get_attribute("src")[:15] for image in first.find_elements("tag name", "img")] == [
        "data:image/jpeg", "data:image/png;",
    ]  # fmt: skip
    content = base64.b64encode(write_image(tmp_path / "b.png", 2, seed=2).read_bytes()).decode()
    for count, way in enumerate(("drop", "paste"), 2):
        browser.execute_script(GIVE, content, f"{way}.png", way)
        wait_until(browser, lambda count=count: len(answers(browser)) == count)
        assert answers(browser)[0].find_element("tag name", "h3").text == f"{way}.png"
    browser.find_element("id", "camera").click()
    wait_until(browser, browser.find_element("id", "video").is_displayed)
    browser.find_element("id", "shoot").click()
    wait_until(browser, lambda: len(answers(browser)) == 4)
    assert not browser.find_element("id", "video").is_displayed()
    browser.find_element("id", "explain").click()
    browser.execute_script(GIVE, content, "plain.png", "drop")
    wait_until(browser, lambda: len(answers(browser)) == 5)
    assert len(answers(browser)[0].find_elements("tag name", "img")) == 1
    assert not console_errors(browser)
    asked = requested(browser)
    assert asked and not [address for address in asked if not address.startswith(url)]
    broken = base64.b64encode(b"no image").decode()
    browser.execute_script(GIVE, broken, "broken.png", "drop")
    status = browser.find_element("id", "status")
    wait_until(browser, lambda: "broken.png: the image is not an image" in status.text)
    console_errors(browser)  # the refused request


@pytest.mark.parametrize(("scheme", "width"), [("light", 1000), ("dark", 1000), ("light", 400)])
def test_no_serious_finding_of_axe_in_any_form(browser, port, scheme, width):
    browser.set_window_size(width, 900)
    set_scheme(browser, scheme)
    wait_until(browser, lambda: answers(browser))
    assert not serious_findings(browser)
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    keep(browser, f"page-{scheme}-{width}")


def test_classes_of_imagenet_are_shown_in_words(browser, port, network, monkeypatch, tmp_path):
    monkeypatch.setattr(network.model, "classes", ("n02123045", "n01440764", "my cat"))
    browser.get(f"http://127.0.0.1:{port}/")
    browser.find_element("id", "files").send_keys(str(write_image(tmp_path / "a.png", 0, seed=1)))
    wait_until(browser, lambda: answers(browser))
    names = {row.text.split("\n")[0] for row in answers(browser)[0].find_elements("tag name", "li")}
    assert names == {"tabby, tabby cat (n02123045)", "tench, Tinca tinca (n01440764)", "my cat"}


def test_the_keyboard_reaches_everything(browser, port):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    browser.get(f"http://127.0.0.1:{port}/")
    wait_until(browser, browser.find_element("id", "explain").is_displayed)
    reached = []
    for _ in range(3):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        reached.append(browser.switch_to.active_element.get_attribute("id"))
        style = "return getComputedStyle(document.activeElement.closest('.button') || document.activeElement).outlineStyle"
        assert browser.execute_script(style) == "solid"
    assert reached == ["files", "camera", "explain"]
    ActionChains(browser).send_keys(Keys.SPACE).perform()
    assert not browser.find_element("id", "explain").is_selected()
    ActionChains(browser).key_down(Keys.SHIFT).send_keys(Keys.TAB).key_up(Keys.SHIFT).send_keys(Keys.ENTER).perform()
    wait_until(browser, lambda: browser.switch_to.active_element.get_attribute("id") == "shoot")
    ActionChains(browser).send_keys(Keys.ENTER).perform()
    wait_until(browser, lambda: len(answers(browser)) == 1)


def test_a_token_is_asked_for_by_the_page(browser, network, tmp_path):
    with running(network, token=b"a token of some length") as port:
        browser.get(f"http://127.0.0.1:{port}/")
        field = browser.find_element("id", "token")
        wait_until(browser, field.is_displayed)
        picture = str(write_image(tmp_path / "a.png", 0, seed=1))
        browser.find_element("id", "files").send_keys(picture)
        wait_until(browser, lambda: "no token, or a wrong one" in browser.find_element("id", "status").text)
        field.send_keys("a token of some length")
        browser.find_element("id", "files").send_keys(picture)
        wait_until(browser, lambda: len(answers(browser)) == 1)
        assert not serious_findings(browser)
