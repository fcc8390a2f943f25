"""A browser without a window, and what it did: for tests of the server's page."""

from __future__ import annotations

import json
import os
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any

from selenium import webdriver
from selenium.webdriver.remote.webelement import WebElement

from tests.server import serving


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Looks seldom enough to leave the browser time for its work."""
    serving.wait_until(condition, what, seconds=60, pause=0.1)


AXE = pathlib.Path("external/axe/package/axe.min.js")


class Browser:
    """Chromium; `element` and `elements` find by CSS selectors."""

    def __init__(self) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium-headless-shell"
        for flag in (
            "--headless",
            "--no-sandbox",  # tests run as root, and in a sandbox of Bazel's
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--no-first-run",
            "--window-size=1280,860",
        ):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self._home = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        service = webdriver.ChromeService(
            "/usr/bin/chromedriver", env={**os.environ, "HOME": self._home.name}
        )
        self.driver = webdriver.Chrome(options=options, service=service)
        self.driver.set_script_timeout(30)

    def quit(self) -> None:
        self.driver.quit()
        self._home.cleanup()

    def command(self, name: str, **parameters: Any) -> Any:
        return self.driver.execute_cdp_cmd(name, parameters)

    def prefer(self, **features: str) -> None:
        """`prefers_color_scheme="dark"`, ..."""
        named = [{"name": name.replace("_", "-"), "value": v} for name, v in features.items()]
        self.command("Emulation.setEmulatedMedia", features=named)

    def element(self, selector: str) -> WebElement:
        return self.driver.find_element("css selector", selector)

    def elements(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements("css selector", selector)

    def texts(self, selector: str) -> list[str]:
        return self.run(
            "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)", selector
        )

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def wait_for(self, selector: str) -> WebElement:
        wait_until(lambda: bool(self.elements(selector)), f"there is {selector}")
        return self.element(selector)

    def complaints(self) -> list[str]:
        """What is on the console, since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[dict[str, Any]]:
        """What was asked of servers since the last call: url, method, postData."""
        events = [json.loads(entry["message"])["message"] for entry in self._performance()]
        return [
            event["params"]["request"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        ]

    def _performance(self) -> list[dict[str, Any]]:
        return self.driver.get_log("performance")

    def violations(self) -> list[str]:
        """What axe finds that keeps people from using the page as it is now."""
        self.run(AXE.read_text())
        return self.driver.execute_async_script(
            """const done = arguments[0];
            axe.run().then(({ violations }) => done(violations.flatMap(({ id, nodes }) =>
                nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`))));"""
        )
