"""A headless Chromium, driven as a person would: what is not there yet is waited for."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    NoSuchElementException,
    StaleElementReferenceException,
)
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from tests.support import servers
from tests.support.servers import NoServer
from tests.support.waiting import wait_until
from tests.support.workers import ROOT

#: Pictures of what was seen; not committed.
SCREENSHOTS = ROOT / "target" / "screenshots"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_DRIVER = "chromedriver"
#: Debian's.
_PACKAGES = ("chromium", "chromium-driver")
_PATIENCE_S = 20.0
#: What a page that is being drawn anew throws at who looks at it.
_REDRAWN = (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    NoSuchElementException,
    StaleElementReferenceException,
)


def programs() -> tuple[str, str]:
    """The browser and what drives it.

    Raises:
        NoServer: One of them is not installed.
    """
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    driver = shutil.which(_DRIVER)
    if browser is None or driver is None:
        raise NoServer(
            f"no {_BROWSERS[0]} or no {_DRIVER} program; install {' and '.join(_PACKAGES)}"
        )
    return browser, driver


def install() -> None:
    """Have both installed by the system's package manager, unless they are there.

    Raises:
        NoServer: Not possible here, or it failed.
    """
    try:
        programs()
    except NoServer:
        for package in _PACKAGES:
            servers.install(package)


class Page:
    """What the browser shows.

    Args:
        driver: Selenium's.
        url: Where paths begin.
    """

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self._driver = driver
        self._url = url
        # What the pages of another test said is not this one's.
        self.errors()

    def open(self, path: str) -> Page:
        """Go there."""
        self._driver.get(self._url + path)
        return self

    def reload(self) -> None:
        """Have the page anew, and nothing left of what it said."""
        self._driver.refresh()

    def text(self, where: str) -> str:
        """The text at a place (CSS), or what has it in it; "" while it is not there."""
        try:
            return str(self._driver.find_element(By.CSS_SELECTOR, where).text)
        except _REDRAWN:
            return ""

    def see(self, where: str, what: str) -> str:
        """Wait until a place has this text; all of its text."""
        return wait_until(
            lambda: what in (text := self.text(where)) and (text or " "),
            f"{what!r} in {where} of {self._driver.current_url}",
            _PATIENCE_S,
        )

    def hear(self, what: str) -> None:
        """Wait until a message in the corner says this, and close all that are there: they lie over buttons."""
        self.see("#toast-container", what)

        for close in self._driver.find_elements(By.CSS_SELECTOR, "#toast-container .btn-close"):
            # It may be going by itself; twice is more than Bootstrap's script bears.
            with contextlib.suppress(*_REDRAWN):
                close.click()
        wait_until(
            lambda: not self.is_there("#toast-container .toast"), "the messages to go", _PATIENCE_S
        )

    def see_after_reload(self, where: str, what: str) -> None:
        """The same of a page that shows what its server knew when it was asked; on whatever tab."""

        def look() -> bool:
            self._driver.refresh()
            source = self._driver.find_element(By.CSS_SELECTOR, where)
            return what in (source.get_attribute("textContent") or "")

        wait_until(look, f"{what!r} in {where} of {self._driver.current_url}", _PATIENCE_S, 0.3)

    def is_there(self, where: str) -> bool:
        """Whether there is such a place."""
        return bool(self._driver.find_elements(By.CSS_SELECTOR, where))

    def press(self, element_id: str) -> None:
        """Wait for a button, and press it."""
        self._do(element_id, lambda element: element.click())

    def fill(self, where: str, value: str) -> None:
        """Write into a field (CSS)."""

        def write(element: Any) -> None:
            element.clear()
            element.send_keys(value)

        self._do(where, write, By.CSS_SELECTOR)

    def picture(self, name: str) -> None:
        """Keep what is seen."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self._driver.save_screenshot(str(SCREENSHOTS / f"{name}.png"))

    def errors(self) -> list[str]:
        """What the page's scripts complained about since it was asked last."""
        log: list[dict[str, Any]] = self._driver.get_log("browser")
        return [entry["message"] for entry in log if entry["level"] == "SEVERE"]

    def _do(self, where: str, action: Callable[[Any], None], by: str = By.ID) -> None:
        def is_done() -> bool:
            try:
                element = self._driver.find_element(by, where)
                # Not under the bar at the top; at once, since the page would move on under the pointer.
                self._driver.execute_script(
                    "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element
                )
                action(element)
            except _REDRAWN:
                return False
            return True

        wait_until(is_done, f"{where} of {self._driver.current_url}", _PATIENCE_S)


@contextlib.contextmanager
def chromium(directory: Path) -> Iterator[webdriver.Chrome]:
    """A browser for the duration.

    Args:
        directory: What it writes goes there.

    Raises:
        NoServer: It is not installed.
    """
    browser, driver = programs()
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for switch in (
        "--headless=new",
        "--window-size=1400,1100",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-extensions",
        "--disable-background-networking",
        "--no-first-run",
        f"--user-data-dir={directory}/profile",
        # A container's root has no sandbox, and the pages are our own.
        *(("--no-sandbox",) if os.geteuid() == 0 else ()),
    ):
        options.add_argument(switch)
    service = Service(driver, log_output=str(directory / "chromedriver.log"))
    opened = webdriver.Chrome(options=options, service=service)
    try:
        yield opened
    finally:
        opened.quit()
