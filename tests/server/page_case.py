"""The page at / of a server with a fake engine, which repeats the question: for tests."""

from __future__ import annotations

import json
import pathlib
import unittest
from typing import Any

from selenium.webdriver.common.keys import Keys

from tests.server.browser import Browser, wait_until
from tests.server.serving import Server

FAKE = pathlib.Path("apps/server/fake_server").absolute()
MODELS = (
    *("--model", "one=/m/one"),
    *("--model", "slow=/m/slow,step-ms=50,pinned"),
    *("--model", "base=/m/base,chat-template=false,pinned"),
)


class PageCase(unittest.TestCase):
    browser: Browser
    server: Server

    @classmethod
    def setUpClass(cls) -> None:
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.quit)
        cls.server = Server(*MODELS, program=FAKE)
        cls.addClassCleanup(cls.server.stop)

    def setUp(self) -> None:
        self.open(self.server)

    def open(self, server: Server) -> None:
        """The page, as somebody sees it for the first time, with its models."""
        if self.browser.driver.current_url.startswith("http"):
            self.browser.run("sessionStorage.clear(); localStorage.clear();")
        self.browser.complaints()
        self.browser.requests()
        self.browser.driver.get(f"{server.url}/")

    def open_with(self, script: str) -> None:
        """The same, after `script` has changed what it works with."""
        made = self.browser.command("Page.addScriptToEvaluateOnNewDocument", source=script)
        self.addCleanup(self.browser.command, "Page.removeScriptToEvaluateOnNewDocument", **made)
        self.open(self.server)

    def choose(self, model: str) -> None:
        self.browser.wait_for(f"#model option[value={model}]").click()

    def ask(self, text: str) -> None:
        self.browser.wait_for("#model option")  # the models are known
        self.browser.run("question.value = arguments[0]", text)
        self.browser.element("#question").send_keys(Keys.ENTER)

    def answers(self) -> list[str]:
        """Those that are complete."""
        return self.browser.texts(".answer:not([aria-busy]) .text")

    def wait_for_answers(self, *wanted: str) -> None:
        wait_until(lambda: self.answers() == [*wanted], f"the answers are {wanted}")

    def sent(self) -> list[dict[str, Any]]:
        """The calls for answers, since this was asked last."""
        asked = self.browser.requests()
        return [json.loads(one["postData"]) for one in asked if one["method"] == "POST"]

    def focused(self) -> str:
        return self.browser.run("return document.activeElement.id")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.browser.driver.switch_to.active_element.send_keys(key)
