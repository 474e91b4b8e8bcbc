"""The pages in a real browser, with real agents: by mouse, by keyboard alone, on a phone, in the dark, and when something dies.

SCREENSHOTS names a folder for pictures of what was seen.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psutil
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

pytestmark = pytest.mark.browser

Orchestrating = Callable[..., AbstractContextManager[Any]]

TRACE = Path(__file__).parents[3] / "scenarios/traces/workstation.csv.gz"
SCENARIO = f"""
description: Four nodes, for a look.
nodes: 4
duration: 4 s
gossip: {{period: 500 ms, sealed: true}}
workload: {{kind: trace, path: {TRACE}}}
measure: {{every: 500 ms, spread_every: 500 ms}}
"""
PATIENCE = 60.0  # seconds until somebody who waits for something gives up
OPTIONS = [  # what speaks to the network by itself is turned off
    *("headless=new", "disable-gpu", "no-first-run", "window-size=1280,900"),
    *("disable-quic", "disable-background-networking", "disable-component-update", "disable-sync"),
]
NOT_FOUND = "Failed to load resource: the server responded with a status of 404 (Not Found)"
PHONE = {"width": 375, "height": 740, "deviceScaleFactor": 2, "mobile": True}

# Text that is harder to read than WCAG's AA allows: contrast below 4.5.
FAINT = """
const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const ground = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const colour = parse(getComputedStyle(at).backgroundColor);
    if (colour[3] !== 0) return colour;
  }
  return [255, 255, 255];
};
const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const found = [];
while (words.nextNode()) {
  const element = words.currentNode.parentElement;
  if (!words.currentNode.data.trim() || !element.getClientRects().length || element.closest("noscript, script, style")) continue;
  const [a, b] = [light(parse(getComputedStyle(element).color)), light(ground(element))];
  if ((Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5) found.push(words.currentNode.data.trim());
}
return found;
"""


class Visitor:
    """Somebody with a browser at the pages of `site`; `folder` gets what they saw."""

    def __init__(self, driver: webdriver.Chrome, folder: Path) -> None:
        self.driver = driver
        self.site = ""
        self._folder = folder

    def open(self, path: str) -> None:
        self.driver.get(self.site + path)

    def press(self, words: str) -> None:
        """Press the link or the button that bears these words."""
        self.driver.find_element(By.XPATH, f"//main//*[(self::a or self::button) and normalize-space()='{words}']").click()

    def read(self, selector: str) -> str:
        return self.driver.find_element(By.CSS_SELECTOR, selector).text

    def until(self, selector: str, words: str) -> None:
        """Wait until an element says something that begins with `words`."""
        wait = WebDriverWait(self.driver, PATIENCE)
        wait.until(lambda driver: self.read(selector).startswith(words), f"{selector} never said {words!r}, but {self.read(selector)!r}")

    def tab_to(self, words: str) -> None:
        """Go to the element that bears these words by the Tab key alone; whatever has the focus on the way shows that."""
        for _ in range(60):
            self.strike(Keys.TAB)
            focused = self.driver.switch_to.active_element
            if focused.tag_name == "body":
                continue  # from the last element to the first
            assert focused.value_of_css_property("outline-style") != "none", focused.get_attribute("outerHTML")
            if focused.text == words:
                return
        raise AssertionError(f"no press of Tab leads to {words!r}")

    def strike(self, key: str) -> None:
        """Strike a key, which goes to whatever has the focus."""
        webdriver.ActionChains(self.driver).send_keys(key).perform()

    def pictures(self) -> int:
        """How many pictures there are. Fails for one that does not show."""
        pictures = self.driver.find_elements(By.CSS_SELECTOR, "figure img")
        for picture in pictures:
            WebDriverWait(self.driver, PATIENCE).until(lambda _, picture=picture: int(picture.get_property("naturalWidth")) > 0)
        return len(pictures)

    def emulate(self, colours: str, **device: Any) -> None:
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": colours}]})
        if device:
            self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", device)

    def keep(self, name: str) -> None:
        """Keep a picture of the page."""
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
        (self._folder / f"{name}.png").write_bytes(b64decode(shot["data"]))

    def complaints(self) -> list[str]:
        """What the browser's console has said since it was asked last."""
        return [entry["message"] for entry in self.driver.get_log("browser")]


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(os.environ["SCREENSHOTS"]) if "SCREENSHOTS" in os.environ else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def visitor(screenshots: Path) -> Iterator[Visitor]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.fail("these tests need a browser: apt install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for option in [*OPTIONS, *(["no-sandbox"] if os.geteuid() == 0 else [])]:
        options.add_argument(f"--{option}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with webdriver.Chrome(options, Service(driver)) as chrome:
        yield Visitor(chrome, screenshots)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("site")
    (made / "scenarios").mkdir()
    (made / "scenarios" / "four.yaml").write_text(SCENARIO)
    (made / "scenarios" / "old.yaml").write_text(SCENARIO + "start: known\n")
    return made


@pytest.fixture(scope="module")
def pages(orchestrating: Orchestrating, folder: Path) -> Iterator[Any]:
    """An orchestrator that all tests share, which have to leave it without a run that goes on."""
    with orchestrating(folder) as process:
        yield process


@pytest.fixture
def guest(visitor: Visitor, pages: Any) -> Visitor:
    visitor.site = f"http://127.0.0.1:{pages.port}"
    return visitor


@pytest.fixture(scope="module")
def finished(pages: Any) -> None:
    """A run that is complete."""
    order = Request(f"http://127.0.0.1:{pages.port}/start", json.dumps({"scenario": "four", "seed": 7}).encode())
    order.add_header("Content-Type", "application/json")
    with urlopen(order):
        pages.until("live and simulated are compared")


def test_a_run_from_its_start_to_its_report(orchestrating: Orchestrating, folder: Path, visitor: Visitor) -> None:
    with orchestrating(folder, "--results", "elsewhere") as process:
        visitor.site = f"http://127.0.0.1:{process.port}"
        visitor.open("/")
        visitor.until("h1", "Nothing has run yet")
        visitor.keep("empty")
        visitor.press("Start a run")
        assert "Four nodes, for a look." in visitor.read("fieldset")
        assert "real agents begin knowing nothing" in visitor.read(".problems")
        visitor.keep("start")
        first = visitor.driver.current_window_handle
        visitor.driver.switch_to.new_window("tab")
        visitor.open("/start")
        second = visitor.driver.current_window_handle
        visitor.driver.switch_to.window(first)
        visitor.press("Start")
        visitor.until("#title", "four")

        visitor.driver.switch_to.window(second)  # where the form is still as it was
        visitor.press("Start")
        visitor.until("h1", "Not now")
        assert visitor.read("[role=alert]") == "four is running already; stop it first, or wait until it has ended"
        visitor.keep("start-again")
        (complaint,) = visitor.complaints()
        assert "status of 409" in complaint

        visitor.driver.switch_to.window(first)
        visitor.until("#coverage", "100 %")
        visitor.keep("live")
        visitor.until("#phase", "Complete")
        assert visitor.read("#answering") == "4 of 4"
        rows = visitor.driver.find_elements(By.CSS_SELECTOR, "#nodes tbody tr")
        assert [row.text.split()[0] for row in rows] == ["node0", "node1", "node2", "node3"]
        assert all("4 of 4" in row.text for row in rows)
        assert "every node knows every other" in visitor.read("#log")
        visitor.keep("complete")

        visitor.press("Report")
        visitor.until("h1", "four")
        assert visitor.pictures() > 5
        visitor.keep("report")
        visitor.driver.back()
        visitor.until("#phase", "Complete")
        visitor.press("Comparison")
        assert "bytes per node" in visitor.read("table")
        assert visitor.pictures() > 3
        visitor.keep("comparison")
        assert visitor.complaints() == []


def test_a_run_is_started_and_stopped_with_the_keyboard_alone(guest: Visitor) -> None:
    guest.open("/")
    guest.tab_to("Skip to the content")
    guest.tab_to("Start")  # in the navigation
    guest.strike(Keys.ENTER)
    guest.until("h1", "Start a run")
    guest.tab_to("Start")  # in the navigation again
    guest.tab_to("Start")  # of the form
    guest.keep("keyboard")
    guest.strike(Keys.ENTER)
    guest.until("#phase", "The agents run the scenario")
    guest.tab_to("Stop")
    guest.strike(Keys.ENTER)
    guest.until("#phase", "Stopped")
    assert guest.complaints() == []


@pytest.mark.usefixtures("finished")
@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", "/start", "/runs", "/runs/four", "/runs/four/report.html", "/runs/none"])
def test_pages_fit_a_phone_and_can_be_read(guest: Visitor, path: str, colours: str) -> None:
    guest.emulate(colours, **PHONE)
    guest.open(path)
    if path == "/":
        guest.until("#phase", "Complete")
    guest.pictures()
    guest.keep(f"phone-{colours}-{path.strip('/').replace('/', '-') or 'live'}")
    width, scrolled = guest.driver.execute_script("return [innerWidth, document.documentElement.scrollWidth]")
    assert (width, scrolled) == (PHONE["width"], PHONE["width"])
    assert guest.driver.execute_script(FAINT) == []
    paper = guest.driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", paper))) < 3 * 64) == (colours == "dark")
    assert guest.complaints() == ([] if path != "/runs/none" else [f"{guest.site}{path} - {NOT_FOUND}"])


def test_who_dies_in_mid_run_is_shown(orchestrating: Orchestrating, folder: Path, visitor: Visitor) -> None:
    with orchestrating(folder, "--results", "deadly") as process:
        visitor.site = f"http://127.0.0.1:{process.port}"
        visitor.open("/start")
        visitor.driver.find_element(By.ID, "set").send_keys("duration=10 min")
        visitor.press("Start")
        visitor.until("#coverage", "100 %")
        agents = psutil.Process(process.pid).children()
        agents[0].kill()
        visitor.until("#answering", "3 of 4")
        assert " (silent)" in visitor.read("#nodes tr.silent")
        visitor.until("#coverage", "100 %")  # of those that are left
        assert re.search(r"node\d at 127.0.0.1:\d+ has not answered for \d s", visitor.read("#log"))
        visitor.keep("silent")
        assert visitor.complaints() == []
        process.kill()
        visitor.until("#connection", "no connection to the orchestrator")
        visitor.keep("disconnected")
        for agent in agents:
            agent.kill()  # they would go by themselves, in half a minute
